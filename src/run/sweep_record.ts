/** What a sweep has come to: its record, which is checked as it is read back. */

import { join } from "node:path";
import * as v from "valibot";
import { readUnlinked } from "../read_bounded.ts";
import type { Majority } from "../train/metrics.ts";
import { writeAtomic } from "../write_atomic.ts";
import { METRICS } from "./metrics.ts";
import {
  count,
  dictionary,
  ENVIRONMENT,
  fields,
  list,
  notNegative,
  parseBy,
  positive,
  type Schema,
  text,
} from "./schema.ts";

const RECORD = "sweep.json";
/** Some ten thousand configurations. */
const MAX_RECORD_BYTES = 16 * 2 ** 20;
/** More than there are flags: each is a column of the table. */
const MOST_NAMES = 50;

const MAJORITY: Schema<Majority> = fields({ className: text, share: positive });

const RESULT = fields({
  /** The varied flags. */
  settings: dictionary(text),
  /** Of the last epoch, or of the best where patience went back to it; left out where none was finished. */
  last: v.optional(METRICS),
  /** Accuracy of the best epoch, on the set that `chosenOn` names. */
  bestAccuracy: v.optional(v.pipe(notNegative, v.maxValue(1))),
  /** What the best epoch was chosen on; left out where none was finished, and by version 0.1: test. */
  chosenOn: v.optional(v.picklist(["validation", "test"])),
  /** Why it failed; left out where it did not. */
  error: v.optional(text),
  /** With evaluation and opening. */
  elapsedMs: notNegative,
  /** The MPI rank that trained it; 0 without MPI. */
  rank: count,
});

const SWEEP = fields({
  /** When the sweep began, ISO 8601. */
  started: text,
  /** The flags that all configurations share. */
  flags: dictionary<unknown>(v.union([text, v.pipe(v.number(), v.finite()), v.boolean()])),
  dataset: fields({
    name: text,
    digest: text,
    /** The most frequent class of the test set; left out by version 0.1. */
    majority: v.optional(MAJORITY),
    /** What reading it left out, took for something or missed; made printable where shown. */
    notes: v.optional(list(v.string())),
  }),
  environment: ENVIRONMENT,
  /** In the order in which they ended. */
  results: list(RESULT),
});

/** One configuration, trained or tried. */
export type SweepResult = v.InferOutput<typeof RESULT>;

/** Content of `sweep.json`. */
export type SweepRecord = v.InferOutput<typeof SWEEP>;

/** Reads the record of a sweep; undefined if the folder has none.
 *
 * @throws {SyntaxError} If it is damaged.
 * @throws {RangeError} If it is too large.
 * @throws {TypeError} If it is a link, or no file.
 */
export async function readSweep(folder: string): Promise<SweepRecord | undefined> {
  const path = join(folder, RECORD);
  try {
    const bytes = await readUnlinked(path, MAX_RECORD_BYTES);
    return parseSweep(new TextDecoder().decode(bytes), path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Parses a `sweep.json`.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If it is not the record of a sweep.
 */
export function parseSweep(json: string, label: string): SweepRecord {
  const invalid = (reason: string) => {
    const named = reason.replace(
      /^results\.(\d+)\.(last\.)?/,
      (_, n) => `result ${Number(n) + 1}: `,
    );
    return new SyntaxError(
      `Cannot read ${label} as the record of a sweep: ${named}; choose another --out`,
    );
  };
  const record = parseBy(SWEEP, json, invalid);
  const names = new Set(record.results.flatMap(({ settings }) => Object.keys(settings)));
  if (names.size > MOST_NAMES) throw invalid(`it varies ${names.size} flags`);
  return record;
}

/** Writes the record, whole. */
export async function writeSweep(folder: string, record: SweepRecord): Promise<void> {
  await writeAtomic(join(folder, RECORD), JSON.stringify(record, undefined, 2) + "\n");
}
