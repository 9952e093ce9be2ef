/** What a sweep has come to: its record, which is checked as it is read back. */

import { join } from "node:path";
import { isRecord, parseJson } from "../parse_json.ts";
import { readUnlinked } from "../read_bounded.ts";
import type { Majority } from "../train/metrics.ts";
import type { EpochMetrics } from "../train/trainer.ts";
import { writeAtomic } from "../write_atomic.ts";
import type { Environment } from "./environment.ts";
import {
  isCount,
  isFlat,
  isList,
  isOneOf,
  isOptional,
  isPositive,
  isShare,
  isText,
  requireFields,
} from "./schema.ts";
import { checkMetrics } from "./metrics.ts";

const RECORD = "sweep.json";
/** Some ten thousand configurations. */
const MAX_RECORD_BYTES = 16 * 2 ** 20;
/** More than there are flags: each is a column of the table. */
const MOST_NAMES = 50;

/** One configuration, trained or tried. */
export interface SweepResult {
  /** The varied flags. */
  readonly settings: Readonly<Record<string, string>>;
  /** Of the last epoch; left out where none was finished. */
  readonly last?: EpochMetrics;
  /** Best accuracy of all epochs, on the set that `chosenOn` names. */
  readonly bestAccuracy?: number;
  /** What the best epoch was chosen on; left out where none was finished, and by version 0.1: test. */
  readonly chosenOn?: "validation" | "test";
  /** Why it failed; left out where it did not. */
  readonly error?: string;
  /** With evaluation and opening. */
  readonly elapsedMs: number;
  /** The MPI rank that trained it; 0 without MPI. */
  readonly rank: number;
}

/** Content of `sweep.json`. */
export interface SweepRecord {
  /** When the sweep began, ISO 8601. */
  readonly started: string;
  /** The flags that all configurations share. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly dataset: {
    readonly name: string;
    readonly digest: string;
    /** The most frequent class of the test set; left out by version 0.1. */
    readonly majority?: Majority;
    /** What reading it left out, took for something or missed. */
    readonly notes?: readonly string[];
  };
  readonly environment: Environment;
  /** In the order in which they ended. */
  readonly results: readonly SweepResult[];
}

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
export function parseSweep(text: string, label: string): SweepRecord {
  const invalid = (reason: string) =>
    new SyntaxError(
      `Cannot read ${label} as the record of a sweep: ${reason}; choose another --out`,
    );
  let record: unknown;
  try {
    record = parseJson(text);
  } catch (error) {
    throw invalid(`it is ${(error as SyntaxError).message}`);
  }
  requireFields(record, FIELDS, invalid);
  const checked = record as SweepRecord;
  const results = checked.results.map((result, n) => {
    const invalidResult = (reason: string) => invalid(`result ${n + 1}: ${reason}`);
    requireFields(result, RESULT_FIELDS, invalidResult);
    return result.last === undefined
      ? result
      : { ...result, last: checkMetrics(result.last, invalidResult) };
  });
  const names = new Set(results.flatMap(({ settings }) => Object.keys(settings)));
  if (names.size > MOST_NAMES) throw invalid(`it varies ${names.size} flags`);
  return { ...checked, results };
}

const FIELDS = {
  "started": isText,
  "flags": isFlags,
  "dataset.name": isText,
  "dataset.digest": isText,
  "dataset.majority": isOptional((value) =>
    isText(Object(value).className) && isPositive(Object(value).share)
  ),
  "environment": isFlat,
  "results": isList(isRecord),
};

const RESULT_FIELDS = {
  "settings": (value: unknown) =>
    isFlat(value) && Object.entries(Object(value)).flat().every(isText),
  "last": isOptional(isRecord),
  "bestAccuracy": isOptional((value) => isShare(value) || value === 1),
  "chosenOn": isOptional(isOneOf("validation", "test")),
  "error": isOptional(isText),
  "elapsedMs": (value: unknown) => value === 0 || isPositive(value),
  "rank": isCount,
};

/** Values of flags by name. */
function isFlags(value: unknown): boolean {
  return isRecord(value) &&
    Object.values(value).every((item) =>
      isText(item) || Number.isFinite(item) || typeof item === "boolean"
    );
}

/** Writes the record, whole. */
export async function writeSweep(folder: string, record: SweepRecord): Promise<void> {
  await writeAtomic(join(folder, RECORD), JSON.stringify(record, undefined, 2) + "\n");
}
