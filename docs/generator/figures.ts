/** The pictures of the pages, each drawn as SVG. */

import { encode } from "fast-png";
import { gatherImages } from "../../src/backends/gather.ts";
import { AUGMENTATION_EXAMPLES, Augmenter, parseAugmentation } from "../../src/data/augment.ts";
import type { LabeledImages } from "../../src/data/dataset.ts";
import { corr2d, type Matrix, pad2d } from "../../src/nn/corr2d.ts";
import { flatten, linear } from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { summarize } from "../../src/nn/summary.ts";
import { drawChart, PALETTE } from "../../src/report/chart.ts";

const [BLUE, ORANGE, GREEN] = PALETTE;

/** Settings of all pictures: they stand on white, whatever the page is. */
const COMMON = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  padding: 12,
  config: {
    font: "Helvetica, Arial, sans-serif",
    axis: { gridColor: "#e4e4e4", labelFontSize: 11, titleFontSize: 12 },
    legend: { labelFontSize: 12, titleFontSize: 12 },
    view: { stroke: "#bbbbbb" },
  },
};

/** What an image costs, by the probability that its true class was given. */
export async function lossFigure(): Promise<string> {
  const curve = Array.from({ length: 199 }, (_, n) => {
    const p = (n + 1) / 200;
    return { p, loss: -Math.log(p) };
  });
  const points = [
    { p: 0.1, loss: Math.log(10), label: "a guess among ten: ln 10 = 2.303" },
    { p: Math.exp(-1), loss: 1, label: "a loss of 1" },
    { p: 0.02, loss: -Math.log(0.02), label: "sure, and wrong" },
  ];
  const x = { field: "p", type: "quantitative" as const, title: "Probability of the true class" };
  const y = { field: "loss", type: "quantitative" as const, title: "Loss, -ln p" };
  return await drawChart({
    ...COMMON,
    width: 420,
    height: 240,
    encoding: { x, y },
    layer: [
      { data: { values: curve }, mark: { type: "line", color: BLUE, strokeWidth: 2 } },
      {
        data: { values: points },
        mark: { type: "point", filled: true, color: ORANGE, size: 70, opacity: 1 },
      },
      {
        data: { values: points },
        mark: { type: "text", align: "left", dx: 8, dy: -8, fontSize: 12 },
        encoding: { text: { field: "label", type: "nominal" } },
      },
    ],
  });
}

/** A convolution of 5x5 with 3x3, padding 1, stride 2: the windows, the kernel and the sums. */
export async function windowsFigure(): Promise<string> {
  const input = Array.from({ length: 5 }, (_, y) => [0, 1, 2, 3, 4].map((x) => (x + y) % 3));
  const kernel = [[1, 0, -1], [1, 0, -1], [1, 0, -1]];
  const [padding, stride] = [1, 2];
  const output = corr2d(input, kernel, { padding, stride });
  const windows = [0, stride].map((at) => ({ at, size: kernel.length }));
  return await drawChart({
    ...COMMON,
    spacing: 28,
    hconcat: [
      matrixPanel(`input 5x5, padding ${padding}`, pad2d(input, padding), { padding, windows }),
      matrixPanel("kernel 3x3", kernel, {}),
      matrixPanel(`stride ${stride}: output ${output.length}x${output[0].length}`, output, {}),
    ],
  });
}

/** A model's layers as stacks of maps, each as large as it is, and vectors as bars. */
export async function architectureFigure(model: Model): Promise<string> {
  const [gap, shift] = [14, 1.6];
  const rows = summarize(model).filter(({ outputShape }, n, all) =>
    String(outputShape) !== String(all[n - 1]?.outputShape ?? model.inputShape) ||
    all[n].parameters > 0
  );
  const stages = [
    { type: "image", detail: "", outputShape: model.inputShape as readonly number[] },
    ...rows,
  ];
  let left = 0;
  const boxes = [];
  const labels = [];
  for (const { type, detail, outputShape } of stages) {
    const [channels, height, width] = outputShape.length === 3
      ? outputShape
      : [1, 2 * Math.sqrt(outputShape[0]), 3];
    const side = width + shift * (channels - 1);
    for (let n = 0; n < channels; n++) {
      const [x, y] = [left + shift * n, -height / 2 - shift * (n - (channels - 1) / 2)];
      boxes.push({
        x,
        x2: x + width,
        y,
        y2: y + height,
        kind: outputShape.length === 3 ? "maps" : "numbers",
      });
    }
    const middle = left + side / 2;
    labels.push({ x: middle, y: -34, text: outputShape.join("x") }, {
      x: middle,
      y: 38,
      text: type,
    }, {
      x: middle,
      y: 33,
      text: detail,
    });
    left += side + gap;
  }
  const axis = (field: string, domain: readonly number[]) => ({
    field,
    type: "quantitative" as const,
    scale: { domain: [...domain], nice: false, zero: false },
    axis: null,
  });
  const [x, y] = [axis("x", [-4, left]), axis("y", [-38, 42])];
  return await drawChart({
    ...COMMON,
    config: { ...COMMON.config, view: { stroke: null } },
    width: 900,
    height: 280,
    layer: [
      {
        data: { values: boxes },
        mark: { type: "rect", stroke: "white", strokeWidth: 0.7, opacity: 1 },
        encoding: {
          ...{ x, y, x2: { field: "x2" }, y2: { field: "y2" } },
          color: {
            field: "kind",
            type: "nominal",
            legend: null,
            scale: { domain: ["maps", "numbers"], range: [BLUE, ORANGE] },
          },
        },
      },
      {
        data: { values: labels },
        mark: { type: "text", fontSize: 11 },
        encoding: { x, y, text: { field: "text", type: "nominal" } },
      },
    ],
  });
}

