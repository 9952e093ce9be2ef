/** The folder of a run: configuration, metrics, parameters and pictures, each written whole. */

import { join } from "node:path";
import { decodeSafetensors } from "../formats/safetensors/file.ts";
import { encodeSafetensorsModel } from "../formats/safetensors/model.ts";
import { fromTensors, statisticsFrom } from "../formats/safetensors/state_dict.ts";
import type { TrainingState, TrainResult } from "../backends/backend.ts";
import { DESCRIPTION_KEY, type TrainedModel, tryDescription } from "../formats/trained_model.ts";
import { specOf } from "../nn/model_spec.ts";
import type { Model } from "../nn/sequential.ts";
import { readUnlinked } from "../read_bounded.ts";
import { encodeCheckpoint, readCheckpoint } from "./checkpoint.ts";
import { appendSynced, writeAtomic } from "../write_atomic.ts";
import { type Checkpoint, type EpochMetrics, isBestSoFar, NOT_STARTED } from "../train/progress.ts";
import {
  configuredModel,
  fixedConfiguration,
  knownPictures,
  parseRunConfig,
  requireSameConfiguration,
  type Resumption,
  type RunConfig,
} from "./config.ts";
import {
  FILES,
  isLeftover,
  isTemporary,
  removeFiles,
  requireNoLinks,
  requireVacant,
} from "./files.ts";
import { parseMetricsLog, parseStepsLog, requireEveryEpoch } from "./metrics.ts";

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
   * @param state What training starts from, so that a run can be resumed from its first step.
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
    const newest = readCheckpoint(join(path, FILES.checkpoint), model);
    const saved = await newest.catch(async (error: Error) => {
      const previous = await readCheckpoint(join(path, FILES.previous), model).catch(() => {
        throw error;
      });
      damage = error instanceof Deno.errors.NotFound
        ? `There is no ${FILES.checkpoint}`
        : `${FILES.checkpoint} is damaged`;
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
    await removeFiles(join(path, FILES.layersModel), isTemporary);
    // Else the next checkpoint would put the damaged one in the place of the good one.
    if (damage !== undefined) {
      await Deno.rename(join(path, FILES.previous), join(path, FILES.checkpoint));
    }
    const stepsFile = join(path, FILES.steps);
    const steps = parseStepsLog(await readLog(stepsFile), stepsFile);
    const { diverged: _, ...rest } = config;
    const recorded = { ...rest, resumed: [...config.resumed ?? [], resumption] };
    await writeConfig(path, recorded);
    await writeAtomic(join(path, FILES.metrics), history.map(toLine).join(""));
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
    await appendSynced(join(this.path, FILES.steps), lines.join(""));
  }

  /** Saves an epoch: a line of metrics, the best model, the model, and a checkpoint.
   *
   * The checkpoint comes last, and the disk has all that it counts on: whatever a crash leaves of
   * later work is dropped or made again.
   */
  async saveEpoch(metrics: EpochMetrics, checkpoint: Checkpoint): Promise<void> {
    this.history.push(metrics);
    await appendSynced(join(this.path, FILES.metrics), toLine(metrics));
    if (isBestSoFar(metrics, checkpoint.progress)) {
      await this.#writeModel(FILES.best, checkpoint);
    }
    await this.saveCheckpoint(checkpoint);
  }

  /** Saves the model as it is, and what is needed to go on. */
  async saveCheckpoint(checkpoint: Checkpoint): Promise<void> {
    await this.#writeModel(FILES.model, checkpoint);
    await this.#writeCheckpoint(checkpoint);
  }

  /** Writes the TensorFlow.js model, and the model itself where it is not that of the last epoch; a run may
   * be finished more than once.
   *
   * @returns Why there is no TensorFlow.js model, where that has no layer like one of the model's.
   */
  async finish(state: TrainingState, restored: boolean): Promise<string | undefined> {
    if (restored) await this.#writeModel(FILES.model, { state });
    // Imported only now: a run starts without it.
    const { encodeLayersModel, NoKerasLayerError } = await import(
      "../formats/layers_model/file.ts"
    );
    const written = await encodeLayersModel(this.#trained(state)).catch((error) => {
      if (error instanceof NoKerasLayerError) return error.message;
      throw error;
    });
    if (typeof written === "string") return written;
    const { modelJson, weights } = written;
    await Deno.mkdir(join(this.path, FILES.layersModel), { recursive: true });
    await writeAtomic(join(this.path, FILES.layersModel, "weights.bin"), weights);
    await writeAtomic(join(this.path, FILES.layersModel, "model.json"), modelJson);
  }

  /** Writes what people look at, whole: the curves, the report. */
  async writePicture(name: "curves.svg" | "report.html", text: string): Promise<void> {
    await writeAtomic(join(this.path, name), text);
  }

  /** Records that training diverged, for later users of the run. */
  async saveDivergence(message: string): Promise<void> {
    await writeConfig(this.path, { ...this.config, diverged: message });
  }

  async #writeCheckpoint(checkpoint: Checkpoint): Promise<void> {
    const configuration = fixedConfiguration(this.config);
    const bytes = encodeCheckpoint(this.model, { ...checkpoint, configuration });
    const previous = join(this.path, FILES.previous);
    await writeAtomic(join(this.path, FILES.checkpoint), bytes, { previous });
  }

  /** The model, and what its files tell of it. */
  #trained({ parameters, statistics }: TrainingState): TrainedModel {
    const { model, config } = this;
    const { classNames } = config.dataset;
    return { model, parameters, statistics, classNames, pictures: knownPictures(config) };
  }

  async #writeModel(name: string, { state }: Pick<Checkpoint, "state">): Promise<void> {
    await writeAtomic(join(this.path, name), encodeSafetensorsModel(this.#trained(state)));
  }
}

/** Reads the configuration of a run.
 *
 * @throws {SyntaxError} If the file is damaged.
 * @throws {TypeError} If the folder holds no run.
 */
export async function readRunConfig(path: string): Promise<RunConfig> {
  const file = join(path, FILES.config);
  try {
    return parseRunConfig(await readText(file, MAX_CONFIG_BYTES), file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TypeError(`Cannot find a run in ${path}: it has no ${FILES.config}`);
  }
}

/** Reads the parameters that a run saved last, or those of its best epoch, and its running statistics.
 *
 * @param model The run's.
 * @throws {TypeError} If they are of another model.
 * @throws {Deno.errors.NotFound} If it has saved none yet.
 */
export async function readRunParameters(
  path: string,
  model: Model,
  which: "model" | "best" = "model",
): Promise<Pick<TrainedModel, "parameters" | "statistics">> {
  const name = FILES[which];
  const file = join(path, name);
  const { tensors, metadata } = decodeSafetensors(await readUnlinked(file), file);
  const described = tryDescription(metadata[DESCRIPTION_KEY] ?? "");
  if (described && JSON.stringify(specOf(described.model)) !== JSON.stringify(specOf(model))) {
    throw new TypeError(
      `Cannot use ${path}: ${name} describes another model than ${FILES.config}; put the run's own back, ` +
        `or name the file with --weights`,
    );
  }
  const parameters = fromTensors(model, tensors, file);
  return { parameters, statistics: statisticsFrom(model, tensors, file) };
}

/** Reads the metrics of a run, epoch by epoch. */
export async function readMetrics(path: string): Promise<EpochMetrics[]> {
  const file = join(path, FILES.metrics);
  return parseMetricsLog(await readLog(file), file);
}

async function writeConfig(path: string, config: RunConfig): Promise<void> {
  await writeAtomic(join(path, FILES.config), JSON.stringify(config, undefined, 2) + "\n");
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
