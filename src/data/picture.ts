/** Pictures in memory, made into what a model is trained on; web-standard, as pages use it too. */

/** Channels of pictures and of models that take them: grey, or red, green and blue. */
export type Channels = 1 | 3;

/** Whether pictures can be made into images of a number of channels. */
export function isPictureChannels(channels: number): channels is Channels {
  return channels === 1 || channels === 3;
}

/** A picture: a plane of grey, or one each of red, green and blue, one after another.
 *
 * Each plane has one byte a pixel, row by row, 0 black to 255 white.
 */
export interface Picture {
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
/** Levels of 255 by which a pixel's red, green and blue must differ to count as colour: scans and cameras
 * tint what is grey.
 */
const TINT = 16;

/** Brightness by ITU-R BT.601. */
function luma(red: number, green: number, blue: number): number {
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

/** Makes a picture of colours and opacity: grey by the luma of ITU-R BT.601, or in colour as it is.
 *
 * What is transparent is seen before white, as on paper and in most viewers; before black only where
 * what is visible is itself nearly white, by its mean. A drawing therefore never vanishes, and of one
 * set's drawings, which are all dark or all light, all are dark on light or all light on dark.
 */
export function pictureOf(
  { width, height, rgba }: RgbaPicture,
  channels: Channels = 1,
): Picture {
  const area = width * height;
  const pixels = new Uint8Array(channels * area);
  let [visible, opacity] = [0, 0];
  for (let n = 0, at = 0; n < area; n++, at += 4) {
    const tone = luma(rgba[at], rgba[at + 1], rgba[at + 2]);
    visible += tone * rgba[at + 3];
    opacity += rgba[at + 3];
    if (channels === 1) pixels[n] = Math.round(tone);
    else for (let k = 0; k < 3; k++) pixels[k * area + n] = rgba[at + k];
  }
  if (opacity === 255 * area) return { width, height, pixels };
  const background = visible >= NEARLY_WHITE * opacity && opacity > 0 ? 0 : 255;
  for (let n = 0; n < area; n++) {
    const alpha = rgba[4 * n + 3] / 255;
    for (let at = n; at < pixels.length; at += area) {
      pixels[at] = Math.round(alpha * pixels[at] + (1 - alpha) * background);
    }
  }
  return { width, height, pixels };
}

/** How many channels a picture has. */
export function channelsOf({ width, height, pixels }: Picture): Channels {
  return pixels.length > width * height ? 3 : 1;
}

/** The planes of a picture, each a picture of one channel; shares its memory. */
export function planesOf(picture: Picture): Picture[] {
  const { width, height, pixels } = picture;
  const area = width * height;
  return Array.from({ length: channelsOf(picture) }, (_, channel) => ({
    width,
    height,
    pixels: pixels.subarray(channel * area, (channel + 1) * area),
  }));
}

/** Makes the same of each plane of a picture. */
export function mapPlanes(picture: Picture, make: (plane: Picture) => Picture): Picture {
  const planes = planesOf(picture).map(make);
  if (planes.length === 1) return planes[0];
  const { width, height, pixels: { length } } = planes[0];
  const pixels = new Uint8Array(planes.length * length);
  planes.forEach((plane, channel) => pixels.set(plane.pixels, channel * length));
  return { width, height, pixels };
}

/** A picture's brightness; a grey picture as it is. */
export function greyOf(picture: Picture): Picture {
  if (channelsOf(picture) === 1) return picture;
  const [red, green, blue] = planesOf(picture).map(({ pixels }) => pixels);
  const pixels = red.map((value, n) => Math.round(luma(value, green[n], blue[n])));
  return { width: picture.width, height: picture.height, pixels };
}

/** Whether a picture has a pixel of more colour than a tint. */
export function hasColor(picture: Picture): boolean {
  if (channelsOf(picture) === 1) return false;
  const [red, green, blue] = planesOf(picture).map(({ pixels }) => pixels);
  return red.some((value, n) =>
    Math.max(value, green[n], blue[n]) - Math.min(value, green[n], blue[n]) > TINT
  );
}

/** Fits a picture into width x height: scaled whole, centred, the rest black.
 *
 * A smaller picture is enlarged. Each new pixel is the mean of the area it covers.
 */
export function fitPicture(
  picture: Picture,
  { width, height }: { readonly width: number; readonly height: number },
): Picture {
  const { width: innerWidth, height: innerHeight } = fittedSize(picture, { width, height });
  const columns = areaWeights(picture.width, innerWidth);
  const rows = areaWeights(picture.height, innerHeight);
  const [left, top] = [(width - innerWidth) >> 1, (height - innerHeight) >> 1];
  return mapPlanes(picture, ({ pixels: from }) => {
    const pixels = new Uint8Array(width * height);
    for (const [y, row] of rows.entries()) {
      for (const [x, column] of columns.entries()) {
        let sum = 0;
        for (const { index: sourceY, weight } of row) {
          for (const { index: sourceX, weight: weightX } of column) {
            sum += weight * weightX * from[sourceY * picture.width + sourceX];
          }
        }
        pixels[(top + y) * width + left + x] = Math.round(sum);
      }
    }
    return { width, height, pixels };
  });
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
export function invertPicture({ width, height, pixels }: Picture): Picture {
  return { width, height, pixels: pixels.map((pixel) => 255 - pixel) };
}

/** Whether a picture has most of its border light, as dark things on paper have. */
export function hasLightBorder(picture: Picture): boolean {
  return borderTone(picture) > 127;
}

/** The median of the brightness at a picture's border. */
export function borderTone(picture: Picture): number {
  const { width, height, pixels } = greyOf(picture);
  const border = [];
  for (let y = 0; y < height; y++) {
    const step = y === 0 || y === height - 1 ? 1 : Math.max(1, width - 1);
    for (let x = 0; x < width; x += step) border.push(pixels[y * width + x]);
  }
  return Uint8Array.from(border).sort()[(border.length - 1) >> 1];
}

/** Gives a picture the shape of a size, by borders of the tone that its own border has. */
export function padPicture(
  picture: Picture,
  size: { readonly width: number; readonly height: number },
): Picture {
  const scale = Math.max(picture.width / size.width, picture.height / size.height);
  const width = Math.max(picture.width, Math.round(scale * size.width));
  const height = Math.max(picture.height, Math.round(scale * size.height));
  if (width === picture.width && height === picture.height) return picture;
  const [left, top] = [(width - picture.width) >> 1, (height - picture.height) >> 1];
  return cropPicture(picture, { left: -left, top: -top, width, height });
}

/** Cuts out a part of a picture; where it reaches beyond, it has the tone of the picture's border. */
export function cropPicture(
  picture: Picture,
  { left, top, width, height }: {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  },
): Picture {
  const [start, end] = [Math.max(0, left), Math.min(picture.width, left + width)];
  return mapPlanes(picture, (plane) => {
    const pixels = new Uint8Array(width * height).fill(borderTone(plane));
    for (let y = Math.max(0, top); y < Math.min(picture.height, top + height); y++) {
      const row = plane.pixels.subarray(y * picture.width + start, y * picture.width + end);
      pixels.set(row, (y - top) * width + start - left);
    }
    return { width, height, pixels };
  });
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
