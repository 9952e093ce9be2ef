/** The train command: parses, configures, trains, saves. */

import type { SessionOptions, TrainingState } from "../backends/backend.ts";
import { type Dataset, sliceImages } from "../data/dataset.ts";
import { findLauncher } from "../distributed/launcher.ts";
import type { World } from "../distributed/world.ts";
import { specOf } from "../nn/model_spec.ts";
import { ZOO } from "../nn/zoo.ts";
import { quoteWhole } from "../quote.ts";
import { describeEnvironment } from "../run/environment.ts";
import { configuredModel, isElsewhere, type RunConfig } from "../run/config.ts";
import { claimFolder, makeFolder, requireVacant, RUNS } from "../run/files.ts";
import { readRunConfig, RunFolder } from "../run/folder.ts";
import type { Ending } from "../report/run_report.ts";
import { countOf } from "../report/table.ts";
import { learningRates, type TrainPlan } from "../train/plan.ts";
import {
  type Checkpoint,
  type CheckpointInterval,
  DivergedError,
  NOT_STARTED,
  train,
} from "../train/trainer.ts";
import { deviceOptions, type OpenedSession, openSession } from "./backend_flags.ts";
import { loadForDryRun, obtainForTraining } from "./dataset_flag.ts";
import { EXIT, HelpAsked, UsageError, withInterrupt } from "./errors.ts";
import { requireWritePermission } from "./permissions.ts";
import { picturesFor, requirePictures } from "./picture_flags.ts";
import { findRecorded, recordedDataset, recordedPath, recordedWay } from "./recorded_path.ts";
import { endLines, standingOf, type TrainDisplay, trainDisplay } from "./train_display.ts";
import { beginningOf, picturesOf, readInitialModel } from "./train_init.ts";
import { drawCurves, reportDivergence, reportEnd } from "./train_report.ts";
import {
  asksForMpi,
  checkCombination,
  checkpointIntervalOf,
  parseTraining,
  setApart,
  TRAIN_COMMAND,
  type TrainFlags,
} from "./train_flags.ts";

/** What is trained between two checkpoints can be lost: little, and yet saving costs next to nothing. */
const DEFAULT_INTERVAL: CheckpointInterval = { seconds: 30 };

/** Seconds between two drawings of steps' losses. */
const LIVE_SECONDS = 1;

export { TRAIN_COMMAND as command, trainCommand as run };

/** Runs the command with its arguments and returns the exit code. */
export async function trainCommand(args: string[]): Promise<number> {
  // What is wrong with flags is said before MPI is there, which help does without.
  const flags = asksForMpi(args) && (findLauncher()?.rank ?? 0) > 0
    ? parseInSilence(args)
    : parseTrainFlags(args);
  if (flags === undefined) return EXIT.ok;
  if (!flags.mpi) return await trainOn(flags);
  const { withWorld } = await import("./mpi.ts");
  return await withWorld((world) => trainOn(flags, world));
}

/** The flags.
 *
 * @throws {UsageError} If one is wrong, or contradicts another.
 */
function parseTrainFlags(args: string[]): TrainFlags {
  const { flags } = parseTraining(TRAIN_COMMAND, args);
  checkCombination(args, flags);
  return flags;
}

/** The same on a rank above 0, undefined where help is asked for or a flag is wrong: rank 0 says so, and its exit code is the job's. */
function parseInSilence(args: string[]): TrainFlags | undefined {
  try {
    return parseTrainFlags(args);
  } catch (error) {
    if (error instanceof UsageError || error instanceof HelpAsked) return undefined;
    throw error;
  }
}

/** Trains in this process, or in all of a world. */
async function trainOn(flags: TrainFlags, world?: World): Promise<number> {
  return await withInterrupt((signal) =>
    flags.resume === undefined
      ? startRun(flags, { signal, world })
      : resumeRun(flags, flags.resume, { signal, world })
  );
}

/** Where a run happens, and what stops it. */
interface Surroundings {
  readonly signal: AbortSignal;
  /** The processes that share it; undefined for this one alone. */
  readonly world?: World;
}

