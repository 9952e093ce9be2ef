// deno-lint-ignore-file no-console
/** The sweep command: many trainings, their table and chart. */

import type { Dataset } from "../data/dataset.ts";
import { findDataset } from "../data/registry.ts";
import { findLauncher } from "../distributed/loader.ts";
import { describeEnvironment } from "../run/environment.ts";
import { sha256Hex } from "../sha256.ts";
import { claimFolder, makeFolder, requireVacant, RUNS } from "../run/files.ts";
import { readSweep, type SweepRecord, type SweepResult, writeSweep } from "../run/sweep_record.ts";
import { writeSweepReport } from "../report/sweep_report.ts";
import { compareWithMajority } from "../train/metrics.ts";
import { decidingAccuracy } from "../train/progress.ts";
import { obtainForTraining } from "./dataset_flag.ts";
import { EXIT, UsageError, withInterrupt } from "./errors.ts";
import { requireWritePermission } from "./permissions.ts";
import { requirePictures, sayNotes } from "./picture_flags.ts";
import { recordedDataset } from "./recorded_path.ts";
import {
  baseFlags,
  flagsOf,
  parseGrid,
  type Settings,
  settingsText,
  SWEEP_COMMAND,
  type SweepFlags,
} from "./sweep_flags.ts";
import { parseTraining } from "./train_flags.ts";
import { setApart } from "./train_recipe.ts";
import { beginningOf, picturesOf, readInitialModel } from "./train_init.ts";
import { type TrainAll, trainAlone } from "./sweep_worker.ts";
import { widthOf, wrapLine } from "./wrap.ts";

export { SWEEP_COMMAND as command };

export async function run(args: string[]): Promise<number> {
  if (findLauncher() === undefined) return await sweepOn(args, trainAlone);
  const { sweepTogether } = await import("./sweep_mpi.ts");
  return await sweepTogether((trainAll) => sweepOn(args, trainAll));
}

async function sweepOn(args: string[], trainAll: TrainAll): Promise<number> {
  const { flags } = parseTraining(SWEEP_COMMAND, args);
  if (flags.grid.length === 0) {
    throw new UsageError("Missing --grid: expected values to try, as --grid lr=0.1,0.2,0.4");
  }
  const grid = parseGrid(flags.grid);
  for (const settings of grid) flagsOf(baseFlags(flags), settings);
  return await withInterrupt((signal) => sweep(flags, { grid, signal, trainAll }));
}

async function sweep(
  flags: SweepFlags,
  { grid, signal, trainAll }: {
    readonly grid: readonly Settings[];
    readonly signal: AbortSignal;
    readonly trainAll: TrainAll;
  },
): Promise<number> {
  await requireWritePermission(flags.out ?? RUNS);
  const base = baseFlags(flags);
  const source = await readInitialModel(base);
  const pictures = picturesOf(base, source);
  const dataset = await obtainForTraining({ ...flags, pictures }, signal);
  requirePictures(dataset, flags);
  // Says now what every configuration would, of each model that there is.
  const parts = setApart(dataset, flags);
  const beginnings = await Array.fromAsync(
    new Set(grid.map(({ model }) => model)),
    (model) => beginningOf(flagsOf(base, model === undefined ? {} : { model }), parts, source),
  );
  if (!flags.quiet) sayNotes({ notes: [...new Set(beginnings.flatMap(({ notes }) => notes))] });
  const out = flags.out ?? await makeFolder("sweep");
  await Deno.mkdir(out, { recursive: true });
  using _claim = await claimFolder(out);
  const shared = sharedFlags(flags, { ...beginnings[0], isKnown: !!findDataset(dataset.name) });
  let record = await openRecord(out, shared, dataset);
  const kept = record.results.filter(({ error }) => error === undefined || !flags.retryFailed);
  record = { ...record, results: kept };
  const keyOf = (settings: Settings) => JSON.stringify(Object.entries(settings).sort());
  const known = new Set(kept.map(({ settings }) => keyOf(settings)));
  const waiting = grid.filter((settings) => !known.has(keyOf(settings)));
  const fit = (line: string) =>
    line.startsWith("|") ? line : wrapLine(line, widthOf(Deno.stdout), 2);
  const say = (text: string) =>
    flags.quiet || flags.json || console.log(text.split("\n").map(fit).join("\n"));
  if (known.size > 0) say(`Going on with ${out}: ${grid.length - waiting.length} are done`);
  let number = grid.length - waiting.length;
  let saved = Promise.resolve(); // ranks may be done at the same time: one write after the other
  await trainAll({
    ...{ base, dataset, signal },
    next: () => signal.aborted ? undefined : waiting.shift(),
    async done(result: SweepResult) {
      record = { ...record, results: [...record.results, result] };
      saved = saved.then(() => writeSweep(out, record));
      await saved;
      number++;
      if (flags.json) console.log(JSON.stringify({ type: "configuration", ...result }));
      say(
        `${String(number).padStart(String(grid.length).length)}/${grid.length} ${lineOf(result)}`,
      );
    },
  });
  const { table, files } = await writeSweepReport(out, record);
  say(`\n${table}\n\nSaved ${out}: sweep.json, ${files.join(", ")}`);
  if (signal.aborted) {
    if (!flags.quiet) console.error(`Stopped; the same command with --out ${out} goes on`);
    return EXIT.interrupted;
  }
  return record.results.every(({ error }) => error !== undefined) ? EXIT.failure : EXIT.ok;
}

