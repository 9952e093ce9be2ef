/** A comparison as text for the terminal and for Markdown: three narrow tables rather than a wide one. */

import { isMeasured, type Measured } from "./turns.ts";
import type { ComparisonFacts } from "./facts.ts";
import { type Estimate, median, spread } from "./statistics.ts";
import { machineText } from "../run/environment.ts";
import { countOf, formatCount, formatTable } from "../report/table.ts";

/** Describes all that was found. */
export function describeComparison(facts: ComparisonFacts): string {
  const { rows, until, scaling } = facts;
  const measured = rows.filter(isMeasured);
  const sections = [
    [describeTask(facts), describeMachine(facts)],
    facts.warnings.map((text) => `Warning: ${text}.`),
    ...[speedTable(facts), agreementTable(facts), startTable(facts)],
    ...(until ? [untilTable(until)] : []),
    ...(scaling ? [scalingTable(scaling)] : []),
    [
      ...measured.map((row) => `- ${row.backend}: ${deviceText(row)}`),
      ...rows.flatMap((row) => isMeasured(row) ? [] : [`- ${row.backend}: ${row.reason}`]),
    ],
    [explanation(facts.rates[0]?.backend)],
  ];
  return sections.map((part) => {
    if (!("header" in part)) return part.join("\n");
    return formatTable(part.header, part.rows, `l${"r".repeat(part.header.length - 1)}`);
  }).filter((text) => text !== "").join("\n\n");
}

/** What was done, in a sentence. */
export function describeTask(facts: ComparisonFacts): string {
  const { model, dataset, batchSize, repeats, steps, testCount } = facts;
  const work = steps === undefined ? "" : ` of ${countOf(steps, "step")}`;
  return `${model} on ${dataset}, batch ${batchSize}: ${countOf(repeats, "repeat")}${work}, ` +
    `evaluation on ${countOf(testCount, "image")}`;
}

/** On what machine, and when. */
export function describeMachine({ environment, date }: ComparisonFacts): string {
  return `${machineText(environment)}, ${date}`;
}

/** What a contender ran on. */
export function deviceText({ device }: Measured): string {
  const { description, kind, threads, software } = device;
  return `${description}, ${kind === "cpu" ? countOf(threads, "thread") : "GPU"}` +
    (software ? " emulated by the CPU" : "");
}

/** `10 x 256`: steps and batch. */
function workText({ steps, batchSize }: { steps: number; batchSize: number }): string {
  return `${steps} x ${batchSize}`;
}

/** `0.44 (0.42..0.47)`. */
export function ratioText(ratio: Estimate | undefined): string {
  if (ratio === undefined) return "3 repeats or more";
  const { value, low, high } = ratio;
  if (low === value && high === value) return formatRatio(value);
  return `${formatRatio(value)} (${formatRatio(low)}..${formatRatio(high)})`;
}

/** A relative difference; `not finite` where one side diverged. */
function differenceText(value: number): string {
  if (!Number.isFinite(value)) return "not finite";
  return value === 0 ? "0" : value.toExponential(1);
}

/** `12.3 s`, `250 ms`. */
export function durationText(milliseconds: number): string {
  return milliseconds < 1000
    ? `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`
    : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Images a second: whole ones unless there are few. */
export function rateText(rate: number): string {
  return rate < 10 ? rate.toFixed(1) : formatCount(rate);
}

/** A table: rows of cells, the first of which names its row; numbers stand to the right. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Rates, in the order of the contenders; a row of two cells for who is not there. */
export function speedTable({ rows, rates }: ComparisonFacts): Table {
  return {
    header: ["backend", "steps", "train img/s", "range", "ratio", "eval img/s", "step"],
    rows: rows.map((row) => {
      if (!isMeasured(row)) return [row.backend, "unavailable"];
      const train = spread(row.trainImagesPerSecond);
      return [
        ...[row.backend, workText(row.work), rateText(train.median)],
        `${rateText(train.min)}..${rateText(train.max)}`,
        ratioText(rates.find(({ backend }) => backend === row.backend)?.ratio),
        rateText(median(row.evalImagesPerSecond)),
        durationText(median(row.stepMs)),
      ];
    }),
  };
}

/** What came before the repeats. */
export function startTable({ rows }: ComparisonFacts): Table {
  return {
    header: ["backend", "start", "first step", "warm-up"],
    rows: rows.filter(isMeasured).map((row) => [
      ...[row.backend, durationText(row.startMs)],
      `${durationText(row.firstStepMs)} (batch ${row.firstBatchSize})`,
      durationText(row.warmUpMs),
    ]),
  };
}

/** First steps against the reference. */
export function agreementTable({ rows }: ComparisonFacts): Table {
  return {
    header: ["backend", "compared", "losses", "parameters", "allowed", "verdict"],
    rows: rows.filter(isMeasured).map(({ backend, agreement }) => {
      const { lossDifference, parameterDifference, tolerance, verdict } = agreement;
      const [losses, parameters] = [lossDifference, parameterDifference].map(differenceText);
      const allowed = [tolerance.losses, tolerance.parameters].map(differenceText).join(", ");
      const judged = verdict === "agrees" ? "agrees" : "DIFFERS";
      return [backend, workText(agreement), losses, parameters, allowed, judged];
    }),
  };
}

/** Time to an accuracy; a row of two cells for who was left out. */
export function untilTable({ accuracy, times }: NonNullable<ComparisonFacts["until"]>): Table {
  return {
    header: [`until ${accuracy}`, "training", "wall", "epoch", "epochs", "test accuracy"],
    rows: times.map((time) => {
      if (time.reason !== undefined) return [time.backend, time.reason];
      const [training, wall, epoch] = [time.trainMs!, time.wallMs!, time.epochMs!].map(
        durationText,
      );
      const reached = time.reached ? training : "not reached";
      return [time.backend, reached, wall, epoch, `${time.epochs}`, time.testAccuracy!.toFixed(4)];
    }),
  };
}

function scalingTable(scaling: NonNullable<ComparisonFacts["scaling"]>): Table {
  return {
    header: ["scaling", "threads", "batch", "train img/s", "95%"],
    rows: scaling.map(({ backend, threads, batchSize, estimate }) => {
      const [value, low, high] = [estimate.value, estimate.low, estimate.high].map(rateText);
      return [backend, `${threads}`, `${batchSize}`, value, `${low}..${high}`];
    }),
  };
}

function explanation(first: string | undefined): string {
  return "Rates are medians of the repeats, which took turns; start, first step and warm-up are " +
    "not part of them. steps: steps of a repeat x images of a step, fewer where a backend is slow. " +
    (first === undefined ? "" : `ratio: training rate over that of ${first}, with its 95% ` +
      "bootstrap interval. ") +
    "compared: first steps against the float64 reference, from the same parameters; losses and " +
    "parameters: largest relative difference.";
}

function formatRatio(ratio: number): string {
  return ratio >= 0.095 ? ratio.toFixed(2) : ratio.toPrecision(2);
}
