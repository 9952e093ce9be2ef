/** The pictures of the pages that are made of a dataset's images. */

import { encode } from "fast-png";
import { gatherImages } from "../../src/backends/gather.ts";
import { AUGMENTATION_EXAMPLES, Augmenter, parseAugmentation } from "../../src/data/augment.ts";
import type { LabeledImages } from "../../src/data/dataset.ts";
import { flatten, linear } from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { summarize } from "../../src/nn/summary.ts";
import { drawChart, named, PALETTE, PICTURE_CONFIG } from "../../src/report/chart.ts";
import { place } from "./figures.ts";

/** A grey picture: pixels 0..255, row by row. */
interface Sheet {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** What one output in the middle of each layer sees of an image. */
export async function receptiveFieldFigure(
  { images, shape: [, height, width] }: LabeledImages,
  model: Model,
): Promise<string> {
  const scale = 10;
  const sheet = blank(width * scale, height * scale);
  drawImage(sheet, images.subarray(0, height * width), { width, scale, left: 0, top: 0 });
  const squares = fieldsOf(model);
  const [x, y] = [
    (field: string) => place(field, [0, width]),
    (field: string) => place(field, [0, height], { reverse: true }),
  ];
  return await drawChart({
    ...PICTURE_CONFIG,
    width: sheet.width,
    height: sheet.height,
    layer: [
      {
        data: { values: [{ url: dataUrl(sheet), x: width / 2, y: height / 2 }] },
        mark: { type: "image", width: sheet.width, height: sheet.height },
        encoding: { x: x("x"), y: y("y"), url: named("url", {}) },
      },
      {
        data: { values: squares },
        mark: { type: "rect", filled: false, strokeWidth: 2.5 },
        encoding: {
          x: x("left"),
          x2: { field: "right" },
          y: y("top"),
          y2: { field: "bottom" },
          color: named("layer", {
            title: "One number of",
            legend: { labelLimit: 0 },
            scale: { domain: squares.map(({ layer }) => layer), range: PALETTE.slice(0, 4) },
          }),
        },
      },
    ],
  });
}

/** Squares of the input that the middle output of each layer with a window sees. */
function fieldsOf(model: Model) {
  const sizes = summarize(model);
  let [jump, start] = [1, 0];
  return model.layers.flatMap((layer, index) => {
    if (!("stride" in layer)) return [];
    start -= layer.padding[0] * jump;
    jump *= layer.stride[0];
    const [, height, width] = layer.outputShape;
    const [size] = sizes[index].receptiveField;
    const top = start + Math.floor(height / 2) * jump;
    const left = start + Math.floor(width / 2) * jump;
    const name = /^\d/.test(layer.name) ? "pooling" : layer.name;
    const label = `${name}: ${size}x${size}`;
    return [{ layer: label, top, left, bottom: top + size, right: left + size }];
  });
}

/** Images as training sees them in its first step, a row for each augmentation, made as engines do. */
export async function augmentationFigure(data: LabeledImages): Promise<string> {
  const [scale, gap, columns] = [2, 2, 8];
  const { shape, shape: [, height, width] } = data;
  const model = sequential([flatten(), linear({ outFeatures: 1 })], { inputShape: shape });
  const rows = [undefined, ...AUGMENTATION_EXAMPLES, AUGMENTATION_EXAMPLES.join()].map((text) => ({
    label: text?.replace(/.*,.*/, "all of them") ?? "as they are",
    augmentation: text === undefined ? undefined : parseAugmentation(text),
  }));
  const [right, down] = [scale * width + gap, scale * height + gap];
  const sheet = blank(right * columns - gap, down * rows.length - gap);
  const indices = Uint32Array.from({ length: columns }, (_, image) => image);
  for (const [row, { augmentation }] of rows.entries()) {
    const seen = new Float64Array(columns * height * width);
    const augmenter = augmentation && new Augmenter(augmentation, { seed: 0, shape });
    const changeOf = augmenter && ((image: number) => augmenter.changeOf(0, image));
    gatherImages(model, data.images, seen, { indices, changeOf });
    for (const image of indices) {
      const own = seen.subarray(image * height * width, (image + 1) * height * width)
        .map((value) => Math.min(255, 255 * value));
      drawImage(sheet, own, { width, scale, left: image * right, top: row * down });
    }
  }
  const [x, y] = [
    place("x", [0, sheet.width], { reverse: false }),
    place("y", [0, sheet.height], { reverse: true }),
  ];
  const labels = rows.map(({ label }, row) => ({ label, x: 0, y: row * down + down / 2 - gap }));
  return await drawChart({
    ...PICTURE_CONFIG,
    width: sheet.width,
    height: sheet.height,
    config: { ...PICTURE_CONFIG.config, view: { stroke: null } },
    layer: [
      {
        data: { values: [{ url: dataUrl(sheet), x: sheet.width / 2, y: sheet.height / 2 }] },
        mark: { type: "image", width: sheet.width, height: sheet.height },
        encoding: { x, y, url: named("url", {}) },
      },
      {
        data: { values: labels },
        mark: { type: "text", align: "right", dx: -10, fontSize: 13, clip: false },
        encoding: { x, y, text: named("label", {}) },
      },
    ],
  });
}

function blank(width: number, height: number): Sheet {
  return { width, height, pixels: new Uint8Array(width * height).fill(255) };
}

/** Draws an image in which each pixel is a square of `scale` pixels. */
function drawImage(
  sheet: Sheet,
  image: ArrayLike<number>,
  { width, scale, left, top }: Readonly<Record<"width" | "scale" | "left" | "top", number>>,
): void {
  for (let n = 0; n < image.length * scale * scale; n++) {
    const [y, x] = [Math.floor(n / (scale * width)), n % (scale * width)];
    const value = image[Math.floor(y / scale) * width + Math.floor(x / scale)];
    sheet.pixels[(top + y) * sheet.width + left + x] = value;
  }
}

function dataUrl({ width, height, pixels }: Sheet): string {
  const png = encode({ width, height, data: pixels, channels: 1 });
  return `data:image/png;base64,${png.toBase64()}`;
}
