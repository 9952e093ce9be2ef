/** How the rate of training grows with threads and with the batch. */

import type { Contender } from "./contender.ts";
import { chooseSteps, type ComparisonPlan } from "./plan.ts";
import { type Estimate, medianInterval, spread } from "./statistics.ts";
import { type ComparisonHooks, Entry, inTurns } from "./turns.ts";

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
const BUDGET_MS = 250;

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
  { rates, threads = [], batchSizes = BATCH_SIZES, signal, say = () => {} }: ComparisonHooks & {
    readonly rates: ReadonlyMap<string, number>;
    readonly threads?: readonly number[];
    readonly batchSizes?: readonly number[];
  },
): Promise<Scaled[]> {
  const variants: { readonly backend: string; along: Scaled["along"]; readonly entry: Entry }[] =
    [];
  try {
    for (const contender of contenders) {
      if (!((rates.get(contender.name) ?? 0) >= MIN_RATE)) continue;
      const changes = [
        ...(contender.threaded ? threads : []).map((threads) => ({ threads })),
        ...batchSizes.map((batchSize) => ({ batchSize })),
      ];
      for (const change of changes) {
        signal?.throwIfAborted();
        const changed = { ...plan, ...change, steps: undefined, budgetMs: BUDGET_MS };
        const entry = new Entry(changed, await contender.open(changed));
        const along = "threads" in change ? "threads" : "batch";
        variants.push({ backend: contender.name, along, entry });
        const { batchSize, runner: { device } } = { ...changed, ...entry };
        say(`${contender.name}: ${device.threads} threads, batch ${batchSize}: warm-up`);
        entry.work = { steps: 1, batchSize, evalImages: 0, evalPasses: 0 };
        for (let step = 0; step < 2; step++) await entry.takeTurn(signal);
        const { steps } = chooseSteps(changed, entry.repeats.stepMs[1] / batchSize);
        entry.work = { ...entry.work, steps };
        await entry.restart();
      }
    }
    await inTurns(variants, plan.repeats, async (variant, repeat) => {
      signal?.throwIfAborted();
      if (variant === variants[0]) say(`scaling: repeat ${repeat + 1} of ${plan.repeats}`);
      await variant.entry.takeTurn(signal);
    });
    return variants.map(({ backend, along, entry: { runner, work: { batchSize }, repeats } }) => {
      const { trainImagesPerSecond } = repeats;
      const { median, min, max } = spread(trainImagesPerSecond);
      const estimate = medianInterval(trainImagesPerSecond, { seed: plan.seed }) ??
        { value: median, low: min, high: max };
      const { threads } = runner.device;
      return { backend, along, threads, batchSize, trainImagesPerSecond, estimate };
    });
  } finally {
    for (const { entry } of variants) await entry.runner[Symbol.asyncDispose]();
  }
}
