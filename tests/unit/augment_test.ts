/** Augmentation: what is accepted, and what is drawn of it. */

import fc from "fast-check";
import {
  type Augmentation,
  AUGMENTATION_EXAMPLES,
  Augmenter,
  completeAugmentation,
  parseAugmentation,
  showAugmentation,
} from "../../src/data/augment.ts";
import { openBackend } from "../../src/train/open_backend.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { requireSameConfiguration, type RunConfig } from "../../src/run/config.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertThrows,
} from "../assert.ts";

const WHOLE: Augmentation = { flip: true, shift: 2, erase: 0.25, rotate: 10, brightness: 0.2 };

Deno.test("an augmentation is parsed from a list, in any order, and shown in one", () => {
  assertEquals(parseAugmentation(AUGMENTATION_EXAMPLES.join()), WHOLE);
  assertEquals(parseAugmentation("brightness=2e-1+rotate=10, erase=.25 ,shift=2,flip"), WHOLE);
  assertEquals(showAugmentation(WHOLE), "flip, shift 2, erase 0.25, rotate 10, brightness 0.2");
  for (const nothing of ["none", " none ", "shift=0", "erase=0,rotate=0,brightness=0"]) {
    assertEquals(parseAugmentation(nothing), undefined);
  }
  const { flip: _, ...rest } = WHOLE;
  assertEquals(completeAugmentation({ ...rest, flip: false }), rest);
  assertEquals(
    JSON.stringify(completeAugmentation({ shift: 1, flip: true })),
    `{"flip":true,"shift":1}`,
  );
});

Deno.test("what is no augmentation is refused by name, with what is expected", () => {
  const texts: [string, string][] = [
    ["", 'Unknown augmentation "": expected one of flip, shift, erase, rotate, brightness'],
    ["flop", 'Unknown augmentation "flop"'],
    ["none,flip", 'Unknown augmentation "none"'],
    ["constructor=1", 'Unknown augmentation "constructor"'],
    ["flip,shift=2,flip", "Augmentation flip is given twice"],
    ["shift=2+shift=2", "Augmentation shift is given twice"],
    ["flip=0.5", 'Augmentation flip takes no value, found "0.5"'],
    ["rotate", "Augmentation rotate needs a value, as in rotate=10"],
    ["shift=1.5", "Invalid augmentation shift: expected a whole number in 0..1000, found 1.5"],
    ["shift=-1", "Invalid augmentation shift"],
    ["shift=two", 'Invalid augmentation shift: expected a whole number in 0..1000, found "two"'],
    ["shift=", 'found ""'],
    ["erase=1.01", "Invalid augmentation erase: expected a number in 0..1, found 1.01"],
    ["rotate=180.5", "Invalid augmentation rotate: expected a number in 0..180, found 180.5"],
    ["brightness=1e999", "Invalid augmentation brightness: expected a number in 0..1"],
  ];
  for (const [text, message] of texts) {
    assertThrows(() => parseAugmentation(text), Error, message);
  }
  for (const value of [null, 1, "flip", { flip: 1 }, { flop: 1 }, { shift: "2" }, { erase: NaN }]) {
    assertThrows(() => completeAugmentation(value), Error, "ugmentation");
  }
  assertEquals(completeAugmentation({ shift: 4 }, [1, 5, 9]), { shift: 4 });
  assertThrows(
    () => completeAugmentation({ shift: 5 }, [1, 9, 5]),
    RangeError,
    "Cannot shift images of 9x5 by up to 5 pixels: expected less than a side, 4 at most",
  );
});

Deno.test("a session is not opened with an augmentation that its images cannot have", async () => {
  const model = zooModel("softmax");
  await assertRejects(
    () => openBackend("reference", model, { augmentation: { shift: 28 } }),
    RangeError,
    "expected less than a side, 27 at most",
  );
  await assertRejects(
    () => openBackend("reference", model, { augmentation: { erase: -1 } }),
    RangeError,
    "Invalid augmentation erase",
  );
});

