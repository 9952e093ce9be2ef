/** Pictures in memory, made into what a model is trained on; web-standard, as pages use it too. */

/** A grey picture: one byte a pixel, row by row, 0 black to 255 white. */
export interface GreyPicture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Colours and opacity: red, green, blue and alpha of a pixel, row by row, not multiplied by alpha. */
export interface RgbaPicture {
  readonly width: number;
  readonly height: number;
  readonly rgba: ArrayLike<number>;
}

/** What is visible counts as white from here on: before white it could hardly be told apart. */
const NEARLY_WHITE = 192;

/** Makes a picture grey, by the luma of ITU-R BT.601: 0.299 red + 0.587 green + 0.114 blue.
 *
 * What is transparent is seen before white, as on paper and in most viewers; before black only where
 * what is visible is itself nearly white, by its mean. A drawing therefore never vanishes, and of one
 * set's drawings, which are all dark or all light, all are dark on light or all light on dark.
 */
export function greyOf({ width, height, rgba }: RgbaPicture): GreyPicture {
  const pixels = new Uint8Array(width * height);
  let [visible, opacity] = [0, 0];
  for (let n = 0, at = 0; n < pixels.length; n++, at += 4) {
    const luma = 0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2];
    visible += luma * rgba[at + 3];
    opacity += rgba[at + 3];
    pixels[n] = Math.round(luma);
  }
  if (opacity === 255 * pixels.length) return { width, height, pixels };
  const background = visible >= NEARLY_WHITE * opacity && opacity > 0 ? 0 : 255;
  for (let n = 0; n < pixels.length; n++) {
    const alpha = rgba[4 * n + 3] / 255;
    pixels[n] = Math.round(alpha * pixels[n] + (1 - alpha) * background);
  }
  return { width, height, pixels };
}

/** Fits a picture into width x height: scaled whole, centred, the rest black.
 *
 * A smaller picture is enlarged. Each new pixel is the mean of the area it covers.
 */
export function fitPicture(
  picture: GreyPicture,
  { width, height }: { readonly width: number; readonly height: number },
): GreyPicture {
  const { width: innerWidth, height: innerHeight } = fittedSize(picture, { width, height });
  const columns = areaWeights(picture.width, innerWidth);
  const rows = areaWeights(picture.height, innerHeight);
  const [left, top] = [(width - innerWidth) >> 1, (height - innerHeight) >> 1];
  const pixels = new Uint8Array(width * height);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      let sum = 0;
      for (const { index: sourceY, weight } of row) {
        for (const { index: sourceX, weight: weightX } of column) {
          sum += weight * weightX * picture.pixels[sourceY * picture.width + sourceX];
        }
      }
      pixels[(top + y) * width + left + x] = Math.round(sum);
    }
  }
  return { width, height, pixels };
}

/** The size that a picture has when it is scaled whole into a box: it fills one side. */
export function fittedSize(
  picture: { readonly width: number; readonly height: number },
  box: { readonly width: number; readonly height: number },
): { width: number; height: number } {
  const scale = Math.min(box.width / picture.width, box.height / picture.height);
  return {
    width: Math.max(1, Math.round(picture.width * scale)),
    height: Math.max(1, Math.round(picture.height * scale)),
  };
}

/** Turns light into dark and dark into light. */
export function invertPicture({ width, height, pixels }: GreyPicture): GreyPicture {
  return { width, height, pixels: pixels.map((pixel) => 255 - pixel) };
}

/** Whether a picture has most of its border light, as dark things on paper have. */
export function hasLightBorder({ width, height, pixels }: GreyPicture): boolean {
  let [light, count] = [0, 0];
  for (let y = 0; y < height; y++) {
    const step = y === 0 || y === height - 1 ? 1 : Math.max(1, width - 1);
    for (let x = 0; x < width; x += step) {
      light += pixels[y * width + x] > 127 ? 1 : 0;
      count++;
    }
  }
  return 2 * light > count;
}

/** For each of `to` pixels, the source pixels under it and their share of its area. */
function areaWeights(from: number, to: number) {
  return Array.from({ length: to }, (_, target) => {
    const [start, end] = [target * from / to, (target + 1) * from / to];
    const shares = [];
    for (let index = Math.floor(start); index < end && index < from; index++) {
      const weight = (Math.min(index + 1, end) - Math.max(index, start)) / (end - start);
      shares.push({ index, weight });
    }
    return shares;
  });
}
