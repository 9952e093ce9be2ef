/** What a run does from where it starts to its end: trains, saves, says, and reports. */

import { basename, resolve } from "node:path";
import type { Session, TrainingState } from "../backends/backend.ts";
import { type Dataset, type LabeledImages, sliceImages } from "../data/dataset.ts";
import type { World } from "../distributed/world.ts";
import type { Ending } from "../report/run_report.ts";
import { isElsewhere } from "../run/config.ts";
import { readRunParameters, type RunFolder } from "../run/folder.ts";
import { type Checkpoint, NOT_STARTED } from "../train/progress.ts";
import { type CheckpointInterval, DivergedError, train } from "../train/trainer.ts";
import type { OpenedSession } from "./backend_flags.ts";
import { EXIT } from "./errors.ts";
import { endLines, standingOf, type TrainDisplay } from "./train_display.ts";

/** What is trained between two checkpoints can be lost: little, and yet saving costs next to nothing. */
export const DEFAULT_INTERVAL: CheckpointInterval = { seconds: 30 };

/** Seconds between two drawings of steps' losses. */
const LIVE_SECONDS = 1;

const PROBE_COUNT = 32;
const MAX_PREDICT_MS = 1_000;

/** Where a run happens, and what stops it. */
export interface Surroundings {
  readonly signal: AbortSignal;
  /** The processes that share it; undefined for this one alone. */
  readonly world?: World;
}

interface Run {
  readonly folder: RunFolder;
  readonly dataset: Dataset;
  readonly opened: OpenedSession;
  readonly display: TrainDisplay;
  readonly signal: AbortSignal;
  readonly checkpoint?: Checkpoint;
  /** State of the best epoch so far, of a run that goes on with patience. */
  readonly best?: TrainingState;
}

/** Trains and saves, and returns the exit code.
 *
 * @throws {DivergedError} If a loss is not finite.
 */
export async function runTraining(run: Run): Promise<number> {
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
    const { outcome, progress, restored } = await train(session, dataset, plan, {
      start: run.checkpoint?.progress ?? NOT_STARTED,
      best: run.best,
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
    const missing = await folder.finish(await session.readState(), restored);
    if (missing !== undefined) display.note(`note: ${missing}`);
    await drawCurves(folder);
    await writeReport(run, { outcome, step: progress.step, restored });
    const standing = standingOf(folder.history, dataset, { ...plan, restored });
    // Only what lies below here is found again by itself.
    const lost = isElsewhere(folder.config.dataset.name) ? dataset.name : undefined;
    const lines = endLines(outcome, folder, { ...progress, restored, backend, standing, lost });
    const facts = { ...progress, ...standing, ...(restored && { restored }) };
    display.end(outcome, lines, { out: folder.path, ...facts });
    return outcome === "interrupted" ? EXIT.interrupted : EXIT.ok;
  } catch (error) {
    display.stop();
    if (!(error instanceof DivergedError)) throw error;
    await folder.saveDivergence(error.message);
    await writeReport(run, { outcome: "diverged", message: error.message });
    if (folder.history.length > 0) {
      throw new DivergedError(
        `${error.message}; ${folder.path} keeps epoch ${folder.history.length}`,
      );
    }
    throw error;
  }
}

/** Writes the report of a run, with its session's answers; one that diverged shows the model saved last. */
async function writeReport(
  { folder, dataset: { test }, opened: { session } }: Run,
  ending: Ending,
): Promise<void> {
  const { path, config, model, history } = folder;
  const hasModel = ending.outcome !== "diverged" || history.length > 0;
  if (ending.outcome === "diverged" && hasModel) {
    const learned = await readRunParameters(path, model);
    await session.loadState({ ...learned, slots: [], step: 0 });
  }
  const shown = ending.outcome === "interrupted" ? await affordable(session, test) : test;
  const trained = !hasModel ? undefined : {
    ...await session.readState(),
    logits: await session.predict(shown),
  };
  const { runReport } = await import("../report/run_report.ts"); // only now: a run starts without it
  const name = basename(resolve(path));
  const input = { ending, test: shown, trained, name, config, model, history };
  await folder.writePicture("report.html", await runReport(input));
}

/** As many test images as take about a second: who interrupts a run does not want to wait.
 *
 * That is all of them, but on the slowest backends.
 */
async function affordable(session: Session, test: LabeledImages): Promise<LabeledImages> {
  if (test.count <= PROBE_COUNT) return test;
  const probe = sliceImages(test, 0, PROBE_COUNT);
  await session.predict(probe); // the first call may compile or allocate
  const started = performance.now();
  await session.predict(probe);
  const imageMs = (performance.now() - started) / PROBE_COUNT;
  const count = Math.max(PROBE_COUNT, Math.floor(MAX_PREDICT_MS / imageMs));
  return count >= test.count ? test : sliceImages(test, 0, count);
}

/** Draws the curves of a run; one of no epochs has none. */
async function drawCurves(folder: RunFolder): Promise<void> {
  const { model, config: { dataset, loss }, history } = folder;
  const recipe = loss ? "; train loss smoothed or weighted, the others plain" : "";
  if (history.length === 0) return;
  const { curvesSvg } = await import("../report/curves.ts");
  await folder.writePicture(
    "curves.svg",
    await curvesSvg(`${model.name} on ${dataset.name}${recipe}`, history),
  );
}
