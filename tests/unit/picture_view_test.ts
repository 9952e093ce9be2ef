/** What of a picture a model is shown. */

import { loadDataset } from "../../src/data/load.ts";
import {
  channelsOf,
  fitPicture,
  hasLightBorder,
  invertPicture,
  padPicture,
  type Picture,
  planesOf,
} from "../../src/data/picture.ts";
import { objectShareOf, type ViewOptions, viewPicture } from "../../src/data/picture_view.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";
import { photoOf } from "../photos.ts";

const ignore = !granted({ name: "read" });

const SIZE = { width: 28, height: 28 };
const THINGS = { invert: false, darkOnLight: false, objectShare: 1 };
const OWN = { invert: false, darkOnLight: false };

function pictureOf(
  width: number,
  height: number,
  tone: (x: number, y: number) => number,
): Picture {
  const pixels = Uint8Array.from(
    { length: width * height },
    (_, n) => Math.round(tone(n % width, Math.floor(n / width))),
  );
  return { width, height, pixels };
}

function view(picture: Picture, options: Partial<ViewOptions> = {}) {
  return viewPicture(picture, { size: SIZE, pictures: THINGS, ...options });
}

/** A block of 40 x 20 whose corner is at (100, 60), in light that falls from one side. */
function block(tone: number, ground: number): Picture {
  return pictureOf(
    300,
    200,
    (x, y) => (x >= 100 && x < 140 && y >= 60 && y < 80 ? tone : ground) * (1 - x / 900 - y / 1800),
  );
}

Deno.test("a thing is cut out where it lies, light on black, whichever of the two is darker", () => {
  for (const [tone, ground, isSwapped] of [[40, 220, true], [200, 30, false]] as const) {
    const shown = view(block(tone, ground));
    assertEquals([shown.isSwapped, shown.doubt], [isSwapped, undefined]);
    const { left, top, width, height } = shown.box!;
    assertAlmostEquals(left + width / 2, 120 / 300, 0.01);
    assertAlmostEquals(top + height / 2, 70 / 200, 0.015);
    assertAlmostEquals(width * 300, 40, 3);
    const { pixels } = fitPicture(shown.picture, SIZE);
    const at = (x: number, y: number) => pixels[28 * y + x];
    assert([[14, 14], [2, 14], [25, 14], [14, 9]].every(([x, y]) => at(x, y) > 200));
    assert([[14, 1], [14, 26], [0, 0], [27, 27]].every(([x, y]) => at(x, y) === 0));
  }
});

Deno.test("a thing takes the share that things of the training set take, with its mass in the middle", () => {
  const objectShare = 20 / 28;
  const shown = view(block(40, 220), { pictures: { ...THINGS, objectShare } });
  assertAlmostEquals(shown.box!.width * 300, 40 / objectShare, 4);
  // An L, whose mass is low and left.
  const corner = pictureOf(
    200,
    200,
    (x, y) => x >= 60 && x < 140 && y >= 60 && y < 140 && (x < 75 || y >= 125) ? 20 : 230,
  );
  const { left, top, width } = view(corner, { pictures: { ...THINGS, objectShare } }).box!;
  assert(left + width / 2 < 0.47 && top + width / 2 > 0.53);
  const { left: filled, width: all } = view(corner).box!; // no margin, no room
  assertAlmostEquals(filled + all / 2, 0.5, 0.01);
});

Deno.test("a picture that is as in training stays as it is: of the model's size, or enlarged", {
  ignore,
}, async () => {
  const { test } = await loadDataset("sample");
  const images = Array.from({ length: 300 }, (_, n) => ({
    ...SIZE,
    pixels: test.images.subarray(784 * n, 784 * (n + 1)),
  }));
  let kept = 0;
  for (const image of images) {
    for (const picture of [image, invertPicture(image)]) {
      assertEquals(view(picture).picture, picture);
      assertEquals(view(picture).isSwapped, false);
    }
    const large = fitPicture(image, { width: 280, height: 280 });
    const [same, swapped] = [view(large), view(invertPicture(large))];
    const isKept = String(fitPicture(same.picture, SIZE).pixels) === String(image.pixels);
    assertEquals(String(swapped.picture.pixels), String(same.picture.pixels));
    kept += isKept ? 1 : 0;
  }
  assert(kept >= 297, `${kept} of 300`);
});

Deno.test("a model of own pictures sees them whole, as training did, with black beside them", () => {
  const photo = photoOf(new Uint8Array(784).fill(200, 300, 500), { seed: 1, darkOnLight: true });
  for (const invert of [false, true]) {
    const shown = view(photo, { pictures: { ...OWN, invert } });
    assertEquals(shown.picture, invert ? invertPicture(photo) : photo);
    assertEquals([shown.isSwapped, shown.box], [invert, undefined]);
    assertEquals(shown.doubt, hasLightBorder(shown.picture) ? "inverted" : undefined);
  }
  assertEquals(view(photo, { pictures: { ...OWN, darkOnLight: true } }).doubt, undefined);
  const asked = view(photo, { pictures: { ...OWN, darkOnLight: true }, crop: "object" });
  assertEquals([asked.isSwapped, hasLightBorder(asked.picture)], [false, true]);
  const white = pictureOf(9, 9, () => 255);
  const inverted = view(white, { pictures: { ...OWN, invert: true } });
  assertEquals([inverted.picture, inverted.doubt], [invertPicture(white), "blank"]);
});

