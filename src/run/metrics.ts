/** The logs of a run, one JSON object a line, as they are read back: every line is checked. */

import { isRecord, parseJson } from "../parse_json.ts";
import { quote } from "../quote.ts";
import type { EpochMetrics } from "../train/trainer.ts";

/** One line of `steps.jsonl`. */
export interface StepMetrics {
  /** Number of the step, from 1. */
  readonly step: number;
  /** Mean loss of the step's batch. */
  readonly loss: number;
}

/** Parses the content of `metrics.jsonl`; a last line that a crash cut off is left out.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If a line is not what a run writes.
 */
export function parseMetricsLog(text: string, label: string): EpochMetrics[] {
  return parseLog<EpochMetrics>(text, label, METRICS_FIELDS);
}

/** Parses the content of `steps.jsonl`, as {@linkcode parseMetricsLog} does.
 *
 * @throws {SyntaxError} If a line is not what a run writes.
 */
export function parseStepsLog(text: string, label: string): StepMetrics[] {
  return parseLog<StepMetrics>(text, label, STEP_FIELDS);
}

type Check = "count" | "number" | "number, if any";

const METRICS_FIELDS: Readonly<Record<keyof EpochMetrics, Check>> = {
  epoch: "count",
  step: "count",
  trainLoss: "number",
  trainAccuracy: "number",
  testLoss: "number",
  testAccuracy: "number",
  validationLoss: "number, if any",
  validationAccuracy: "number, if any",
  trainMs: "number",
  evalMs: "number",
  imagesPerSecond: "number",
};

const STEP_FIELDS: Readonly<Record<keyof StepMetrics, Check>> = {
  step: "count",
  loss: "number",
};

function parseLog<Line extends object>(
  text: string,
  label: string,
  fields: Readonly<Record<string, Check>>,
): Line[] {
  const lines = text.split("\n");
  lines.pop(); // what follows the last newline: nothing, or half a line
  return lines.map((line, index) => {
    const invalid = (reason: string) =>
      new SyntaxError(`Cannot read line ${index + 1} of ${label}: ${reason}`);
    return parseLine(line, fields, invalid) as Line;
  });
}

function parseLine(
  line: string,
  fields: Readonly<Record<string, Check>>,
  invalid: (reason: string) => SyntaxError,
): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(line);
  } catch (error) {
    throw invalid(`it is ${(error as SyntaxError).message}`);
  }
  return checkNumbers(value, fields, invalid);
}

/** Checks the metrics of an epoch, which JSON has without NaN and infinity.
 *
 * @param invalid Makes the error of what is wrong.
 * @throws {SyntaxError} What `invalid` makes.
 */
export function checkMetrics(
  value: unknown,
  invalid: (reason: string) => SyntaxError,
): EpochMetrics {
  return checkNumbers(value, METRICS_FIELDS, invalid) as object as EpochMetrics;
}

function checkNumbers(
  value: unknown,
  fields: Readonly<Record<string, Check>>,
  invalid: (reason: string) => SyntaxError,
): Record<string, unknown> {
  if (!isRecord(value)) throw invalid("it is not a JSON object");
  const checked = { ...value };
  for (const [name, check] of Object.entries(fields)) {
    const found = Object.hasOwn(value, name) ? value[name] : undefined;
    // JSON has no NaN and no infinity: they are written as null.
    if (found === undefined && check === "number, if any") continue;
    if (found === null && check !== "count") checked[name] = NaN;
    else if (!isValid(found, check)) {
      throw invalid(`${name} is missing or out of range: found ${quote(found)}`);
    }
  }
  return checked;
}

function isValid(value: unknown, check: Check): boolean {
  return check === "count"
    ? Number.isSafeInteger(value) && Number(value) >= 0
    : Number.isFinite(value);
}
