/** Finding the one thing that a photo is of, before an even ground; web-standard, as pages use it too. */

import { fitPicture, fittedSize, type Picture } from "./picture.ts";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** A part of a picture, in its pixels; it may reach beyond it. */
export interface Box extends Size {
  readonly left: number;
  readonly top: number;
}

/** A thing found in a picture. */
export interface FoundObject {
  /** The thing alone, light on black, in the middle, with a margin. */
  readonly picture: Picture;
  /** Where in the picture that was. */
  readonly box: Box;
  /** Whether it was darker than its ground. */
  readonly darkOnLight: boolean;
}

/** What is wanted. */
export interface FindOptions {
  /** What the thing is going to be fitted into. */
  readonly size: Size;
  /** Share of that which the thing takes on its longer side. */
  readonly share: number;
  /** Whether it is darker than its ground; default as it looks. */
  readonly darkOnLight?: boolean;
}

/** Longest side of the copy in which the thing is looked for: noise and weave are gone, edges not. */
const SEARCH_SIDE = 128;
/** Of the copy's shorter side, the border that shows the ground. */
const RING = 0.06;
/** How often the surface is fitted to the border alone, and then to all that is near it. */
const [RING_ROUNDS, ROUNDS] = [8, 11];
/** A thing is told from its ground by at least so many grey levels. */
const MIN_CONTRAST = 16;
/** Grey levels by which half of the border may differ from its surface; from half of that on it shows
 * more than one ground, and what touches it may be another.
 */
const MAX_SPREAD = 20;
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
 * @returns Undefined where nothing stands out, or what does is no more than a part of the ground.
 */
export function findObject(picture: Picture, options: FindOptions): FoundObject | undefined {
  const box = { width: SEARCH_SIDE, height: SEARCH_SIDE };
  const isSmall = Math.max(picture.width, picture.height) <= SEARCH_SIDE;
  const copy = isSmall ? picture : fitPicture(picture, fittedSize(picture, box));
  const { surface, spread, contrast } = groundOf(copy);
  const mask = maskOf(contrast, copy, spread);
  if (mask === undefined) return undefined;
  const sum = contrast.reduce((sum, value, n) => sum + value * mask[n], 0);
  const darkOnLight = options.darkOnLight ?? sum < 0;
  return cutOut(picture, { ...options, ...copy, mask, surface, darkOnLight });
}

/** Brightness of the ground at each place of a picture: six coefficients over x and y in -1..1. */
type Surface = Float64Array;

function valueAt(surface: Surface, x: number, y: number): number {
  const [c, cx, cy, cxx, cxy, cyy] = surface;
  return c + x * (cx + cxx * x + cxy * y) + y * (cy + cyy * y);
}

