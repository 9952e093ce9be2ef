/** The folder of a run: configuration, metrics, parameters and pictures, each written whole. */

import { basename, join, resolve } from "node:path";
import { decodeSafetensors } from "../formats/safetensors/file.ts";
import { fromTensors } from "../formats/safetensors/state_dict.ts";
import type { TrainingState, TrainResult } from "../backends/backend.ts";
import { loadBackend } from "../backends/registry.ts";
import { DESCRIPTION_KEY, tryDescription } from "../formats/trained_model.ts";
import { specOf } from "../nn/model_spec.ts";
import type { Model } from "../nn/sequential.ts";
import { quote } from "../quote.ts";
import { readUnlinked } from "../read_bounded.ts";
import { readCheckpoint, writeCheckpoint, writeModel } from "../train/checkpoint.ts";
import { appendSynced, removeIfThere, TEMPORARY, writeAtomic } from "../write_atomic.ts";
import {
  type Checkpoint,
  decidingAccuracy,
  type EpochMetrics,
  NOT_STARTED,
} from "../train/trainer.ts";
import {
  configuredModel,
  fixedConfiguration,
  parseRunConfig,
  requireSameConfiguration,
  type Resumption,
  type RunConfig,
} from "./run_config.ts";
import { parseMetricsLog, parseStepsLog } from "./run_log.ts";
import type { RunReportInput } from "./run_report.ts";

const CONFIG = "config.json";
const METRICS = "metrics.jsonl";
const STEPS = "steps.jsonl";
const CHECKPOINT = "checkpoint.safetensors";
const PREVIOUS = "checkpoint.previous.safetensors";
const MODEL = "model.safetensors";
const BEST = "best.safetensors";
const REPORT = "report.html";
const LAYERS_MODEL = "model";

/** A run as it was left. */
export interface OpenedRun {
  readonly config: RunConfig;
  readonly checkpoint: Checkpoint;
  /** What is wrong with the newest checkpoint, if this is the one before it. */
  readonly damage?: string;
}

const MAX_CONFIG_BYTES = 2 ** 20;
/** Some millions of steps. */
const MAX_LOG_BYTES = 256 * 2 ** 20;

/** A run's folder, while the run goes on. */
export class RunFolder {
  readonly path: string;
  readonly config: RunConfig;
  readonly model: Model;
  /** Metrics of the epochs so far. */
  readonly history: EpochMetrics[];

  private constructor(path: string, config: RunConfig, history: EpochMetrics[]) {
    this.path = path;
    this.config = config;
    this.model = configuredModel(config);
    this.history = history;
  }

  /** Makes the folder of a new run and writes its configuration and first checkpoint.
   *
   * @param state What training starts from, so that a run can be gone on with from its first step.
   * @throws {TypeError} If the folder holds something already.
   */
  static async create(path: string, config: RunConfig, state: TrainingState): Promise<RunFolder> {
    await requireVacant(path);
    await Deno.mkdir(path, { recursive: true });
    await removeFiles(path, isLeftover);
    const folder = new RunFolder(path, config, []);
    await folder.#writeCheckpoint({ state, progress: NOT_STARTED });
    await writeConfig(path, config);
    return folder;
  }

  /** Reads the configuration and the last checkpoint of a run; nothing is written yet.
   *
   * If the newest checkpoint cannot be read, the one before it takes its place.
   *
   * @throws {SyntaxError} If the configuration or both checkpoints are damaged.
   * @throws {TypeError} If the folder holds no run, a link, or a checkpoint of another run.
   */
  static async open(path: string): Promise<OpenedRun> {
    const config = await readRunConfig(path);
    await requireNoLinks(path);
    const model = configuredModel(config);
    let damage: string | undefined;
    const newest = readCheckpoint(join(path, CHECKPOINT), model);
    const saved = await newest.catch(async (error: Error) => {
      const previous = await readCheckpoint(join(path, PREVIOUS), model).catch(() => undefined);
      if (previous === undefined) throw error;
      damage = error instanceof Deno.errors.NotFound
        ? `There is no ${CHECKPOINT}`
        : `${CHECKPOINT} is damaged`;
      return previous;
    });
    const { configuration, ...checkpoint } = saved;
    requireSameConfiguration(config, configuration, path);
    return { config, checkpoint, damage };
  }

