/** Middle, spread and confidence of repeated measurements. */

import { createRandom } from "../random.ts";

/** Median, smallest and largest of some measurements. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** An estimate and the interval that holds the true value in 95 of 100 experiments. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** How a bootstrap draws; equal seeds give equal intervals. */
interface BootstrapOptions {
  readonly seed?: number;
  /** Number of resamples. */
  readonly resamples?: number;
}

/** Fewest measurements that say anything about how they scatter. */
const MIN_FOR_INTERVAL = 3;

/** Median and quartiles of some measurements. */
export interface Quartiles {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly samples: number;
}

/** The value below which a share of one or more numbers lies, between two neighbours in proportion.
 *
 * Source: Hyndman and Fan 1996, type 7; NumPy's default.
 *
 * @param share 0 for the smallest to 1 for the largest.
 */
function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)];
  return below + (sorted[Math.ceil(place)] - below) * (place % 1);
}

/** Middle of one or more numbers. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/** Summarises one or more measurements by their middle half. */
export function quartiles(values: readonly number[]): Quartiles {
  const [low, median, high] = [0.25, 0.5, 0.75].map((share) => quantile(values, share));
  return { median, low, high, samples: values.length };
}

/** Summarises one or more measurements. */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Median of some measurements with its bootstrap interval; undefined for fewer than three.
 *
 * Source: Efron 1979; percentile interval.
 */
export function medianInterval(
  values: readonly number[],
  options?: BootstrapOptions,
): Estimate | undefined {
  return bootstrap(values.length, (turns) => median(turns.map((turn) => values[turn])), options);
}

/** Ratio of the medians of two series of rates that were measured in turns, with its interval.
 *
 * Turns are drawn, not single measurements: a moment that slowed both down counts for both, and
 * cancels. Undefined for fewer than three turns.
 *
 * @throws {RangeError} If the series differ in length.
 * @example Twice as fast, in every turn
 * ratioInterval([20, 40, 60], [10, 20, 30]); // { value: 2, low: ..., high: ... }
 */
export function ratioInterval(
  values: readonly number[],
  baseline: readonly number[],
  options?: BootstrapOptions,
): Estimate | undefined {
  if (values.length !== baseline.length) {
    throw new RangeError(
      `Cannot pair ${values.length} measurements with ${baseline.length}: expected equal numbers`,
    );
  }
  return bootstrap(
    values.length,
    (turns) => median(turns.map((t) => values[t])) / median(turns.map((t) => baseline[t])),
    options,
  );
}

/** Whether an interval of a ratio leaves open which of the two is faster. */
export function isUndecided({ low, high }: Estimate): boolean {
  return low <= 1 && high >= 1;
}

function bootstrap(
  count: number,
  statistic: (turns: readonly number[]) => number,
  { seed = 0, resamples = 2000 }: BootstrapOptions = {},
): Estimate | undefined {
  if (count < MIN_FOR_INTERVAL) return undefined;
  const random = createRandom(seed, "bootstrap");
  const turns = Array.from({ length: count }, (_, turn) => turn);
  const drawn = Float64Array.from(
    { length: resamples },
    () => statistic(turns.map(() => random.below(count))),
  ).sort();
  const at = (share: number) => drawn[Math.round(share * (resamples - 1))];
  return { value: statistic(turns), low: at(0.025), high: at(0.975) };
}