async function startRun(given: TrainFlags, { signal, world }: Surroundings): Promise<number> {
  const source = await readInitialModel(given);
  const display = trainDisplay(given);
  if (!given.dryRun) {
    await requireWritePermission(given.out ?? RUNS);
    if (given.out !== undefined) await requireVacant(given.out);
  }
  const pictures = picturesOf(given, source);
  const whole = given.dryRun
    ? await loadForDryRun(given.dataset, { ...given, pictures })
    : await obtainForTraining({ ...given, pictures }, signal);
  requirePictures(whole, given);
  const dataset = setApart(whole, given);
  const { flags, plan, optimizer, model, parameters, notes } = beginningOf(given, dataset, source);
  const { init } = ZOO[flags.model].recipe;
  const options: SessionOptions = { optimizer, batchSize: plan.batchSize, ...deviceOptions(flags) };
  const opened = await openSession(flags.backend, model, options, world);
  await using session = opened.session;
  const state: TrainingState = { parameters, slots: [], step: 0 };
  await session.loadState(state);
  const out = flags.dryRun ? undefined : flags.out ?? await makeFolder(flags.model);
  const workingDirectory = out && recordedWay(out);
  const config: RunConfig = {
    started: new Date().toISOString(),
    model: specOf(model),
    dataset: {
      name: recordedDataset(dataset.name),
      digest: dataset.digest,
      trainCount: dataset.train.count,
      testCount: dataset.test.count,
      ...(dataset.validation && { validationCount: dataset.validation.count }),
      ...(flags.validSplit !== undefined && { validSplit: flags.validSplit }),
      classNames: dataset.classNames,
      ...(dataset.pictures && { pictures: dataset.pictures }),
      ...(dataset.transposed && { transposed: true }),
      ...(dataset.notes && { notes: dataset.notes }),
    },
    ...(workingDirectory !== undefined && { workingDirectory }),
    plan,
    optimizer,
    ...(flags.chosen && { chosen: flags.chosen }),
    init: flags.init === undefined ? init : { type: "file", path: recordedPath(flags.init) },
    backend: opened.backend,
    device: session.device,
    ...(world && { ranks: world.size }),
    environment: describeEnvironment(),
    ...(flags.logSteps && { logSteps: true }),
    checkpointEvery: checkpointIntervalOf(flags) ?? DEFAULT_INTERVAL,
  };
  if (out === undefined) {
    display.start(config, model, opened, { notes });
    const loss = await dryRun(opened, dataset, config);
    display.end("dry run", [`Dry run: one step, loss ${loss.toFixed(3)}; nothing was written`], {
      loss,
    });
    return EXIT.ok;
  }
  await Deno.mkdir(out, { recursive: true });
  using _claim = await claimFolder(out);
  const folder = await RunFolder.create(out, config, state);
  display.start(config, model, opened, { out, notes });
  return await runTraining({ folder, dataset, opened, display, signal });
}

async function resumeRun(
  flags: TrainFlags,
  path: string,
  { signal, world }: Surroundings,
): Promise<number> {
  await requireWritePermission(path);
  await readRunConfig(path); // says it best if there is no run
  using _claim = await claimFolder(path);
  const { config: before, ...saved } = await RunFolder.open(path);
  const { maxSteps: _, ...planBefore } = before.plan;
  const plan: TrainPlan = {
    ...planBefore,
    ...(flags.epochs !== undefined && { epochs: flags.epochs }),
    ...(flags.maxSteps !== undefined && { maxSteps: flags.maxSteps }),
    ...(flags.targetAccuracy !== undefined && { targetAccuracy: flags.targetAccuracy }),
  };
  const checkpointEvery = checkpointIntervalOf(flags) ?? before.checkpointEvery;
  const logSteps = flags.logSteps || before.logSteps;
  const config: RunConfig = {
    ...before,
    plan,
    ...(logSteps && { logSteps }),
    checkpointEvery: checkpointEvery ?? DEFAULT_INTERVAL,
  };
  const display = trainDisplay(flags);
  const { name, ...place } = flags.dataset === undefined
    ? await findRecorded(config, path)
    : { name: flags.dataset };
  const model = configuredModel(config);
  const pictures = picturesFor(model, config.dataset.pictures);
  const transpose = config.dataset.transposed;
  const found = { ...flags, ...place, dataset: name, pictures, transpose };
  const whole = await obtainForTraining(found, signal);
  if (whole.digest !== config.dataset.digest) {
    throw new TypeError(
      `Cannot resume ${path} on dataset ${quoteWhole(name)}: its content is not what the run was ` +
        `trained on (SHA-256 ${config.dataset.digest.slice(0, 16)}, found ` +
        `${whole.digest.slice(0, 16)}); give that with --dataset DIR`,
    );
  }
  const dataset = setApart(whole, { validSplit: config.dataset.validSplit, seed: plan.seed });
  const backend = flags.backend === "auto" ? config.backend : flags.backend;
  const wasShared = (config.resumed?.at(-1) ?? config).ranks !== undefined;
  const options: SessionOptions = {
    optimizer: config.optimizer,
    batchSize: plan.batchSize,
    ...deviceOptions(flags),
    threads: flags.threads ?? (wasShared || world ? undefined : config.device.threads),
  };
  const opened = await openSession(backend, model, options, world);
  await using session = opened.session;
  const { checkpoint, damage } = saved;
  await session.loadState(checkpoint.state);
  const { epochsDone, step } = checkpoint.progress;
  const { device } = session;
  const ranks = world && { ranks: world.size };
  const resumption = { started: new Date().toISOString(), step, backend, device, ...ranks };
  const folder = await RunFolder.resume(path, { config, checkpoint, damage, resumption });
  const note = scheduleNote(before, plan, step);
  const { history } = folder;
  const notes = note === undefined ? [] : [note];
  display.start(config, model, opened, { out: path, notes, history });
  if (damage !== undefined) display.note(`${damage}: going on from the one before it`);
  display.note(
    epochsDone < plan.epochs
      ? `Going on after epoch ${epochsDone}, step ${step}`
      : `Nothing left to train: all ${epochsDone} epochs are done; ` +
        `go further with --epochs ${epochsDone + 1} or more`,
  );
  return await runTraining({ folder, dataset, opened, display, signal, checkpoint });
}

