/** The train command: parses flags, and starts a run, as they ask, or goes on with one. */

import { type Dataset, sliceImages } from "../data/dataset.ts";
import { objectShareOf } from "../data/picture_view.ts";
import { findLauncher } from "../distributed/loader.ts";
import type { World } from "../distributed/world.ts";
import { specOf } from "../nn/model_spec.ts";
import type { RunConfig } from "../run/config.ts";
import { describeEnvironment } from "../run/environment.ts";
import { claimFolder, makeFolder, requireVacant, RUNS } from "../run/files.ts";
import { RunFolder } from "../run/folder.ts";
import { type OpenedSession, openSession } from "./backend_flags.ts";
import { loadForDryRun, obtainForTraining } from "./dataset_flag.ts";
import { EXIT, HelpAsked, UsageError, withInterrupt } from "./errors.ts";
import { requireWritePermission } from "./permissions.ts";
import { requirePictures } from "./picture_flags.ts";
import { recordedDataset, recordedWay } from "./recorded_path.ts";
import { trainDisplay } from "./train_display.ts";
import {
  asksForMpi,
  checkCombination,
  checkpointIntervalOf,
  parseTraining,
  TRAIN_COMMAND,
  type TrainFlags,
} from "./train_flags.ts";
import { setApart } from "./train_recipe.ts";
import { beginningOf, picturesOf, readInitialModel } from "./train_init.ts";
import { resumeRun } from "./train_resume.ts";
import { DEFAULT_INTERVAL, runTraining, type Surroundings } from "./train_run.ts";

export { TRAIN_COMMAND as command };

export async function run(args: string[]): Promise<number> {
  let flags: TrainFlags;
  // What is wrong with flags is said before MPI is there, which help does without.
  try {
    ({ flags } = parseTraining(TRAIN_COMMAND, args));
    checkCombination(args, flags);
  } catch (error) {
    // Rank 0 says it, and its exit code is the job's.
    const isSilent = asksForMpi(args) && (findLauncher()?.rank ?? 0) > 0 &&
      (error instanceof UsageError || error instanceof HelpAsked);
    if (isSilent) return EXIT.ok;
    throw error;
  }
  const { resume } = flags;
  const trainOn = (world?: World) =>
    withInterrupt((signal) =>
      resume === undefined
        ? startRun(flags, { signal, world })
        : resumeRun(flags, resume, { signal, world })
    );
  if (!flags.mpi) return await trainOn();
  const { withWorld } = await import("./mpi.ts");
  return await withWorld(trainOn);
}

/** Starts a run, or with `--dry-run` shows that it could; returns the exit code. */
async function startRun(
  given: TrainFlags,
  { signal, world }: Surroundings,
): Promise<number> {
  const source = await readInitialModel(given);
  const display = trainDisplay(given);
  if (!given.dryRun) {
    await requireWritePermission(given.out ?? RUNS);
    if (given.out !== undefined) await requireVacant(given.out);
  }
  const pictures = picturesOf(given, source);
  const whole = given.dryRun
    ? await loadForDryRun({ ...given, pictures })
    : await obtainForTraining({ ...given, pictures }, signal);
  requirePictures(whole, given);
  const dataset = setApart(whole, given);
  const { flags, plan, options, model, state, notes, init } = await beginningOf(
    given,
    dataset,
    source,
  );
  const { optimizer, loss, clipNorm, augmentation } = options;
  const opened = await openSession(flags.backend, model, options, world);
  await using session = opened.session;
  await session.loadState(state);
  const out = flags.dryRun ? undefined : flags.out ?? await makeFolder(flags.model);
  const config: RunConfig = {
    started: new Date().toISOString(),
    model: specOf(model),
    dataset: {
      name: recordedDataset(dataset.name),
      digest: dataset.digest,
      trainCount: dataset.train.count,
      testCount: dataset.test.count,
      validationCount: dataset.validation?.count,
      validSplit: flags.validSplit,
      classNames: dataset.classNames,
      pictures: dataset.pictures,
      objectShare: dataset.pictures ? undefined : objectShareOf(dataset.train),
      transposed: dataset.transposed,
      notes: dataset.notes,
    },
    workingDirectory: out && recordedWay(out),
    ...{ plan, optimizer, loss, clipNorm, augmentation, chosen: flags.chosen },
    init,
    frozen: model.frozen.length > 0 ? model.frozen : undefined,
    backend: opened.backend,
    ...(opened.reason !== undefined && { backendReason: opened.reason }),
    device: session.device,
    exact: flags.exact,
    ranks: world?.size,
    environment: describeEnvironment(),
    logSteps: flags.logSteps || undefined,
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
