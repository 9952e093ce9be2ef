import { createRandom, permutation } from "../../src/random.ts";
import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "../assert.ts";

const DRAWS = 100_000;

function draw(count: number, next: () => number): number[] {
  return Array.from({ length: count }, next);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Mean of (value / standardDeviation)^power. */
function moment(values: readonly number[], power: number, standardDeviation = 1): number {
  return meanOf(values.map((value) => (value / standardDeviation) ** power));
}

Deno.test("a stream's numbers are the same on every machine, for ever", () => {
  const first = createRandom(0, "parameters");
  assertEquals(draw(3, first.uint32), [4_205_494_476, 3_341_565_944, 4_132_779_596]);
  const largest = createRandom(Number.MAX_SAFE_INTEGER, "x");
  assertEquals(largest.uniform(-1, 1), -0.386911834590137);
  assertAlmostEquals(largest.normal(1), 0.1262002835972209, 1e-12);
  assertAlmostEquals(largest.normal(1), -2.134572624264168, 1e-12);
  assertEquals(largest.below(10), 3);
  const order = permutation(10, createRandom(7, "order of epoch 1"));
  assertEquals([...order], [7, 1, 5, 3, 2, 9, 4, 8, 6, 0]);
});

Deno.test("neighbouring seeds and names give unrelated streams", () => {
  const streams: [number, string][] = [
    [0, ""],
    [1, ""],
    [2 ** 32, ""],
    [2 ** 32 + 1, ""],
    [0, "a"],
    [0, "b"],
    [0, "ab"],
    [0, "ba"],
    [0, "order of epoch 1"],
    [0, "order of epoch 2"],
  ];
  const numbers = streams.map(([seed, name]) => draw(2_000, createRandom(seed, name).uint32));
  for (const [i, one] of numbers.entries()) {
    for (const other of numbers.slice(0, i)) {
      assertNotEquals(one[0], other[0]);
      const centred = one.map((value, n) => (value / 2 ** 31 - 1) * (other[n] / 2 ** 31 - 1));
      // The mean product of independent uniforms has standard deviation 1 / (3 sqrt(2000)) = 0.0075.
      assertAlmostEquals(meanOf(centred), 0, 0.04);
    }
  }
});

Deno.test("drawing from one stream does not shift another", () => {
  const alone = draw(5, createRandom(3, "weights").uint32);
  const [weights, order] = [createRandom(3, "weights"), createRandom(3, "order")];
  assertEquals(
    draw(5, () => {
      order.normal(1);
      return weights.uint32();
    }),
    alone,
  );
});

Deno.test("uniform numbers have the moments of the uniform distribution and keep their bounds", () => {
  const random = createRandom(1, "statistics");
  const values = draw(DRAWS, () => random.uniform(-2, 6));
  assert(values.every((value) => value >= -2 && value < 6));
  assertAlmostEquals(meanOf(values), 2, 0.03);
  assertAlmostEquals(moment(values.map((value) => value - 2), 2), 64 / 12, 0.05);
});

Deno.test("normal numbers have the moments of the normal distribution", () => {
  const random = createRandom(1, "statistics");
  const values = draw(DRAWS, () => random.normal(3));
  assertAlmostEquals(moment(values, 1, 3), 0, 0.02);
  assertAlmostEquals(moment(values, 2, 3), 1, 0.02);
  assertAlmostEquals(moment(values, 3, 3), 0, 0.05);
  assertAlmostEquals(moment(values, 4, 3), 3, 0.15);
});

Deno.test("below is even over its range, also where the range does not divide 2^32", () => {
  const random = createRandom(1, "statistics");
  const counts = new Array<number>(7).fill(0);
  for (let n = 0; n < DRAWS; n++) counts[random.below(7)]++;
  const expected = DRAWS / 7;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert(chiSquare < 22.5, `chi-square of 6 degrees of freedom: ${chiSquare}`); // p = 0.001
  const wide = draw(1_000, () => random.below(3 * 2 ** 30));
  assert(wide.every((value) => value < 3 * 2 ** 30));
  assertAlmostEquals(meanOf(wide) / (3 * 2 ** 30), 0.5, 0.05);
});

Deno.test("a permutation holds every number once, and every order is as likely", () => {
  const order = permutation(1_000, createRandom(5, "order"));
  assertEquals([...order].sort((a, b) => a - b), [...Array(1_000).keys()]);
  const random = createRandom(1, "statistics");
  const counts = new Map<string, number>();
  for (let n = 0; n < 24_000; n++) {
    const key = permutation(4, random).join("");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assertEquals(counts.size, 24);
  for (const count of counts.values()) assertAlmostEquals(count, 1_000, 150);
  assertEquals([permutation(0, random).length, ...permutation(1, random)], [0, 0]);
});
