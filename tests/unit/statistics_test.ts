import { createRandom } from "../../src/random.ts";
import {
  isUndecided,
  median,
  medianInterval,
  ratioInterval,
  spread,
} from "../../src/compare/statistics.ts";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "../assert.ts";

Deno.test("median and spread: odd, even and single numbers, in any order", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertEquals(spread([7]), { median: 7, min: 7, max: 7 });
  assertEquals(spread([10, 9, 1]), { median: 9, min: 1, max: 10 });
});

Deno.test("intervals: equal seeds give equal intervals, too few measurements none", () => {
  const values = [5, 9, 2, 7, 6];
  assertEquals(medianInterval(values, { seed: 3 }), medianInterval(values, { seed: 3 }));
  assertEquals(medianInterval([1, 2]), undefined);
  assertEquals(ratioInterval([1, 2], [1, 2]), undefined);
  assertThrows(() => ratioInterval([1, 2, 3], [1, 2]), RangeError, "Cannot pair 3");
});

Deno.test("ratioInterval: what slows both down in a turn cancels", () => {
  const ratio = ratioInterval([20, 2, 40, 10, 30], [10, 1, 20, 5, 15])!;
  assertEquals(ratio, { value: 2, low: 2, high: 2 });
  assert(!isUndecided(ratio));
});

Deno.test("intervals hold the true value in about 95 of 100 experiments", () => {
  const random = createRandom(1, "coverage");
  const [experiments, repeats] = [300, 15];
  let [medians, ratios] = [0, 0];
  for (let seed = 0; seed < experiments; seed++) {
    const draw = (mean: number) =>
      Array.from({ length: repeats }, () => mean * Math.exp(random.normal(0.2)));
    const [slow, fast] = [draw(100), draw(150)];
    const options = { seed, resamples: 400 };
    const middle = medianInterval(slow, options)!;
    const ratio = ratioInterval(fast, slow, options)!;
    medians += middle.low <= 100 && middle.high >= 100 ? 1 : 0;
    ratios += ratio.low <= 1.5 && ratio.high >= 1.5 ? 1 : 0;
  }
  assert(medians / experiments > 0.88, `medians: ${medians / experiments}`);
  assert(ratios / experiments > 0.88, `ratios: ${ratios / experiments}`);
  assert(ratios / experiments < 0.995, "intervals so wide say nothing");
});

Deno.test("medianInterval narrows as measurements grow in number", () => {
  const random = createRandom(2, "width");
  const width = (count: number) => {
    const values = Array.from({ length: count }, () => 100 + random.normal(10));
    const { low, high } = medianInterval(values)!;
    return high - low;
  };
  assert(width(400) < width(20) / 2);
  assertAlmostEquals(width(400), 2 * 1.96 * 1.2533 * 10 / 20, 1.2);
});
