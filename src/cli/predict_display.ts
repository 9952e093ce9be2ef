/** Predictions as text: a line a picture, or the picture itself with its classes beside it. */

import { fitPicture, greyOf, type Picture, planesOf } from "../data/picture.ts";
import { printable } from "../quote.ts";
import type { ClassProbability } from "../train/metrics.ts";
import type { PictureInput } from "./predict_inputs.ts";

/** Widest picture on a terminal, in columns. */
const MAX_COLUMNS = 48;

/** `shoe.png  Sneaker 97.3%  Sandal 2.1%  Ankle boot 0.4%`. */
export function plainLine(name: string, top: readonly ClassProbability[]): string {
  const classes = top.map(({ className, probability }) =>
    `${printable(className)} ${percent(probability)}`
  );
  return [printable(name), ...classes].join("  ");
}

/** The picture in half-blocks with name and classes beside it, for a terminal with 24-bit colour. */
export function pictureLines(
  { name, picture, view: { box, isSwapped } }: PictureInput,
  top: readonly ClassProbability[],
): string[] {
  const width = Math.max(...top.map(({ className }) => printable(className).length));
  const beside = [
    `\x1b[1m${printable(name)}\x1b[0m`,
    [...(box ? ["cut out"] : []), ...(isSwapped ? ["light and dark swapped"] : [])].join(", "),
    ...top.map(({ className, probability }) =>
      `${printable(className).padEnd(width)}  ${percent(probability).padStart(6)}  ` +
      `\x1b[36m${"\u2588".repeat(Math.round(20 * probability))}\x1b[0m`
    ),
  ];
  const blocks = halfBlocks(picture);
  const rows = Math.max(blocks.length, beside.length);
  const columns = Math.min(picture.width, MAX_COLUMNS);
  return Array.from(
    { length: rows },
    (_, row) => `${blocks[row] ?? " ".repeat(columns)}  ${beside[row] ?? ""}`.trimEnd(),
  );
}

/** Draws a picture in letters, two a pixel, from a blank for black to `@` for white. */
export function shades(picture: Picture): string[] {
  const { width, height, pixels } = greyOf(shrunk(picture));
  const letters = " .:-=+*#%@";
  return Array.from({ length: height }, (_, row) =>
    Array.from(
      pixels.subarray(row * width, (row + 1) * width),
      (pixel) => letters[Math.floor(pixel * letters.length / 256)].repeat(2),
    ).join("").trimEnd());
}

/** Draws a picture two rows a line: the upper half of each character and its background. */
export function halfBlocks(picture: Picture): string[] {
  const small = shrunk(picture);
  const { width, height } = small;
  const planes = planesOf(small);
  const color = (n: number) =>
    [0, 1, 2].map((channel) => (planes[channel] ?? planes[0]).pixels[n] ?? 0).join(";");
  return Array.from({ length: Math.ceil(height / 2) }, (_, line) => {
    const cells = Array.from({ length: width }, (_, x) => {
      const [upper, lower] = [color(2 * line * width + x), color((2 * line + 1) * width + x)];
      return `\x1b[38;2;${upper}m\x1b[48;2;${lower}m\u2580`;
    });
    return `${cells.join("")}\x1b[0m`;
  });
}

function shrunk(picture: Picture): Picture {
  const scale = Math.min(1, MAX_COLUMNS / picture.width);
  return scale === 1
    ? picture
    : fitPicture(picture, { width: MAX_COLUMNS, height: Math.ceil(picture.height * scale) });
}

function percent(probability: number): string {
  return `${(100 * probability).toFixed(1)}%`;
}