/** What one output in the middle of each layer sees of an image. */
export async function receptiveFieldFigure(
  { images, shape: [, height, width] }: LabeledImages,
  model: Model,
): Promise<string> {
  const scale = 10;
  const picture = enlarge(images.subarray(0, height * width), { height, width, scale });
  const squares = fieldsOf(model);
  const axis = (field: string, size: number, sort?: "descending") => ({
    field,
    type: "quantitative" as const,
    scale: { domain: [0, size], nice: false, ...(sort && { reverse: true }) },
    axis: null,
  });
  const color = {
    field: "layer",
    type: "nominal" as const,
    title: "One number of",
    legend: { labelLimit: 0 },
    scale: { domain: squares.map(({ layer }) => layer), range: [BLUE, ORANGE, GREEN, "#CC79A7"] },
  };
  return await drawChart({
    ...COMMON,
    width: width * scale,
    height: height * scale,
    layer: [
      {
        data: { values: [{ url: picture, x: width / 2, y: height / 2 }] },
        mark: { type: "image", width: width * scale, height: height * scale },
        encoding: {
          x: axis("x", width),
          y: axis("y", height, "descending"),
          url: { field: "url", type: "nominal" },
        },
      },
      {
        data: { values: squares },
        mark: { type: "rect", filled: false, strokeWidth: 2.5 },
        encoding: {
          x: axis("left", width),
          x2: { field: "right" },
          y: axis("top", height, "descending"),
          y2: { field: "bottom" },
          color,
        },
      },
    ],
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
  const sheet = { width: right * columns - gap, height: down * rows.length - gap };
  const pixels = new Uint8Array(sheet.width * sheet.height).fill(255);
  const indices = Uint32Array.from({ length: columns }, (_, image) => image);
  for (const [row, { augmentation }] of rows.entries()) {
    const seen = new Float64Array(columns * height * width);
    const augmenter = augmentation && new Augmenter(augmentation, { seed: 0, shape });
    const changeOf = augmenter && ((image: number) => augmenter.changeOf(0, image));
    gatherImages(model, data.images, seen, { indices, changeOf });
    for (const image of indices) {
      const own = seen.subarray(image * height * width, (image + 1) * height * width);
      for (let n = 0; n < scale * height * scale * width; n++) {
        const [y, x] = [Math.floor(n / (scale * width)), n % (scale * width)];
        const value = own[Math.floor(y / scale) * width + Math.floor(x / scale)];
        pixels[(row * down + y) * sheet.width + image * right + x] = Math.min(255, 255 * value);
      }
    }
  }
  const picture = encode({ ...sheet, data: pixels, channels: 1 }).toBase64();
  const place = (field: string, size: number) => ({
    field,
    type: "quantitative" as const,
    scale: { domain: [0, size], nice: false, reverse: field === "y" },
    axis: null,
  });
  const labels = rows.map(({ label }, row) => ({ label, x: 0, y: row * down + down / 2 - gap }));
  return await drawChart({
    ...COMMON,
    ...sheet,
    config: { ...COMMON.config, view: { stroke: null } },
    layer: [
      {
        data: {
          values: [{
            url: `data:image/png;base64,${picture}`,
            x: sheet.width / 2,
            y: sheet.height / 2,
          }],
        },
        mark: { type: "image", width: sheet.width, height: sheet.height },
        encoding: {
          x: place("x", sheet.width),
          y: place("y", sheet.height),
          url: { field: "url", type: "nominal" },
        },
      },
      {
        data: { values: labels },
        mark: { type: "text", align: "right", dx: -10, fontSize: 13, clip: false },
        encoding: {
          x: place("x", sheet.width),
          y: place("y", sheet.height),
          text: { field: "label", type: "nominal" },
        },
      },
    ],
  });
}

/** Test accuracy over epochs, for each way to prepare pixels and each seed. */
export async function standardizationFigure(
  lines: readonly { readonly pixels: string; readonly seed: number; readonly values: number[] }[],
): Promise<string> {
  const values = lines.flatMap(({ pixels, seed, values }) =>
    values.map((accuracy, index) => ({ pixels, seed, epoch: index + 1, accuracy }))
  );
  return await drawChart({
    ...COMMON,
    width: 420,
    height: 240,
    data: { values },
    mark: { type: "line", point: { size: 28 }, strokeWidth: 2 },
    encoding: {
      x: {
        field: "epoch",
        type: "quantitative",
        title: "Epoch",
        axis: { format: "d", tickMinStep: 1 },
        scale: { zero: false, nice: false, padding: 10 },
      },
      y: {
        field: "accuracy",
        type: "quantitative",
        title: "Test accuracy",
        axis: { format: "%" },
        scale: { zero: false, padding: 10 },
      },
      detail: { field: "seed", type: "nominal" },
      color: {
        field: "pixels",
        type: "nominal",
        title: "Pixels",
        scale: { domain: [...new Set(lines.map(({ pixels }) => pixels))], range: [BLUE, ORANGE] },
      },
    },
  });
}

interface MatrixOptions {
  /** Rows and columns at each side that are not the matrix itself. */
  readonly padding?: number;
  /** Squares to outline along the first row. */
  readonly windows?: readonly { readonly at: number; readonly size: number }[];
}

function matrixPanel(title: string, matrix: Matrix, { padding = 0, windows = [] }: MatrixOptions) {
  const cell = 30;
  const [height, width] = [matrix.length, matrix[0].length];
  const cells = matrix.flatMap((row, y) =>
    row.map((value, x) => {
      const isPadding = Math.min(x, y, width - 1 - x, height - 1 - y) < padding;
      return { x, y, value, tone: isPadding ? "padding" : "own" };
    })
  );
  const outlines = windows.map(({ at, size }) => ({ x: at, x2: at + size, y: 0, y2: size }));
  const scale = (size: number) => ({ domain: [0, size], nice: false });
  const x = (field: string) => (
    { field, type: "quantitative" as const, axis: null, scale: scale(width) }
  );
  const y = (field: string) => ({
    field,
    type: "quantitative" as const,
    axis: null,
    scale: { ...scale(height), reverse: true },
  });
  return {
    title: { text: title, anchor: "start" as const, fontSize: 12 },
    width: cell * width,
    height: cell * height,
    layer: [
      {
        data: { values: cells },
        transform: [
          { calculate: "datum.x + 1", as: "x2" },
          { calculate: "datum.y + 1", as: "y2" },
        ],
        mark: { type: "rect" as const, stroke: "#bbbbbb" },
        encoding: {
          x: x("x"),
          x2: { field: "x2" },
          y: y("y"),
          y2: { field: "y2" },
          color: {
            field: "tone",
            type: "nominal" as const,
            legend: null,
            scale: { domain: ["own", "padding"], range: ["#d6e6f2", "#f2f2f2"] },
          },
        },
      },
      {
        data: { values: cells },
        transform: [
          { calculate: "datum.x + 0.5", as: "cx" },
          { calculate: "datum.y + 0.5", as: "cy" },
        ],
        mark: { type: "text" as const, fontSize: 13 },
        encoding: {
          x: x("cx"),
          y: y("cy"),
          text: { field: "value", type: "nominal" as const },
        },
      },
      ...(outlines.length === 0 ? [] : [{
        data: { values: outlines },
        mark: { type: "rect" as const, filled: false, stroke: ORANGE, strokeWidth: 2.5 },
        encoding: { x: x("x"), x2: { field: "x2" }, y: y("y"), y2: { field: "y2" } },
      }]),
    ],
  };
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

/** A PNG in which each pixel is a square of `scale` pixels, as a data URL. */
function enlarge(
  pixels: Uint8Array,
  { height, width, scale }: { height: number; width: number; scale: number },
): string {
  const data = new Uint8Array(height * width * scale * scale);
  for (let y = 0; y < height * scale; y++) {
    for (let x = 0; x < width * scale; x++) {
      const from = Math.floor(y / scale) * width + Math.floor(x / scale);
      data[y * width * scale + x] = pixels[from];
    }
  }
  const png = encode({ width: width * scale, height: height * scale, data, channels: 1, depth: 8 });
  return `data:image/png;base64,${png.toBase64()}`;
}