Deno.test("what is drawn stays within its range, for any image, step and seed", () => {
  const augmentations = fc.record({
    flip: fc.boolean(),
    shift: fc.integer({ min: 0, max: 4 }),
    erase: fc.double({ min: 0, max: 1, noNaN: true }),
    rotate: fc.double({ min: 0, max: 180, noNaN: true }),
    brightness: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const side = fc.integer({ min: 5, max: 300 });
  const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(augmentations, side, side, word, word, word, (given, height, width, ...counter) => {
      const [seed, step, image] = counter;
      const { shift, rotate, brightness, erase } = given;
      const augmenter = new Augmenter(given, { seed, shape: [1, height, width] });
      const { flip, down, right, cos, sin, factor, erased } = augmenter.changeOf(step, image);
      assert(given.flip || !flip);
      for (const distance of [down, right]) {
        assert(Number.isInteger(distance) && Math.abs(distance) <= shift);
      }
      assert(Number.isInteger(cos) && Number.isInteger(sin));
      assertAlmostEquals(Math.hypot(cos, sin) / 2 ** 14, 1, 1e-4);
      assert(Math.abs(Math.atan2(sin, cos)) <= rotate * Math.PI / 180 + 1e-4);
      assert(Math.abs(factor - 1) <= brightness + 1e-9);
      const { top, left, bottom } = erased;
      assert(top >= 0 && left >= 0 && bottom <= height && erased.right <= width);
      if (bottom === 0) return assert(erase < 1);
      assert(erase > 0);
      for (const [size, whole] of [[bottom - top, height], [erased.right - left, width]]) {
        assert(size >= Math.max(1, Math.round(whole / 7)) && size <= Math.round(3 * whole / 7));
      }
    }),
    { seed: 3, numRuns: 2_000 },
  );
});

Deno.test("all that may be drawn is drawn, as often as it says, and anew for seed, step and image", () => {
  const shape = [1, 28, 28];
  const augmenter = new Augmenter({ ...WHOLE, shift: 2 }, { seed: 7, shape });
  const count = 20_000;
  const changes = Array.from({ length: count }, (_, n) => augmenter.changeOf(n % 100, n));
  const share = (is: (change: typeof changes[number]) => boolean) =>
    changes.filter(is).length / count;
  assertAlmostEquals(share(({ flip }) => flip), 0.5, 0.015);
  for (let distance = -2; distance <= 2; distance++) {
    assertAlmostEquals(share(({ down }) => down === distance), 0.2, 0.015);
    assertAlmostEquals(share(({ right }) => right === distance), 0.2, 0.015);
  }
  const erased = changes.map((change) => change.erased).filter(({ bottom }) => bottom > 0);
  assertAlmostEquals(erased.length / count, 0.25, 0.015);
  const sides = new Set(
    erased.flatMap(({ top, left, bottom, right }) => [bottom - top, right - left]),
  );
  assertEquals([...sides].sort((a, b) => a - b), [4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assert(erased.some(({ top }) => top === 0) && erased.some(({ bottom }) => bottom === 28));
  const angles = changes.map(({ cos, sin }) => Math.atan2(sin, cos) * 180 / Math.PI);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value) / count;
  assertAlmostEquals(mean(angles), 0, 0.15);
  assertAlmostEquals(mean(angles.map(Math.abs)), 5, 0.1);
  assertAlmostEquals(mean(changes.map(({ factor }) => factor)), 1, 0.003);
  assertAlmostEquals(Math.max(...changes.map(({ factor }) => factor)), 1.2, 1e-3);
  assertEquals(augmenter.changeOf(3, 4), new Augmenter(WHOLE, { seed: 7, shape }).changeOf(3, 4));
  for (const [seed, step, image] of [[8, 3, 4], [7, 2, 4], [7, 3, 5]]) {
    const other = new Augmenter(WHOLE, { seed, shape }).changeOf(step, image);
    assert(JSON.stringify(other) !== JSON.stringify(augmenter.changeOf(3, 4)));
  }
});

Deno.test("a checkpoint of another augmentation is refused, and one of version 0.1 has none", () => {
  const config = { augmentation: { flip: true } } as unknown as RunConfig;
  requireSameConfiguration(config, { augmentation: { flip: true } }, "runs/x");
  requireSameConfiguration({} as RunConfig, {}, "runs/x");
  assertThrows(
    () => requireSameConfiguration(config, {}, "runs/x"),
    TypeError,
    "its checkpoint was made with augmentation nothing, config.json says",
  );
});
