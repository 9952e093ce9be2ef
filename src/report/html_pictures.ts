/** Small pictures inside an HTML page, each pixel drawn as a square. */

import { encode } from "fast-png";
import { type Html, html } from "./html.ts";

/** Numbers of one channel, or of several one after another, row by row. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly values: ArrayLike<number>;
}

/** How a picture is shown. */
export interface PictureOptions {
  /** What it shows, for those who cannot see it. */
  readonly alt: string;
  /** Width on the page in pixels; default: what the page's style says. */
  readonly displayWidth?: number;
}

/** Colours of positive and of negative numbers (Okabe and Ito 2008). */
const [POSITIVE, NEGATIVE] = [[213, 94, 0], [0, 114, 178]];
const WHITE = 255;

/** A picture as data sets hold it: one channel is grey, three are red, green and blue.
 *
 * Of any other number of channels only the first is shown.
 *
 * @param pixels [channels, height, width], 0..255.
 */
export function imagePicture(
  pixels: Uint8Array,
  [channels, height, width]: readonly [number, number, number],
  options: PictureOptions,
): Html {
  const area = width * height;
  const shown = channels === 3 ? 3 : 1;
  const data = Uint8Array.from(
    { length: area * shown },
    (_, index) => pixels[(index % shown) * area + Math.floor(index / shown)],
  );
  return picture({ width, height, data, channels: shown }, options);
}

/** Numbers as grey, the least black and the largest white; all of one value is black. */
export function greyPicture({ width, height, values }: Plane, options: PictureOptions): Html {
  const { least, largest } = rangeOf(values);
  const scale = largest > least ? 255 / (largest - least) : 0;
  const data = Uint8Array.from(values, (value) => Math.round((value - least) * scale));
  return picture({ width, height, data, channels: 1 }, options);
}

/** Signed numbers as colour: zero is white, positive ones orange, negative ones blue.
 *
 * @param limit The size of a number that has the full colour.
 */
export function signedPicture(
  { width, height, values }: Plane,
  { limit, ...options }: PictureOptions & { readonly limit: number },
): Html {
  const data = new Uint8Array(3 * values.length);
  for (let index = 0; index < values.length; index++) {
    const strength = limit > 0 ? Math.min(1, Math.abs(values[index]) / limit) : 0;
    const color = values[index] < 0 ? NEGATIVE : POSITIVE;
    color.forEach((full, channel) => {
      data[3 * index + channel] = Math.round(WHITE + strength * (full - WHITE));
    });
  }
  return picture({ width, height, data, channels: 3 }, options);
}

/** Signed numbers of red, green and blue as a colour: zero is the middle grey.
 *
 * @param values [3, height, width].
 * @param limit The size of a number that is black or full.
 */
export function colorPicture(
  { width, height, values }: Plane,
  { limit, ...options }: PictureOptions & { readonly limit: number },
): Html {
  const pixels = Uint8Array.from(values, (value) => Math.round(127.5 * (1 + value / (limit || 1))));
  return imagePicture(pixels, [3, height, width], options);
}

function picture(
  image: { width: number; height: number; data: Uint8Array; channels: number },
  { alt, displayWidth }: PictureOptions,
): Html {
  const source = `data:image/png;base64,${encode(image).toBase64()}`;
  const { width, height } = image;
  const style = displayWidth === undefined ? "" : `width:${displayWidth}px;height:auto`;
  return html`
    <img src="${source}" alt="${alt}" width="${width}" height="${height}"
      style="${style}">
  `;
}

function rangeOf(values: ArrayLike<number>): { least: number; largest: number } {
  let [least, largest] = [Infinity, -Infinity];
  for (let index = 0; index < values.length; index++) {
    least = Math.min(least, values[index]);
    largest = Math.max(largest, values[index]);
  }
  return { least, largest };
}
