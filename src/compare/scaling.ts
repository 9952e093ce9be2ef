/** How the rate of training grows with threads and with the batch. */

import type { Contender } from "./contender.ts";
import type { ComparisonPlan } from "./plan.ts";
import { sliceImages } from "../data/dataset.ts";
import { countOf } from "../quote.ts";
import { type Estimate, medianInterval, spread } from "./statistics.ts";
import { type ComparisonHooks, isMeasured, measureEntrants } from "./turns.ts";

/** A contender's training rate at one number of threads and one batch size. */
export interface Scaled {
  readonly backend: string;
  /** What changes along this row's line. */
  readonly along: "threads" | "batch";
  readonly threads: number;
  readonly batchSize: number;
  readonly trainImagesPerSecond: readonly number[];
  readonly estimate: Estimate;
}

const BATCH_SIZES = [32, 256, 1024];
/** Slower contenders would take minutes for a batch of 1,024. */
const MIN_RATE = 300;
/** Milliseconds of a repeat, about. */
const BUDGET_MS = 250;
/** Test images of a repeat, whose evaluation is not what is asked about. */
const TEST_COUNT = 256;

/** Measures some numbers of threads, where they can be chosen, and some batch sizes, in turns.
 *
 * @param rates Training images a second by contender, as measured; slow ones are left out.
 * @param threads Default: those of the plan alone.
 * @param batchSizes Default: 32, 256 and 1,024.
 * @throws {Error} The signal's reason, once it aborts.
 */
export async function measureScaling(
  contenders: readonly Contender[],
  plan: ComparisonPlan,
  { rates, threads = [], batchSizes = BATCH_SIZES, ...hooks }: ComparisonHooks & {
    readonly rates: ReadonlyMap<string, number>;
    readonly threads?: readonly number[];
    readonly batchSizes?: readonly number[];
  },
): Promise<Scaled[]> {
  const { dataset: { test, ...dataset }, threads: all = navigator.hardwareConcurrency } = plan;
  const shortTest = sliceImages(test, 0, Math.min(test.count, TEST_COUNT));
  const entrants = contenders.flatMap((contender) => {
    const rate = rates.get(contender.name) ?? 0;
    if (rate < MIN_RATE) return [];
    const variant = (along: Scaled["along"], what: string, change: Partial<ComparisonPlan>) => {
      const { batchSize, threads = all } = { ...plan, ...change };
      const images = rate * threads / all * BUDGET_MS / 1000;
      const steps = Math.max(1, Math.floor(images / batchSize));
      const changed = { ...plan, ...change, steps, dataset: { ...dataset, test: shortTest } };
      return { name: `${contender.name}, ${what}`, along, contender, plan: changed };
    };
    return [
      ...(contender.threaded ? threads : []).map((threads) =>
        variant("threads", countOf(threads, "thread"), { threads })
      ),
      ...batchSizes.map((batchSize) => variant("batch", `batch ${batchSize}`, { batchSize })),
    ];
  });
  const rows = await measureEntrants(entrants, plan.repeats, hooks);
  return rows.flatMap((row, index) => {
    if (!isMeasured(row)) return [];
    const { trainImagesPerSecond, device: { threads }, work: { batchSize } } = row;
    const { contender, along } = entrants[index];
    const { median, min, max } = spread(trainImagesPerSecond);
    const estimate = medianInterval(trainImagesPerSecond, { seed: plan.seed }) ??
      { value: median, low: min, high: max };
    return [{ backend: contender.name, along, threads, batchSize, trainImagesPerSecond, estimate }];
  });
}