  /** Prepares the folder of a run for going on: records it, and drops what comes after the checkpoint.
   *
   * Metrics and steps after the checkpoint will be made again.
   *
   * @param run As {@linkcode RunFolder.open} gave it, or with another plan.
   * @throws {TypeError} If metrics are missing, or there twice.
   */
  static async resume(
    path: string,
    { config, checkpoint, damage, resumption }: OpenedRun & { readonly resumption: Resumption },
  ): Promise<RunFolder> {
    const { epochsDone, step } = checkpoint.progress;
    const history = (await readMetrics(path)).filter(({ epoch }) => epoch <= epochsDone);
    requireEveryEpoch(history, epochsDone, path);
    await removeFiles(path, isTemporary);
    await removeFiles(join(path, LAYERS_MODEL), isTemporary);
    // Else the next checkpoint would put the damaged one in the place of the good one.
    if (damage !== undefined) await Deno.rename(join(path, PREVIOUS), join(path, CHECKPOINT));
    const stepsFile = join(path, STEPS);
    const steps = parseStepsLog(await readLog(stepsFile), stepsFile);
    const { diverged: _, ...rest } = config;
    const recorded = { ...rest, resumed: [...config.resumed ?? [], resumption] };
    await writeConfig(path, recorded);
    await writeAtomic(join(path, METRICS), history.map(toLine).join(""));
    if (steps.length > 0) {
      const kept = steps.filter((line) => line.step <= step);
      await writeAtomic(stepsFile, kept.map(toLine).join(""));
    }
    return new RunFolder(path, recorded, history);
  }

  /** Appends the losses and correct counts of steps. */
  async logSteps(firstStep: number, { losses, corrects }: TrainResult): Promise<void> {
    const { batchSize } = this.config.plan;
    const stepsPerEpoch = Math.ceil(this.config.dataset.trainCount / batchSize);
    const lastBatch = this.config.dataset.trainCount - (stepsPerEpoch - 1) * batchSize;
    const lines = Array.from(losses, (loss, index) => {
      const step = firstStep + index;
      const size = step % stepsPerEpoch === 0 ? lastBatch : batchSize;
      return toLine({ step, loss, correct: corrects[index], batchSize: size });
    });
    await appendSynced(join(this.path, STEPS), lines.join(""));
  }

  /** Saves an epoch: a line of metrics, the best model, the model, and a checkpoint.
   *
   * The checkpoint comes last, and the disk has all that it counts on: whatever a crash leaves of
   * later work is dropped or made again.
   */
  async saveEpoch(metrics: EpochMetrics, checkpoint: Checkpoint): Promise<void> {
    this.history.push(metrics);
    await appendSynced(join(this.path, METRICS), toLine(metrics));
    if (decidingAccuracy(metrics) >= checkpoint.progress.bestAccuracy) {
      await this.#writeModel(BEST, checkpoint);
    }
    await this.saveCheckpoint(checkpoint);
  }

  /** Saves the model as it is, and what is needed to go on. */
  async saveCheckpoint(checkpoint: Checkpoint): Promise<void> {
    await this.#writeModel(MODEL, checkpoint);
    await this.#writeCheckpoint(checkpoint);
  }

  /** Writes the TensorFlow.js model and the curves; a run may be finished more than once. */
  async finish(parameters: Float32Array): Promise<void> {
    // Imported only now, so that a run starts without loading TensorFlow.js and the chart library.
    const { encodeLayersModel } = await import("../formats/layers_model/file.ts");
    const { model, config: { dataset: { classNames, pictures } } } = this;
    const trained = { model, parameters, classNames, pictures };
    const { modelJson, weights } = await encodeLayersModel(trained);
    await Deno.mkdir(join(this.path, LAYERS_MODEL), { recursive: true });
    await writeAtomic(join(this.path, LAYERS_MODEL, "weights.bin"), weights);
    await writeAtomic(join(this.path, LAYERS_MODEL, "model.json"), modelJson);
    if (this.history.length === 0) return;
    const { curvesSvg } = await import("./curves.ts");
    const svg = await curvesSvg(`${model.name} on ${this.config.dataset.name}`, this.history);
    await writeAtomic(join(this.path, "curves.svg"), svg);
  }

  /** Records that training diverged, for whoever uses the run later. */
  async saveDivergence(message: string): Promise<void> {
    await writeConfig(this.path, { ...this.config, diverged: message });
  }

  /** Writes the report of the run as an HTML page. */
  async writeReport(
    run: Pick<RunReportInput, "ending" | "test" | "trained">,
  ): Promise<void> {
    const { runReport } = await import("./run_report.ts");
    const page = await runReport({
      ...run,
      name: basename(resolve(this.path)),
      config: this.config,
      model: this.model,
      history: this.history,
      mapBackend: await loadBackend("reference"),
    });
    await writeAtomic(join(this.path, REPORT), page);
  }

  async #writeCheckpoint(checkpoint: Checkpoint): Promise<void> {
    await writeCheckpoint(join(this.path, CHECKPOINT), this.model, {
      ...checkpoint,
      configuration: fixedConfiguration(this.config),
      previous: join(this.path, PREVIOUS),
    });
  }

  async #writeModel(name: string, { state }: Checkpoint): Promise<void> {
    const { classNames, pictures } = this.config.dataset;
    const { parameters } = state;
    await writeModel(join(this.path, name), this.model, { parameters, classNames, pictures });
  }
}

/** Checks that a new run may use a folder: it must be missing or empty.
 *
 * What {@linkcode RunFolder.create} leaves if it is killed before there is a run does not count.
 *
 * @throws {TypeError} If it holds something already.
 */