/** The ground's surface, how far its pixels are from it, about, and how far each pixel is. */
function groundOf({ width, height, pixels }: Picture) {
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
  let surface: Surface = new Float64Array(6);
  const contrast = new Float32Array(pixels.length);
  let spread = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    // Least absolute distances first, which a thing that covers part of the ring does not bend.
    const isFirst = round < RING_ROUNDS;
    const weightOf = (distance: number) =>
      isFirst ? 1 / (1 + distance) : distance < 3 * spread ? 1 : 0;
    const sums = new Float64Array(42);
    for (const n of isFirst ? onRing : all) {
      const weight = weightOf(Math.abs(contrast[n]));
      if (weight === 0) continue;
      for (let row = 0; row < 6; row++) {
        const weighted = weight * terms[6 * n + row];
        for (let column = row; column < 6; column++) {
          sums[7 * row + column] += weighted * terms[6 * n + column];
        }
        sums[7 * row + 6] += weighted * pixels[n];
      }
    }
    surface = solve(sums);
    for (const n of round < RING_ROUNDS - 1 ? onRing : all) {
      contrast[n] = pixels[n] - valueAt(surface, terms[6 * n + 1], terms[6 * n + 2]);
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
    sums[8 * n] += (1 + sums[0]) * (n < 3 ? 1e-6 : 1e-3);
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

/** Which pixels are the thing's: 1, also in its holes, else 0. */
function maskOf(contrast: Float32Array, size: Size, spread: number): Uint8Array | undefined {
  const least = Math.max(MIN_CONTRAST, 4 * spread);
  const visible = contrast.map(Math.abs).filter((value) => value > least).sort();
  const minArea = MIN_AREA * contrast.length;
  if (spread > MAX_SPREAD || visible.length < minArea) return undefined;
  const edge = Math.max(least, EDGE * visible[Math.floor(0.9 * visible.length)]);
  const parts = partsOf(size, (n) => Math.abs(contrast[n]) >= edge)
    .filter((part) => spread > MAX_SPREAD / 2 ? part.border === 0 : isThing(part, size));
  const largest = Math.max(...parts.map(({ pixels }) => pixels.length));
  if (largest < minArea) return undefined;
  const mask = new Uint8Array(contrast.length);
  for (const { pixels } of parts) {
    if (pixels.length >= MIN_PART * largest) pixels.forEach((n) => mask[n] = 1);
  }
  for (const { pixels, border } of partsOf(size, (n) => mask[n] === 0)) {
    if (border === 0) pixels.forEach((n) => mask[n] = 1);
  }
  return mask;
}

/** Pixels that hang together, and how many of them are at the picture's border. */
interface Part {
  readonly pixels: readonly number[];
  readonly border: number;
}

/** Tells a thing, which may reach over the border, from the table's edge and what else lies there. */
function isThing({ pixels, border }: Part, { width, height }: Size): boolean {
  if (border ** 2 <= pixels.length) return true;
  const isMiddle = (sum: number, side: number) => Math.abs(sum / pixels.length / side - 0.5) < 0.25;
  return border < width + height &&
    isMiddle(pixels.reduce((sum, n) => sum + n % width, 0), width) &&
    isMiddle(pixels.reduce((sum, n) => sum + Math.floor(n / width), 0), height);
}

/** The parts of a picture that hang together. */
function partsOf({ width, height }: Size, belongs: (index: number) => boolean): Part[] {
  const isNew = Uint8Array.from({ length: width * height }, (_, n) => belongs(n) ? 1 : 0);
  const parts = [];
  for (let first = 0; first < isNew.length; first++) {
    if (isNew[first] === 0) continue;
    const pixels = [first];
    let border = 0;
    isNew[first] = 0;
    for (const n of pixels) { // grows on the way
      const x = n % width;
      const isInside = [x > 0, x < width - 1, n >= width, n < width * (height - 1)];
      if (isInside.includes(false)) border++;
      [n - 1, n + 1, n - width, n + width].forEach((next, side) => {
        if (!isInside[side] || isNew[next] === 0) return;
        isNew[next] = 0;
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
function cutOut(picture: Picture, cut: Cut): FoundObject {
  const { width: columns, height: rows, mask, surface, darkOnLight } = cut;
  const box = boxOf(picture, cut);
  const { width, height } = box;
  const isNear = (n: number) =>
    mask[n] | mask[n - 1] | mask[n + 1] | mask[n - columns] | mask[n + columns];
  const pixels = new Uint8Array(width * height);
  const counts = new Uint32Array(256);
  const [bottom, right] = [
    Math.min(height, picture.height - box.top),
    Math.min(width, picture.width - box.left),
  ];
  for (let row = Math.max(0, -box.top); row < bottom; row++) {
    for (let column = Math.max(0, -box.left); column < right; column++) {
      const [x, y] = [box.left + column, box.top + row];
      const [u, v] = [(x + 0.5) / picture.width, (y + 0.5) / picture.height];
      if (!isNear(Math.floor(v * rows) * columns + Math.floor(u * columns))) continue;
      const ground = Math.max(1, Math.min(254, valueAt(surface, 2 * u - 1, 2 * v - 1)));
      const pixel = picture.pixels[y * picture.width + x];
      const value = darkOnLight ? 1 - pixel / ground : 1 - (255 - pixel) / (255 - ground);
      const tone = Math.max(0, Math.min(255, Math.round(255 * value)));
      pixels[row * width + column] = tone;
      counts[tone]++;
    }
  }
  // The strongest tones become white, but for the strongest few.
  const most = 0.02 * counts.reduce((sum, count) => sum + count);
  let brightest = 255;
  for (let above = counts[255]; above < most && brightest > 1;) above += counts[--brightest];
  const stretched = pixels.map((tone) => Math.min(255, Math.round(255 * tone / brightest)));
  return { picture: { width, height, pixels: stretched }, box, darkOnLight };
}

/** The part of the whole picture to cut out: the thing, and the margin that it is to have. */
function boxOf(
  picture: Picture,
  { width: columns, height: rows, mask, size, share }: Cut,
): Box {
  const [xs, ys] = [[] as number[], [] as number[]];
  mask.forEach((isThing, n) => {
    if (!isThing) return;
    xs.push((n % columns + 0.5) * picture.width / columns);
    ys.push((Math.floor(n / columns) + 0.5) * picture.height / rows);
  });
  const extent = (places: readonly number[], pixel: number) => {
    const [least, most] = places.reduce(([a, b], p) => [Math.min(a, p), Math.max(b, p)], [
      Infinity,
      -Infinity,
    ]);
    const mass = places.reduce((sum, place) => sum + place, 0) / places.length;
    return { middle: (least + most) / 2, length: most - least + pixel, mass };
  };
  const [x, y] = [extent(xs, picture.width / columns), extent(ys, picture.height / rows)];
  const scale = Math.max(x.length / size.width, y.length / size.height) / share;
  // As in MNIST, the centre of mass is in the middle, as far as the margin allows.
  const start = ({ middle, mass }: typeof x, side: number) => {
    const margin = side * (1 - share) / 2;
    return Math.round(middle + Math.max(-margin, Math.min(margin, mass - middle)) - side / 2);
  };
  const [width, height] = [size.width, size.height].map((side) =>
    Math.max(1, Math.round(scale * side))
  );
  return { left: start(x, width), top: start(y, height), width, height };
}
