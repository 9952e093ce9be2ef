/** How training images are changed, in WGSL: the same whole numbers as `Augmenter` draws. */

import { type Augmenter, FRACTION_BITS, TURN_BITS, UNITS } from "../../../data/augment.ts";
import type { ImageShape } from "../../../nn/sequential.ts";
import type { Gpu } from "../gpu.ts";
import { type Binding, numberWgsl, RANDOM_WGSL } from "../kernel.ts";

/** What is drawn of images, and the table of their turns where they turn. */
export interface ImageChanges {
  readonly augmenter: Augmenter;
  readonly turns?: Pick<Binding, "type" | "buffer">;
}

/** Copies cosines and sines to the device; nothing where no image turns. */
export function writeTurns(gpu: Gpu, { turns }: Augmenter): ImageChanges["turns"] {
  if (turns.length === 0) return undefined;
  const vectors = Math.ceil(turns.length / 4);
  const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  const buffer = gpu.createBuffer("turns", 16 * vectors, usage);
  gpu.device.queue.writeBuffer(buffer, 0, turns);
  return { type: `array<vec4i, ${vectors}>`, buffer };
}

/** WGSL of `change_of(image)` and `sample_at(image, pixel, change)`.
 *
 * A sample is the sum of the bytes that a pixel is made of, each by its weight, and the sum of the
 * weights of those inside of the image: whole numbers below 2^24, which f32 holds.
 */
export function changesWgsl(augmenter: Augmenter, [, height, width]: ImageShape): string {
  const { augmentation: { flip, shift = 0, brightness = 0 }, key, erasesBelow, turns } = augmenter;
  const [[leastHeight, heights], [leastWidth, widths]] = [
    augmenter.erasedHeight,
    augmenter.erasedWidth,
  ];
  const draw = (unit: number) => `draw_at(${key}u, chunk.step, image, ${unit}u)`;
  const pick = (unit: number, count: number | string) =>
    `i32(((${draw(unit)} >> 16u) * ${typeof count === "number" ? `${count}u` : count}) >> 16u)`;
  const area = height * width;
  const one = 2 ** FRACTION_BITS;
  return `${RANDOM_WGSL}
struct Change {
  flip: bool,
  down: i32,
  right: i32,
  cos: i32,
  sin: i32,
  factor: f32,
  erased_top: i32,
  erased_left: i32,
  erased_bottom: i32,
  erased_right: i32,
}
fn change_of(image: u32) -> Change {
  var change = Change();
  change.factor = 1.0;
  ${flip ? `change.flip = (${draw(UNITS.flip)} >> 31u) == 1u;` : ""}
  ${
    shift > 0
      ? `change.down = ${pick(UNITS.down, 2 * shift + 1)} - ${shift};
  change.right = ${pick(UNITS.right, 2 * shift + 1)} - ${shift};`
      : ""
  }
  ${
    turns.length > 0
      ? `let place = ${pick(UNITS.turn, turns.length / 2)};
  let pair = turns[place / 2];
  change.cos = select(pair.x, pair.z, place % 2 == 1);
  change.sin = select(pair.y, pair.w, place % 2 == 1);`
      : ""
  }
  ${
    brightness > 0
      ? `change.factor = ${numberWgsl(1 - brightness)} + ${numberWgsl(2 * brightness / 65_535)} *
    f32(${draw(UNITS.brightness)} >> 16u);`
      : ""
  }
  ${
    erasesBelow > 0
      ? `if ((${draw(UNITS.erase)} >> 8u) < ${erasesBelow}u) {
    let erased_height = ${leastHeight} + ${pick(UNITS.eraseHeight, heights)};
    let erased_width = ${leastWidth} + ${pick(UNITS.eraseWidth, widths)};
    change.erased_top = ${pick(UNITS.eraseTop, `u32(${height + 1} - erased_height)`)};
    change.erased_left = ${pick(UNITS.eraseLeft, `u32(${width + 1} - erased_width)`)};
    change.erased_bottom = change.erased_top + erased_height;
    change.erased_right = change.erased_left + erased_width;
  }`
      : ""
  }
  return change;
}
fn byte_at(image: u32, place: u32) -> i32 {
  return i32(extractBits(word_of(image, place / 4u), 8u * (place % 4u), 8u));
}
fn corner_at(image: u32, channel: u32, at: vec2i, flip: bool) -> vec2i {
  let last = vec2i(${width - 1}, ${height - 1});
  let place = clamp(at, vec2i(), last);
  let column = select(place.x, last.x - place.x, flip);
  let value = byte_at(image, channel * ${area}u + u32(place.y * ${width} + column));
  return vec2i(value, 1) * i32(all(at == place));
}
fn sample_at(image: u32, pixel: u32, change: Change) -> vec2f {
  let channel = pixel / ${area}u;
  let y = i32(pixel % ${area}u / ${width}u);
  let x = i32(pixel % ${width}u);
  let is_kept = y < change.erased_top || y >= change.erased_bottom ||
    x < change.erased_left || x >= change.erased_right;
  let from_y = y - change.down;
  let from_x = x - change.right;
  ${
    turns.length === 0
      ? `let source = vec2i(from_x, from_y);
  let sample = ${one * one} * corner_at(image, channel, source, change.flip);`
      : `let distance_y = 2 * from_y - ${height - 1};
  let distance_x = 2 * from_x - ${width - 1};
  let source = vec2i(
    change.cos * distance_x + change.sin * distance_y + ${(width - 1) * 2 ** TURN_BITS},
    change.cos * distance_y - change.sin * distance_x + ${(height - 1) * 2 ** TURN_BITS},
  );
  let corner = source >> vec2u(${TURN_BITS + 1}u);
  let after = (source >> vec2u(${TURN_BITS + 1 - FRACTION_BITS}u)) & vec2i(${one - 1});
  let before = vec2i(${one}) - after;
  let sample = before.x * before.y * corner_at(image, channel, corner, change.flip) +
    after.x * before.y * corner_at(image, channel, corner + vec2i(1, 0), change.flip) +
    before.x * after.y * corner_at(image, channel, corner + vec2i(0, 1), change.flip) +
    after.x * after.y * corner_at(image, channel, corner + vec2i(1, 1), change.flip);`
  }
  return vec2f(sample * i32(is_kept));
}
`;
}
