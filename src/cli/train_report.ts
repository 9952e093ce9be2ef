/** The report at the end of a run, with the answers that its session gives. */

import { basename, resolve } from "node:path";
import type { Session } from "../backends/backend.ts";
import { loadBackend } from "../backends/registry.ts";
import { type LabeledImages, sliceImages } from "../data/dataset.ts";
import { readRunParameters, type RunFolder } from "../run/folder.ts";
import type { Ending, RunReportInput } from "../report/run_report.ts";

const PROBE_COUNT = 32;
const MAX_PREDICT_MS = 1_000;

/** Writes the report of a run that ended as it should, or was stopped. */
export async function reportEnd(
  folder: RunFolder,
  { session, test, parameters, ending }: {
    readonly session: Session;
    readonly test: LabeledImages;
    /** What the session holds. */
    readonly parameters: Float32Array;
    readonly ending: Ending;
  },
): Promise<void> {
  const shown = ending.outcome === "interrupted" ? await affordable(session, test) : test;
  const logits = await session.predict(shown);
  await writeReport(folder, { ending, test: shown, trained: { parameters, logits } });
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
  if (count >= test.count) return test;
  const part = sliceImages(test, 0, count);
  return part;
}

/** Writes the report of a run whose loss is not finite any more: it shows the model saved last. */
export async function reportDivergence(
  folder: RunFolder,
  { session, test, message }: {
    readonly session: Session;
    readonly test: LabeledImages;
    readonly message: string;
  },
): Promise<void> {
  await folder.saveDivergence(message);
  const ending: Ending = { outcome: "diverged", message };
  if (folder.history.length === 0) return await writeReport(folder, { ending, test });
  const parameters = await readRunParameters(folder.path, folder.model);
  await session.loadState({ parameters, slots: [], step: 0 });
  await reportEnd(folder, { session, test, parameters, ending });
}

async function writeReport(
  folder: RunFolder,
  run: Pick<RunReportInput, "ending" | "test" | "trained">,
): Promise<void> {
  const { path, config, model, history } = folder;
  const { runReport } = await import("../report/run_report.ts"); // only now: a run starts without it
  const name = basename(resolve(path));
  const mapBackend = await loadBackend("reference");
  const page = await runReport({ ...run, name, config, model, history, mapBackend });
  await folder.writePicture("report.html", page);
}

/** Draws the curves of a run; one of no epochs has none. */
export async function drawCurves(folder: RunFolder): Promise<void> {
  const { model, config: { dataset }, history } = folder;
  if (history.length === 0) return;
  const { curvesSvg } = await import("../report/curves.ts");
  await folder.writePicture(
    "curves.svg",
    await curvesSvg(`${model.name} on ${dataset.name}`, history),
  );
}
