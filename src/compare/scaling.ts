/** How the rate of training grows with threads and with the batch. */

import { type ComparisonHooks, inTurns } from "./turns.ts";
import { chooseSteps, type ComparisonPlan, SampleOrder } from "./plan.ts";
import type { Contender, Runner } from "./contender.ts";
import { type Estimate, medianInterval, spread } from "./statistics.ts";

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

interface Variant extends Pick<Scaled, "backend" | "along" | "batchSize"> {
  readonly plan: ComparisonPlan;
  readonly runner: Runner;
  readonly rates: number[];
  steps: number;
  position: number;
}

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
  const order = new SampleOrder(plan);
  const variants: Variant[] = [];
  try {
    for (const contender of contenders) {
      if (!((rates.get(contender.name) ?? 0) >= MIN_RATE)) continue;
      const changes = [
        ...(contender.threaded ? threads : [])
          .map((threads) => ({ along: "threads" as const, threads })),
        ...batchSizes.map((batchSize) => ({ along: "batch" as const, batchSize })),
      ];
      for (const { along, ...change } of changes) {
        signal?.throwIfAborted();
        const changed = { ...plan, ...change, steps: undefined, budgetMs: BUDGET_MS };
        const runner = await contender.open(changed);
        const { name: backend } = contender;
        const { batchSize } = changed;
        variants.push({
          ...{ backend, along, batchSize, plan: changed, runner },
          ...{ rates: [], steps: 1, position: 0 },
        });
        say(`${backend}: ${runner.device.threads} threads, batch ${batchSize}: warm-up`);
        await train(variants.at(-1)!, order, signal);
        const warm = await train(variants.at(-1)!, order, signal);
        variants.at(-1)!.steps = chooseSteps(changed, warm / batchSize).steps;
      }
    }
    await inTurns(variants, plan.repeats, async (variant, repeat) => {
      signal?.throwIfAborted();
      if (variant === variants[0]) say(`scaling: repeat ${repeat + 1} of ${plan.repeats}`);
      const elapsedMs = await train(variant, order, signal);
      variant.rates.push(1000 * variant.steps * variant.batchSize / elapsedMs);
    });
    return variants.map(({ backend, along, batchSize, runner, rates }) => {
      const { median, min, max } = spread(rates);
      const estimate = medianInterval(rates, { seed: plan.seed }) ??
        { value: median, low: min, high: max };
      const { threads } = runner.device;
      return { backend, along, threads, batchSize, trainImagesPerSecond: rates, estimate };
    });
  } finally {
    for (const { runner } of variants) await runner[Symbol.asyncDispose]();
  }
}

async function train(variant: Variant, order: SampleOrder, signal?: AbortSignal): Promise<number> {
  const { runner, batchSize, steps, plan: { learningRate } } = variant;
  const samples = order.slice(variant.position, steps * batchSize);
  variant.position += samples.length;
  return (await runner.train(samples, { batchSize, learningRate, signal })).elapsedMs;
}
