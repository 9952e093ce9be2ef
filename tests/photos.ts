/** Photo-like pictures of small images: a thing on a table, in uneven light. */

import type { Picture } from "../src/data/picture.ts";
import { createRandom } from "../src/random.ts";

/** What a photo is of. */
export interface PhotoOptions {
  readonly seed: number;
  /** Whether the thing is dark on a light table, or light on a dark one. */
  readonly darkOnLight: boolean;
}

const SIDE = 28;

/** Takes a photo of an image of 28 x 28, light on black.
 *
 * It lies somewhere on a table, turned by up to 8 degrees, a fifth to nine tenths of the shorter side
 * large. Light falls from one side and less at the corners, the table has a weave, the thing throws a
 * soft shadow, and the sensor is noisy.
 */
export function photoOf(image: Uint8Array, { seed, darkOnLight }: PhotoOptions): Picture {
  const random = createRandom(seed, "photo");
  const [width, height] = [[320, 240], [240, 320], [160, 160], [450, 300], [640, 480]][
    random.below(5)
  ];
  const size = Math.min(width, height) * random.uniform(0.2, 0.9);
  const room = size * 0.55;
  const [middleX, middleY] = [
    random.uniform(room, width - room),
    random.uniform(room, height - room),
  ];
  const angle = random.uniform(-8, 8) * Math.PI / 180;
  const [cos, sin] = [Math.cos(angle) * SIDE / size, Math.sin(angle) * SIDE / size];
  const table = darkOnLight ? random.uniform(0.65, 0.95) : random.uniform(0.04, 0.2);
  const light = random.uniform(150, 235);
  const [lightX, lightY] = [random.uniform(-0.25, 0.25), random.uniform(-0.25, 0.25)];
  const corners = random.uniform(0, 0.12);
  const weave = [random.uniform(0, 0.03), random.uniform(0.1, 1), random.uniform(0.1, 1)];
  const noise = random.uniform(1, 7);
  const shadow = {
    x: random.uniform(-2, 2),
    y: random.uniform(-2, 2),
    depth: random.uniform(0, 0.3),
  };
  const opacity = image.map((value) => Math.min(255, 10 * value));
  const soft = blurred(blurred(opacity));
  const pixels = new Uint8Array(width * height);
  for (let n = 0; n < pixels.length; n++) {
    const [x, y] = [n % width, Math.floor(n / width)];
    const [u, v] = [2 * x / width - 1, 2 * y / height - 1];
    const [dx, dy] = [x - middleX, y - middleY];
    const [imageX, imageY] = [
      cos * dx + sin * dy + SIDE / 2 - 0.5,
      cos * dy - sin * dx + SIDE / 2 - 0.5,
    ];
    const tone = valueAt(image, imageX, imageY);
    const alpha = valueAt(opacity, imageX, imageY);
    const dark = shadow.depth * valueAt(soft, imageX - shadow.x, imageY - shadow.y);
    const ground = (table + weave[0] * Math.sin(weave[1] * x + weave[2] * y)) * (1 - dark);
    const thing = darkOnLight ? 0.95 - 0.9 * tone : 0.1 + 0.85 * tone;
    const shine = light * (1 + lightX * u + lightY * v - corners * (u * u + v * v));
    const value = shine * (alpha * thing + (1 - alpha) * ground) + random.normal(noise);
    pixels[n] = Math.max(0, Math.min(255, Math.round(value)));
  }
  return { width, height, pixels };
}

/** The image between its pixels, 0..1; nothing beyond. */
function valueAt(image: Uint8Array, x: number, y: number): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const at = (column: number, row: number) =>
    column < 0 || row < 0 || column >= SIDE || row >= SIDE ? 0 : image[SIDE * row + column];
  const [shareX, shareY] = [x - left, y - top];
  const upper = (1 - shareX) * at(left, top) + shareX * at(left + 1, top);
  const lower = (1 - shareX) * at(left, top + 1) + shareX * at(left + 1, top + 1);
  return ((1 - shareY) * upper + shareY * lower) / 255;
}

function blurred(image: Uint8Array): Uint8Array {
  const mean = (n: number) => {
    let sum = 0;
    for (const row of [-1, 0, 1]) {
      for (const column of [-1, 0, 1]) sum += image[n + SIDE * row + column] ?? 0;
    }
    return sum / 9;
  };
  return Uint8Array.from(image, (_, n) => mean(n));
}

/** `deno run -RW tests/photos.ts FOLDER SET COUNT`: photos of a set's first test images, half of them
 * dark on light, named by their labels: what docs/guide.md measured.
 */
if (import.meta.main) {
  const { encode } = await import("fast-png");
  const { loadDataset } = await import("../src/data/load.ts");
  const [folder, set = "sample", count = "300"] = Deno.args;
  const { test } = await loadDataset(set);
  await Deno.mkdir(folder, { recursive: true });
  for (let n = 0; n < Number(count); n++) {
    const image = test.images.subarray(SIDE * SIDE * n, SIDE * SIDE * (n + 1));
    const { pixels: data, ...size } = photoOf(image, { seed: n, darkOnLight: n % 2 === 0 });
    const file = encode({ ...size, data, channels: 1 });
    await Deno.writeFile(`${folder}/${n}-${test.labels[n]}.png`, file);
  }
}
