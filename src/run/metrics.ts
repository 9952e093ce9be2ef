/** The logs of a run, one JSON object a line, as they are read back: every line is checked. */

import * as v from "valibot";
import { isRecord } from "../parse_json.ts";
import { quote } from "../quote.ts";
import type { EpochMetrics } from "../train/progress.ts";
import { FILES } from "./files.ts";
import { count, fields, measured, parseBy, type Schema } from "./schema.ts";

/** The metrics of an epoch. */
export const METRICS: Schema<EpochMetrics> = fields({
  epoch: count,
  step: count,
  trainLoss: measured,
  trainAccuracy: measured,
  testLoss: measured,
  testAccuracy: measured,
  validationLoss: v.optional(measured),
  validationAccuracy: v.optional(measured),
  trainMs: measured,
  evalMs: measured,
  imagesPerSecond: measured,
});

const STEP = fields({
  /** Number of the step, from 1. */
  step: count,
  /** Mean loss of the step's batch. */
  loss: measured,
});

/** Parses the content of `metrics.jsonl`; a last line that a crash cut off is left out.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If a line is not what a run writes.
 */
export function parseMetricsLog(text: string, label: string): EpochMetrics[] {
  return parseLog(METRICS, text, label);
}

/** Parses the content of `steps.jsonl`, as {@linkcode parseMetricsLog} does.
 *
 * @throws {SyntaxError} If a line is not what a run writes.
 */
export function parseStepsLog(text: string, label: string): v.InferOutput<typeof STEP>[] {
  return parseLog(STEP, text, label);
}

/** Checks that the metrics hold each epoch that the checkpoint has seen, once and in order.
 *
 * A run makes sure of that. Curves and report of what somebody has edited would be wrong in silence.
 *
 * @param path Names the run's folder in the error.
 * @throws {TypeError} If they do not.
 */
export function requireEveryEpoch(
  history: readonly EpochMetrics[],
  epochsDone: number,
  path: string,
): void {
  const isWhole = history.length === epochsDone &&
    history.every(({ epoch }, index) => epoch === index + 1);
  if (isWhole) return;
  const found = history.map(({ epoch }) => epoch).join(", ");
  throw new TypeError(
    `Cannot go on with ${path}: ${FILES.metrics} must hold epochs 1 to ${epochsDone} in order, found ` +
      `${quote(found).slice(1, -1) || "none"}; put the file back, or start a new run with --init`,
  );
}

function parseLog<Line>(schema: Schema<Line>, text: string, label: string): Line[] {
  const line = v.pipe(v.unknown(), v.check(isRecord), schema);
  const lines = text.split("\n");
  lines.pop(); // what follows the last newline: nothing, or half a line
  return lines.map((json, index) =>
    parseBy(
      line,
      json,
      (reason) => new SyntaxError(`Cannot read line ${index + 1} of ${label}: ${reason}`),
    )
  );
}
