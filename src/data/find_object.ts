/** Finding the one thing that a photo is of, before an even ground; web-standard, as pages use it too. */

import { fitPicture, fittedSize, type GreyPicture } from "./picture.ts";

/** A part of a picture, in its pixels; it may reach beyond it. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A thing found in a picture. */
export interface FoundObject {
  /** The thing alone, light on black, in the middle, with a margin. */
  readonly picture: GreyPicture;
  /** Where in the picture that was. */
  readonly box: Box;
  /** Whether it was darker than its ground. */
  readonly darkOnLight: boolean;
}

/** What is wanted. */
export interface FindOptions {
  /** What the thing is going to be fitted into. */
  readonly size: { readonly width: number; readonly height: number };
  /** Share of that which the thing takes on its longer side. */
  readonly share: number;
  /** Whether it is darker than its ground; default as it looks. */
  readonly darkOnLight?: boolean;
}

/** Longest side of the copy in which the thing is looked for: noise and weave are gone, edges not. */
const SEARCH_SIDE = 128;
/** Of the copy's shorter side, the border that shows the ground. */
const RING = 0.06;
/** How often the surface is fitted to the border alone. */
const RING_ROUNDS = 8;
/** A thing is told from its ground by at least so many grey levels. */
const MIN_CONTRAST = 16;
/** Of its strongest contrast, what still belongs to the thing; soft shadows have less. */
const EDGE = 0.3;
/** Of the largest part, what another part must have to belong to the thing. */
const MIN_PART = 0.04;
/** Least share of all pixels that a thing takes. */
const MIN_AREA = 0.002;

/** Finds the thing, crops it with a margin, and evens out its ground.
 *
 * The ground is what the border shows, and may change in brightness over the picture: a surface of
 * second degree. What differs from it and hangs together is the thing. Its tones become relative to
 * the ground's, which is black then.
 *
 * @returns Undefined where nothing stands out, or what does is cut off by the picture's border.
 */
export function findObject(picture: GreyPicture, options: FindOptions): FoundObject | undefined {
  const side = Math.min(SEARCH_SIDE, Math.max(picture.width, picture.height));
  const small = fitPicture(picture, fittedSize(picture, { width: side, height: side }));
  const { surface, spread, contrast } = groundOf(small);
  const mask = maskOf(contrast, small, spread);
  if (mask === undefined) return undefined;
  let sum = 0;
  mask.forEach((isThing, n) => sum += isThing ? contrast[n] : 0);
  const darkOnLight = options.darkOnLight ?? sum < 0;
  return cutOut(picture, { ...small, mask, surface, darkOnLight, ...options });
}

/** Brightness of the ground at each place of a picture: six coefficients over x and y in -1..1. */
type Surface = Float64Array;

function valueAt(surface: Surface, x: number, y: number): number {
  const [c, cx, cy, cxx, cxy, cyy] = surface;
  return c + x * (cx + cxx * x + cxy * y) + y * (cy + cyy * y);
}

/** The ground's surface, how far its pixels are from it, about, and how far each pixel is. */
function groundOf({ width, height, pixels }: GreyPicture) {
  const ring = Math.max(1, Math.round(RING * Math.min(width, height)));
  const [onRing, all] = [[] as number[], Array.from(pixels.keys())];
  const terms = new Float64Array(6 * pixels.length);
  for (const n of all) {
    const [column, row] = [n % width, Math.floor(n / width)];
    const [x, y] = [2 * (column + 0.5) / width - 1, 2 * (row + 0.5) / height - 1];
    terms.set([1, x, y, x * x, x * y, y * y], 6 * n);
    const depth = Math.min(column, row, width - 1 - column, height - 1 - row);
    if (depth < ring) onRing.push(n);
  }
  const surface: Surface = new Float64Array(6);
  const contrast = Float32Array.from(pixels);
  let spread = Infinity;
  for (let round = 0; round < RING_ROUNDS + 3; round++) {
    // Least absolute distances first, which a thing that covers part of the ring does not bend.
    const isFirst = round < RING_ROUNDS;
    const weightOf = (distance: number) =>
      isFirst ? 1 / (1 + distance) : distance < 3 * spread ? 1 : 0;
    const used = isFirst ? onRing : all;
    const sums = new Float64Array(42);
    for (const n of used) {
      const weight = round === 0 ? 1 : weightOf(Math.abs(contrast[n]));
      if (weight === 0) continue;
      for (let row = 0; row < 6; row++) {
        const weighted = weight * terms[6 * n + row];
        for (let column = row; column < 6; column++) {
          sums[7 * row + column] += weighted * terms[6 * n + column];
        }
        sums[7 * row + 6] += weighted * pixels[n];
      }
    }
    surface.set(solve(sums));
    for (const n of round < RING_ROUNDS - 1 ? onRing : all) {
      let value = 0;
      for (let row = 0; row < 6; row++) value += surface[row] * terms[6 * n + row];
      contrast[n] = pixels[n] - value;
    }
    const distances = Float32Array.from(onRing, (n) => Math.abs(contrast[n])).sort();
    spread = Math.max(1, 1.5 * distances[distances.length >> 1]);
  }
  return { surface, spread, contrast };
}

/** Solves six symmetrical equations, the right side in the seventh column.
 *
 * A little is added to the diagonal, more where it keeps the surface from bending.
 */
function solve(sums: Float64Array): Float64Array {
  for (let n = 0; n < 6; n++) {
    sums[8 * n] += 1e-3 * (1 + sums[0]) * (n < 3 ? 1e-3 : 1);
    for (let row = n + 1; row < 6; row++) sums[7 * row + n] = sums[7 * n + row];
  }
  for (let n = 0; n < 6; n++) {
    for (let row = 0; row < 6; row++) {
      if (row === n) continue;
      const factor = sums[7 * row + n] / sums[8 * n];
      for (let column = n; column < 7; column++) {
        sums[7 * row + column] -= factor * sums[7 * n + column];
      }
    }
  }
  return Float64Array.from({ length: 6 }, (_, n) => sums[7 * n + 6] / sums[8 * n]);
}