/** What other `--epochs` do to a learning rate that changes over the whole run. */
function scheduleNote(
  { plan: before, dataset: { trainCount } }: RunConfig,
  plan: TrainPlan,
  step: number,
): string | undefined {
  if (plan.schedule === "constant" || plan.epochs === before.epochs) return undefined;
  const stepsPerEpoch = Math.ceil(trainCount / plan.batchSize);
  const [rate, rateBefore] = [plan, before].map((one) => {
    const first = Math.min(step, one.epochs * stepsPerEpoch);
    return Number(learningRates(one, { first, count: 1, stepsPerEpoch })[0].toPrecision(3));
  });
  return `the ${plan.schedule} learning rate now falls over ${
    countOf(plan.epochs, "epoch")
  }, not ` +
    `${before.epochs}: it goes on at ${rate} instead of ${rateBefore}`;
}

interface Run {
  readonly folder: RunFolder;
  readonly dataset: Dataset;
  readonly opened: OpenedSession;
  readonly display: TrainDisplay;
  readonly signal: AbortSignal;
  readonly checkpoint?: Checkpoint;
}

async function runTraining(run: Run): Promise<number> {
  const { folder, dataset, opened: { session, backend }, display, signal } = run;
  const { plan, logSteps, checkpointEvery = {} } = folder.config;
  // What is drawn as steps are made is read more often than it is saved.
  const stretch: CheckpointInterval = {
    ...checkpointEvery,
    get seconds() {
      return display.drawsSteps ? LIVE_SECONDS : checkpointEvery.seconds;
    },
  };
  let savedMs = performance.now();
  const isDue = ({ progress: { step } }: Checkpoint) =>
    signal.aborted || step % (checkpointEvery.steps ?? Infinity) === 0 ||
    performance.now() - savedMs >= 1000 * (checkpointEvery.seconds ?? Infinity);
  const onAbort = () => display.note("Stopping after this step; Ctrl-C again ends at once");
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const { outcome, progress } = await train(session, dataset, plan, {
      start: run.checkpoint?.progress ?? NOT_STARTED,
      signal,
      checkpointEvery: stretch,
      onProgress: display.progress,
      onSteps: async (first, result) => {
        if (logSteps) await folder.logSteps(first, result);
        display.steps(result.losses);
      },
      onEpoch: async (metrics, checkpoint) => {
        await folder.saveEpoch(metrics, checkpoint);
        savedMs = performance.now();
        display.epoch(metrics);
      },
      onCheckpoint: async (checkpoint) => {
        if (!isDue(checkpoint)) return;
        await folder.saveCheckpoint(checkpoint);
        savedMs = performance.now();
      },
    });
    const { parameters } = await session.readState();
    await folder.finish(parameters);
    await drawCurves(folder);
    const ending: Ending = { outcome, step: progress.step };
    await reportEnd(folder, { session, test: dataset.test, parameters, ending });
    const standing = standingOf(folder.history, dataset);
    // Only what lies below here is found again by itself.
    const lost = isElsewhere(folder.config.dataset.name) ? dataset.name : undefined;
    const lines = endLines(outcome, folder, { ...progress, backend, standing, lost });
    display.end(outcome, lines, { out: folder.path, ...progress, ...standing });
    return outcome === "interrupted" ? EXIT.interrupted : EXIT.ok;
  } catch (error) {
    display.stop();
    if (!(error instanceof DivergedError)) throw error;
    await reportDivergence(folder, { session, test: dataset.test, message: error.message });
    if (folder.history.length > 0) {
      throw new DivergedError(
        `${error.message}; ${folder.path} keeps epoch ${folder.history.length}`,
      );
    }
    throw error;
  }
}

/** One step, whose loss is returned, and the evaluation of one image: all parts work together. */
async function dryRun(
  { session }: OpenedSession,
  { train: trainData, test }: Dataset,
  { plan }: RunConfig,
): Promise<number> {
  await session.attach(trainData);
  const order = Uint32Array.from(
    { length: Math.min(plan.batchSize, trainData.count) },
    (_, index) => index,
  );
  const { losses } = await session.train(trainData, {
    order,
    batchSize: plan.batchSize,
    learningRates: Float32Array.of(plan.learningRate),
  });
  const one = sliceImages(test, 0, 1);
  await session.evaluate(one);
  return losses[0];
}
