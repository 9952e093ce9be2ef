/** Goes on with a run from its last checkpoint, by its own configuration. */

import type { SessionOptions } from "../backends/backend.ts";
import { withoutGaps } from "../check.ts";
import { countOf, quoteWhole } from "../quote.ts";
import { configuredModel, type RunConfig, wasExact } from "../run/config.ts";
import { claimFolder } from "../run/files.ts";
import { readRunConfig, readRunParameters, RunFolder } from "../run/folder.ts";
import { completePlan, learningRates, type TrainPlan } from "../train/plan.ts";
import { deviceOptions, openSession } from "./backend_flags.ts";
import { obtainForTraining } from "./dataset_flag.ts";
import { UsageError } from "./errors.ts";
import { requireWritePermission } from "./permissions.ts";
import { picturesFor } from "./picture_flags.ts";
import { findRecorded } from "./recorded_path.ts";
import { trainDisplay } from "./train_display.ts";
import { checkpointIntervalOf, type TrainFlags } from "./train_flags.ts";
import { setApart } from "./train_recipe.ts";
import { DEFAULT_INTERVAL, runTraining, type Surroundings } from "./train_run.ts";

/** Goes on with the run in a folder; returns the exit code.
 *
 * @throws {TypeError} If there is none, or its dataset is not what it was trained on.
 */
export async function resumeRun(
  flags: TrainFlags,
  path: string,
  { signal, world }: Surroundings,
): Promise<number> {
  await requireWritePermission(path);
  await readRunConfig(path); // says it best if there is no run
  using _claim = await claimFolder(path);
  const { config: before, ...saved } = await RunFolder.open(path);
  const { maxSteps: _, ...planBefore } = before.plan;
  const { epochs, maxSteps, targetAccuracy, patience } = flags;
  const planNow = withoutGaps({ epochs, maxSteps, targetAccuracy, patience });
  const plan = completePlan({ ...planBefore, ...planNow });
  const checkpointEvery = checkpointIntervalOf(flags) ?? before.checkpointEvery;
  const config: RunConfig = {
    ...{ ...before, plan },
    logSteps: flags.logSteps || before.logSteps,
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
  const { optimizer, loss, clipNorm, augmentation } = config;
  const options: SessionOptions = {
    ...{ optimizer, loss, clipNorm, augmentation, batchSize: plan.batchSize, seed: plan.seed },
    ...deviceOptions(flags),
    exact: wasExact(config),
    threads: flags.threads ?? (wasShared || world ? undefined : config.device.threads),
  };
  const opened = await openSession(backend, model, options, world);
  await using session = opened.session;
  const { checkpoint, damage } = saved;
  await session.loadState(checkpoint.state);
  const { epochsDone, step, sinceBest = 0, partial } = checkpoint.progress;
  if (epochs !== undefined && epochs <= epochsDone && partial.steps > 0) {
    throw new UsageError(
      `Cannot end ${path} after ${countOf(epochs, "epoch")}: epoch ${epochsDone + 1} has begun; ` +
        `give --epochs ${epochsDone + 1} or more`,
    );
  }
  const best = plan.patience === undefined || epochsDone === 0
    ? undefined
    : { ...await readRunParameters(path, model, "best"), slots: [], step };
  const { device } = session;
  const ranks = world && { ranks: world.size };
  const resumption = { started: new Date().toISOString(), step, backend, device, ...ranks };
  const note = scheduleNote(before, plan, step);
  const folder = await RunFolder.resume(path, { config, checkpoint, damage, resumption });
  const { history } = folder;
  const notes = note === undefined ? [] : [note];
  display.start(config, model, opened, { out: path, notes, history });
  if (damage !== undefined) display.note(`${damage}: going on from the one before it`);
  display.note(
    sinceBest >= (plan.patience ?? Infinity)
      ? `Nothing left to train: ${countOf(sinceBest, "epoch")} were no better than the best; go ` +
        `further with --patience ${sinceBest + 1} or more`
      : epochsDone < plan.epochs
      ? `Going on after epoch ${epochsDone}, step ${step}`
      : `Nothing left to train: all ${epochsDone} epochs are done; ` +
        `go further with --epochs ${epochsDone + 1} or more`,
  );
  return await runTraining({ folder, dataset, opened, display, signal, checkpoint, best });
}

/** What other `--epochs` do to the learning rates that are left, where the length of the run decides them. */
function scheduleNote(
  { plan: before, dataset: { trainCount } }: RunConfig,
  plan: TrainPlan,
  step: number,
): string | undefined {
  const stepsPerEpoch = Math.ceil(trainCount / plan.batchSize);
  const left = Math.max(1, plan.epochs * stepsPerEpoch - step);
  const ratesAt = (first: number) =>
    [plan, before].map((one) => learningRates(one, { first, count: 1, stepsPerEpoch })[0]);
  // Schedules of two lengths differ over long stretches, where they do.
  const looks = Math.min(left, 1000);
  const isSame = Array.from({ length: looks }, (_, n) => step + Math.floor(n * left / looks))
    .map(ratesAt).every(([rate, rateBefore]) => rate === rateBefore);
  if (isSame) return undefined;
  const [rate, rateBefore] = ratesAt(step).map((first) => Number(first.toPrecision(3)));
  return `the ${plan.schedule} learning rate now goes over ${countOf(plan.epochs, "epoch")}, not ` +
    `${before.epochs}: it goes on at ${rate} instead of ${rateBefore}`;
}