/** Which pixels are the thing's, holes filled. */
function maskOf(
  contrast: Float32Array,
  { width, height }: { readonly width: number; readonly height: number },
  spread: number,
): Uint8Array | undefined {
  const size = { width, height };
  const visible = contrast.map(Math.abs).filter((value) =>
    value > Math.max(MIN_CONTRAST, 4 * spread)
  ).sort();
  if (visible.length < MIN_AREA * contrast.length) return undefined;
  const most = visible[Math.floor(0.9 * visible.length)];
  const least = Math.max(MIN_CONTRAST, 4 * spread, EDGE * most);
  const parts = partsOf(size, (n) => Math.abs(contrast[n]) >= least)
    .filter(({ pixels, border }) => border ** 2 <= pixels.length)
    .sort((a, b) => b.pixels.length - a.pixels.length);
  if (parts.length === 0 || parts[0].pixels.length < MIN_AREA * contrast.length) return undefined;
  const mask = new Uint8Array(contrast.length);
  for (const { pixels } of parts) {
    if (pixels.length >= MIN_PART * parts[0].pixels.length) pixels.forEach((n) => mask[n] = 1);
  }
  for (const { pixels, border } of partsOf(size, (n) => mask[n] === 0)) {
    if (border === 0) pixels.forEach((n) => mask[n] = 1);
  }
  return mask;
}

/** The parts of a picture that hang together, and how many of their pixels are at its border. */
function partsOf(
  { width, height }: { readonly width: number; readonly height: number },
  belongs: (index: number) => boolean,
): { readonly pixels: readonly number[]; readonly border: number }[] {
  const seen = new Uint8Array(width * height);
  const parts = [];
  for (let first = 0; first < seen.length; first++) {
    if (seen[first] !== 0 || !belongs(first)) continue;
    const pixels = [first];
    let border = 0;
    seen[first] = 1;
    for (let at = 0; at < pixels.length; at++) {
      const n = pixels[at];
      const x = n % width;
      const isInside = [x > 0, x < width - 1, n >= width, n < width * (height - 1)];
      if (isInside.includes(false)) border++;
      [n - 1, n + 1, n - width, n + width].forEach((next, side) => {
        if (!isInside[side] || seen[next] !== 0 || !belongs(next)) return;
        seen[next] = 1;
        pixels.push(next);
      });
    }
    parts.push({ pixels, border });
  }
  return parts;
}

interface Cut extends FindOptions {
  /** Of the copy. */
  readonly width: number;
  readonly height: number;
  readonly mask: Uint8Array;
  readonly surface: Surface;
  readonly darkOnLight: boolean;
}

/** Cuts the thing out of the whole picture, before black. */
function cutOut(
  picture: GreyPicture,
  { width: columns, height: rows, mask, surface, darkOnLight, size, share }: Cut,
): FoundObject {
  let [left, top, right, bottom] = [columns, rows, 0, 0];
  mask.forEach((isThing, n) => {
    if (!isThing) return;
    const [x, y] = [n % columns, Math.floor(n / columns)];
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
  });
  const [scaleX, scaleY] = [picture.width / columns, picture.height / rows];
  let [mx, my, mc] = [0, 0, 0];
  mask.forEach((t, n) => {
    if (t) {
      mx += n % columns + .5;
      my += Math.floor(n / columns) + .5;
      mc++;
    }
  });
  const middle = share < 0.9
    ? { x: scaleX * mx / mc, y: scaleY * my / mc }
    : { x: scaleX * (left + right) / 2, y: scaleY * (top + bottom) / 2 };
  const scale = Math.max(
    scaleX * (right - left) / size.width,
    scaleY * (bottom - top) / size.height,
  ) / share;
  const width = Math.max(1, Math.round(scale * size.width));
  const height = Math.max(1, Math.round(scale * size.height));
  const box = {
    left: Math.round(middle.x - width / 2),
    top: Math.round(middle.y - height / 2),
    width,
    height,
  };
  const isNear = (n: number) =>
    mask[n] | mask[n - 1] | mask[n + 1] | mask[n - columns] | mask[n + columns];
  const pixels = new Uint8Array(width * height);
  const counts = new Uint32Array(256);
  let count = 0;
  for (let row = Math.max(0, -box.top); row < height && box.top + row < picture.height; row++) {
    for (let column = Math.max(0, -box.left); column < width; column++) {
      const [x, y] = [box.left + column, box.top + row];
      if (x >= picture.width) break;
      const [u, v] = [(x + 0.5) / picture.width, (y + 0.5) / picture.height];
      if (!isNear(Math.floor(v * rows) * columns + Math.floor(u * columns))) continue;
      const ground = valueAt(surface, 2 * u - 1, 2 * v - 1);
      const pixel = picture.pixels[y * picture.width + x];
      const value = darkOnLight ? 1 - pixel / ground : 1 - (255 - pixel) / (255 - ground);
      const tone = Math.max(0, Math.min(255, Math.round(255 * value)));
      pixels[row * width + column] = tone;
      counts[tone]++;
      count++;
    }
  }
  // The strongest tones become white, but for the strongest few.
  let brightest = 255;
  for (let above = counts[255]; above < 0.02 * count && brightest > 1;) {
    above += counts[--brightest];
  }
  const stretched = pixels.map((tone) => Math.min(255, Math.round(255 * tone / brightest)));
  return { picture: { width, height, pixels: stretched }, box, darkOnLight };
}