export async function requireVacant(path: string): Promise<void> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(path));
    const hasBegun = entries.some(({ name }) => name === CONFIG);
    for (const entry of entries) {
      if (!hasBegun && isLeftover(entry.name)) continue;
      const advice = hasBegun ? `, or go on with train --resume ${path}` : "";
      throw new TypeError(
        `Cannot start in ${path}: it holds ${quote(entry.name)} already; ` +
          `choose another --out${advice}`,
      );
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Checks that going on with a run, which may come from anybody, writes nowhere but in its folder.
 *
 * @throws {TypeError} If the folder holds a link.
 */
async function requireNoLinks(path: string): Promise<void> {
  for await (const { name, isSymlink } of Deno.readDir(path)) {
    if (!isSymlink) continue;
    throw new TypeError(
      `Cannot go on with ${path}: ${quote(name)} in it is a link, which may lead anywhere; ` +
        `put the file itself in its place`,
    );
  }
}

/** Checks that the metrics hold each epoch that the checkpoint has seen, once and in order.
 *
 * A run makes sure of that. Curves and report of what somebody has edited would be wrong in silence.
 *
 * @throws {TypeError} If they do not.
 */
function requireEveryEpoch(
  history: readonly EpochMetrics[],
  epochsDone: number,
  path: string,
): void {
  const isWhole = history.length === epochsDone &&
    history.every(({ epoch }, index) => epoch === index + 1);
  if (isWhole) return;
  const found = history.map(({ epoch }) => epoch).join(", ");
  throw new TypeError(
    `Cannot go on with ${path}: ${METRICS} must hold epochs 1 to ${epochsDone} in order, found ` +
      `${quote(found).slice(1, -1) || "none"}; put the file back, or start a new run with --init`,
  );
}

/** Reads the configuration of a run.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If the folder holds no run.
 */
export async function readRunConfig(path: string): Promise<RunConfig> {
  const file = join(path, CONFIG);
  try {
    const config = parseRunConfig(await readText(file, MAX_CONFIG_BYTES), file);
    requireModelAndNames(config, file);
    return config;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TypeError(`Cannot find a run in ${path}: it has no ${CONFIG}`);
  }
}

/** Checks that the layers make a model, and that there is a name for each of its classes. */
function requireModelAndNames(config: RunConfig, file: string): void {
  const invalid = (reason: string) =>
    new SyntaxError(`Cannot read ${file} as the configuration of a run: ${reason}`);
  let model: Model;
  try {
    model = configuredModel(config);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    throw invalid(`${error.message.charAt(0).toLowerCase()}${error.message.slice(1)}`);
  }
  const { length } = config.dataset.classNames;
  if (length !== model.classCount) {
    throw invalid(`it has names for ${length} classes, its model ${model.classCount}`);
  }
}

/** Reads the parameters that a run saved last.
 *
 * @param model The run's.
 * @throws {TypeError} If they are of another model.
 * @throws {Deno.errors.NotFound} If it has saved none yet.
 */
export async function readRunParameters(path: string, model: Model): Promise<Float32Array> {
  const file = join(path, MODEL);
  const { tensors, metadata } = decodeSafetensors(await readUnlinked(file), file);
  const described = tryDescription(metadata[DESCRIPTION_KEY] ?? "");
  if (described && JSON.stringify(specOf(described.model)) !== JSON.stringify(specOf(model))) {
    throw new TypeError(
      `Cannot use ${path}: ${MODEL} describes another model than ${CONFIG}; put the run's own back, ` +
        `or name the file with --weights`,
    );
  }
  return fromTensors(model, tensors, file);
}

/** Reads the metrics of a run, epoch by epoch. */
export async function readMetrics(path: string): Promise<EpochMetrics[]> {
  const file = join(path, METRICS);
  return parseMetricsLog(await readLog(file), file);
}

/** Whether a file is what a killed process was writing when it ended. */
function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

/** Whether a file can come from a start that was killed before there was a configuration. */
function isLeftover(name: string): boolean {
  return name === CHECKPOINT || name === PREVIOUS || isTemporary(name);
}

async function removeFiles(folder: string, isMeant: (name: string) => boolean): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(() => []);
  for (const { name } of entries) if (isMeant(name)) await removeIfThere(join(folder, name));
}

async function writeConfig(path: string, config: RunConfig): Promise<void> {
  await writeAtomic(join(path, CONFIG), JSON.stringify(config, undefined, 2) + "\n");
}

/** Reads a log; one that is not there has no lines. */
async function readLog(path: string): Promise<string> {
  try {
    return await readText(path, MAX_LOG_BYTES);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

async function readText(path: string, maxBytes: number): Promise<string> {
  return new TextDecoder().decode(await readUnlinked(path, maxBytes));
}

function toLine(value: unknown): string {
  return JSON.stringify(value) + "\n";
}
