/** Starts a run: dataset, model and session as the flags ask, and the folder that keeps it. */

import type { SessionOptions } from "../backends/backend.ts";
import { type Dataset, sliceImages } from "../data/dataset.ts";
import { objectShareOf } from "../data/picture_view.ts";
import { specOf } from "../nn/model_spec.ts";
import type { RunConfig } from "../run/config.ts";
import { describeEnvironment } from "../run/environment.ts";
import { claimFolder, makeFolder, requireVacant, RUNS } from "../run/files.ts";
import { RunFolder } from "../run/folder.ts";
import { deviceOptions, type OpenedSession, openSession } from "./backend_flags.ts";
import { loadForDryRun, obtainForTraining } from "./dataset_flag.ts";
import { EXIT } from "./errors.ts";
import { requireWritePermission } from "./permissions.ts";
import { lossOf } from "./recipe_flags.ts";
import { requirePictures } from "./picture_flags.ts";
import { recordedDataset, recordedWay } from "./recorded_path.ts";
import { trainDisplay } from "./train_display.ts";
import { augmentationOf, checkpointIntervalOf, setApart, type TrainFlags } from "./train_flags.ts";
import { beginningOf, picturesOf, readInitialModel } from "./train_init.ts";
import { DEFAULT_INTERVAL, runTraining, type Surroundings } from "./train_run.ts";

/** Starts a run, or with `--dry-run` shows that it could; returns the exit code. */
export async function startRun(
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
    ? await loadForDryRun(given.dataset, { ...given, pictures })
    : await obtainForTraining({ ...given, pictures }, signal);
  requirePictures(whole, given);
  const dataset = setApart(whole, given);
  const { flags, plan, optimizer, model, state, notes, init } = beginningOf(given, dataset, source);
  const { batchSize, seed } = plan;
  const loss = await lossOf(flags, dataset);
  const augmentation = augmentationOf(flags);
  const recipe = { optimizer, batchSize, seed, ...loss, augmentation };
  const options: SessionOptions = { ...recipe, ...deviceOptions(flags) };
  const opened = await openSession(flags.backend, model, options, world);
  await using session = opened.session;
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
      ...(dataset.pictures
        ? { pictures: dataset.pictures }
        : { objectShare: objectShareOf(dataset.train) }),
      ...(dataset.transposed && { transposed: true }),
      ...(dataset.notes && { notes: dataset.notes }),
    },
    ...(workingDirectory !== undefined && { workingDirectory }),
    plan,
    optimizer,
    ...loss,
    ...(augmentation && { augmentation }),
    ...(flags.chosen && { chosen: flags.chosen }),
    init,
    ...(model.frozen.length > 0 && { frozen: model.frozen }),
    backend: opened.backend,
    ...(opened.reason !== undefined && { backendReason: opened.reason }),
    device: session.device,
    exact: flags.exact,
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
