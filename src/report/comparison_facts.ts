/** What a comparison found, beyond single rows: ratios, who cannot be told apart, and the verdict. */

import { isMeasured, type Measured, type Row } from "./comparison.ts";
import type { Scaled } from "./comparison_scaling.ts";
import type { TimeToAccuracy } from "./comparison_until.ts";
import type { Environment } from "./environment.ts";
import { type Estimate, isUndecided, medianInterval, ratioInterval, spread } from "./statistics.ts";

/** All that a comparison reports: the content of its JSON file and of its page. */
export interface ComparisonFacts {
  readonly model: string;
  readonly dataset: string;
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

/** Rates, ratios and warnings of a comparison's rows. */
export function judgeRows(rows: readonly Row[], seed: number): Pick<
  ComparisonFacts,
  "rates" | "warnings"
> {
  const measured = rows.filter(isMeasured);
  const rates = measured.map((row): Rate => ({
    backend: row.backend,
    train: medianInterval(row.trainImagesPerSecond, { seed }),
    evaluate: medianInterval(row.evalImagesPerSecond, { seed }),
    ratio: ratioOf(row, measured[0], seed),
  }));
  return { rates, warnings: [...undecidedPairs(measured, seed), ...noiseOf(measured)] };
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
