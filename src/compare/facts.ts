/** What a comparison found, beyond single rows: ratios, who cannot be told apart, and the verdict. */

import { isMeasured, type Measured, type Row } from "./turns.ts";
import type { Scaled } from "./scaling.ts";
import type { TimeToAccuracy } from "./until.ts";
import { type Load, loadWarnings } from "./load.ts";
import type { Environment } from "../run/environment.ts";
import {
  type Estimate,
  isUndecided,
  median,
  medianInterval,
  ratioInterval,
  spread,
} from "./statistics.ts";

/** All that a comparison reports: the content of its JSON file and of its page. */
export interface ComparisonFacts {
  readonly model: string;
  readonly dataset: string;
  /** What reading it left out, took for something or missed; left out where nothing. */
  readonly notes?: readonly string[];
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Steps of each repeat; undefined where each contender had its own. */
  readonly steps?: number;
  readonly repeats: number;
  readonly testCount: number;
  readonly date: string;
  readonly environment: Environment;
  readonly rows: readonly Row[];
  readonly rates: readonly Rate[];
  /** In plain words, what the figures do not show. */
  readonly warnings: readonly string[];
  /** What others used of the machine; undefined where it cannot be told. */
  readonly load?: Load;
  /** The rates of one thread, which a loaded machine slows less than those of all. */
  readonly controls?: readonly Scaled[];
  readonly until?: { readonly accuracy: number; readonly times: readonly TimeToAccuracy[] };
  readonly scaling?: readonly Scaled[];
}

/** A contender's training rate with its 95% intervals, where there were repeats enough. */
export interface Rate {
  readonly backend: string;
  readonly train?: Estimate;
  readonly evaluate?: Estimate;
  /** Of its training rate to the first contender's. */
  readonly ratio?: Estimate;
}

/** Ranges beyond this share of the median make a machine noisy. */
const NOISY = 0.5;

/** All threads should bring this much more than one: less, and others were using the cores. */
const MIN_GAIN = 1.1;

/** Rates, ratios and warnings of a comparison's rows. */
export function judgeRows(
  rows: readonly Row[],
  { seed, load, controls = [] }: Pick<ComparisonFacts, "seed" | "load" | "controls">,
): Pick<ComparisonFacts, "rates" | "warnings"> {
  const measured = rows.filter(isMeasured);
  const rates = measured.map((row): Rate => ({
    backend: row.backend,
    train: medianInterval(row.trainImagesPerSecond, { seed }),
    evaluate: medianInterval(row.evalImagesPerSecond, { seed }),
    ratio: ratioOf(row, measured[0], seed),
  }));
  const warnings = [
    ...(load ? loadWarnings(load) : []),
    ...controls.flatMap((control) => controlWarnings(control, measured)),
    ...noiseOf(measured),
    ...undecidedPairs(measured, seed),
  ];
  return { rates, warnings };
}

function controlWarnings({ backend, estimate }: Scaled, measured: readonly Measured[]): string[] {
  const row = measured.find((other) => other.backend === backend);
  if (row === undefined) return [];
  const [all, one] = [median(row.trainImagesPerSecond), estimate.value];
  if (all >= MIN_GAIN * one) return [];
  const { threads } = row.device;
  return [
    `${backend} trained ${Math.round(all)} images/s on ${threads} threads and ` +
    `${Math.round(one)} on one: something else used the cores, and no ratio to it holds`,
  ];
}

/** Whether all contenders compute what the reference does. */
export function allAgree(rows: readonly Row[]): boolean {
  return rows.filter(isMeasured).every(({ agreement }) => agreement.verdict === "agrees");
}

function ratioOf(row: Measured, base: Measured, seed: number): Estimate | undefined {
  return ratioInterval(row.trainImagesPerSecond, base.trainImagesPerSecond, { seed });
}

function undecidedPairs(measured: readonly Measured[], seed: number): string[] {
  return measured.flatMap((first, index) =>
    measured.slice(index + 1).flatMap((second) => {
      const ratio = ratioOf(second, first, seed);
      if (ratio === undefined || !isUndecided(ratio)) return [];
      return [
        `Cannot tell ${second.backend} from ${first.backend}: the ratio of their rates lies ` +
        `between ${ratio.low.toFixed(2)} and ${ratio.high.toFixed(2)}, which holds 1; ` +
        `take more --repeats, or a quieter machine`,
      ];
    })
  );
}

function noiseOf(measured: readonly Measured[]): string[] {
  const noisy = measured.filter(({ trainImagesPerSecond }) => {
    const { min, max, median } = spread(trainImagesPerSecond);
    return max - min > NOISY * median;
  });
  if (noisy.length === 0) return [];
  return [
    `The machine was noisy: repeats of ${noisy.map(({ backend }) => backend).join(", ")} ` +
    `differ by more than half of their median; something else was running`,
  ];
}