/** The record in a claimed folder, or a new one if it is empty.
 *
 * @throws {TypeError} If the folder holds something else, or a sweep that was made otherwise.
 */
async function openRecord(
  out: string,
  shared: Readonly<Record<string, string | number | boolean>>,
  { name, digest, test, classNames, notes }: Dataset,
): Promise<SweepRecord> {
  const before = await readSweep(out);
  if (before === undefined) {
    await requireVacant(out);
    const record: SweepRecord = {
      started: new Date().toISOString(),
      flags: shared,
      dataset: {
        name: recordedDataset(name),
        digest,
        majority: compareWithMajority(0, test.labels, classNames).majority,
        ...(notes && { notes }),
      },
      environment: describeEnvironment(),
      results: [],
    };
    await writeSweep(out, record);
    return record;
  }
  const textOf = (flags: Record<string, unknown>) =>
    JSON.stringify(Object.entries(flags).filter(([, value]) => value !== false)); // as if not there
  if (textOf(shared) !== textOf(before.flags) || digest !== before.dataset.digest) {
    throw new TypeError(
      `Cannot go on with the sweep in ${out}: it was made with other flags or data ` +
        `(${JSON.stringify(before.flags)}); give the same, or choose another --out`,
    );
  }
  return before;
}

/** What decides results and is not part of the grid; the dataset is known by its digest, as files are.
 *
 * Names what data known by name take where nothing is said, as version 0.1 did.
 */
function sharedFlags(
  flags: SweepFlags,
  { flags: filled, options: { loss }, state: { parameters }, isKnown }:
    & Awaited<ReturnType<typeof beginningOf>>
    & { readonly isKnown: boolean },
): Record<string, string | number | boolean> {
  const where = ["dataset", "out", "threads"];
  const free = ["grid", "retryFailed", "quiet", "json", "debug", "help", ...where];
  const isDrawn = flags.init === undefined;
  const { optimizer, schedule = "constant" } = filled;
  const known = isKnown && { ...(isDrawn && { model: filled.model }), optimizer, schedule };
  const files = {
    ...(!isDrawn && { initSha256: sha256Hex(new Uint8Array(parameters.slice().buffer)) }),
    ...(flags.classWeights && { weightsOfClasses: loss?.classWeights?.join() }),
  };
  const entries = Object.entries({ ...flags, ...known, ...files })
    .filter(([name, value]) => value !== undefined && !free.includes(name))
    .map(([name, value]) => [name, Array.isArray(value) ? value.join() : value]);
  return Object.fromEntries(entries);
}

function lineOf({ settings, last, chosenOn, error, elapsedMs, rank }: SweepResult): string {
  const outcome = error === undefined
    ? `${chosenOn ?? "test"} accuracy ${last ? decidingAccuracy(last).toFixed(4) : "unknown"}`
    : `failed: ${error}`;
  const seconds = (elapsedMs / 1000).toFixed(1);
  return `${settingsText(settings)}: ${outcome}  ${seconds} s${rank > 0 ? `  rank ${rank}` : ""}`;
}