Deno.test("where nothing stands out a picture is taken whole, which is said, and its border goes on", () => {
  const ramp = pictureOf(90, 60, (x) => 120 + x);
  const shown = view(ramp);
  assertEquals([shown.doubt, shown.isSwapped, shown.box], ["no object", true, undefined]);
  assertEquals([shown.picture.width, shown.picture.height], [90, 90]);
  const table = pictureOf(90, 60, (_, y) => y < 20 ? 40 : 200); // an edge, not a thing
  assertEquals(view(table).doubt, "no object");
  assertEquals(view(pictureOf(5, 9, () => 7)).doubt, "blank");
  for (const [width, height] of [[1, 1], [1, 300], [300, 1], [2, 3]]) {
    const { picture } = view(pictureOf(width, height, (x, y) => (x + y) % 2 * 255));
    assertEquals(fitPicture(picture, SIZE).pixels.length, 784);
  }
});

Deno.test("padding continues the border's tone, and leaves a picture of the same shape alone", () => {
  const wide = pictureOf(4, 2, (x) => x === 0 ? 0 : 90);
  assertEquals([...padPicture(wide, SIZE).pixels], [
    ...Array(4).fill(90),
    ...[0, 90, 90, 90, 0, 90, 90, 90],
    ...Array(4).fill(90),
  ]);
  assertEquals(padPicture(wide, { width: 8, height: 4 }), wide);
});

Deno.test(
  "a set's images tell how large their things are, and that there are none",
  { ignore },
  async () => {
    const { train } = await loadDataset("sample");
    assertEquals(objectShareOf(train), 1);
    const images = new Uint8Array(4 * 784);
    for (let n = 0; n < 4; n++) images.fill(255, 784 * n + 28 * 4 + 10, 784 * n + 28 * 24 + 10);
    const set = { images, labels: new Uint8Array(4), count: 4, shape: [1, 28, 28] as const };
    assertEquals(objectShareOf(set), 1);
    for (let n = 0; n < 4 * 784; n++) {
      images[n] = n % 784 > 28 * 24 || n % 28 < 10 || n % 28 > 18 ? 0 : images[n];
    }
    assertEquals(objectShareOf(set), 0.714);
    assertEquals(objectShareOf({ ...set, images: images.map((pixel) => 255 - pixel) }), 0);
    assertEquals(objectShareOf({ ...set, images: new Uint8Array(4 * 784) }), 0);
  },
);

Deno.test("a model of colours sees a picture whole and as it is, and the part with the thing if asked", () => {
  const [width, height] = [60, 40];
  const area = width * height;
  const pixels = new Uint8Array(3 * area).fill(230);
  for (let n = 0; n < area; n++) {
    const isThing = Math.hypot(n % width - 40, Math.floor(n / width) - 20) < 8;
    if (isThing) [200, 40, 30].forEach((value, k) => pixels[k * area + n] = value);
  }
  const picture = { width, height, pixels };
  const size = { width: 20, height: 20 };
  const own = { invert: false, darkOnLight: true };
  const whole = viewPicture(picture, { channels: 3, size, pictures: own });
  assertEquals(whole, { picture, isSwapped: false });
  // A model of which nothing is known: no swap for a light border, and the border goes on.
  const unknown = viewPicture(picture, { channels: 3, size });
  assertEquals([unknown.isSwapped, unknown.doubt, unknown.box], [false, undefined, undefined]);
  assertEquals([unknown.picture.width, unknown.picture.height], [60, 60]);
  const asked = viewPicture(picture, { channels: 3, size, pictures: own, crop: "object" });
  assertEquals(asked.isSwapped, false);
  const part = asked.picture;
  assertEquals(channelsOf(part), 3);
  assert(part.width < 30 && part.height < 30, `${part.width}`);
  const middle = Math.floor(part.height / 2) * part.width + Math.floor(part.width / 2);
  const at = (n: number) => planesOf(part).map((plane) => plane.pixels[n]);
  assertEquals([at(middle), at(0)], [[200, 40, 30], [230, 230, 230]]);
  const swapped = viewPicture(picture, { channels: 3, size, pictures: own, swap: true });
  assertEquals([swapped.isSwapped, swapped.picture.pixels[0]], [true, 25]);

  const grey = { width, height, pixels: pixels.map((_, n) => n % area % 200) };
  const doubts = [own, { ...own, hasGrey: true as const }].map((pictures) =>
    viewPicture(grey, { channels: 3, size, pictures }).doubt
  );
  assertEquals(doubts, ["no colour", undefined]);
  const blank = { width, height, pixels: new Uint8Array(3 * area).fill(9) };
  assertEquals(viewPicture(blank, { channels: 3, size, pictures: own }).doubt, "blank");
  const images = { images: pixels, labels: new Uint8Array(1), count: 1 };
  assertEquals(objectShareOf({ ...images, shape: [3, height, width] }), 0);
});
