/** The pictures of the pages that show a model, a formula or a result, each drawn as SVG. */

import { corr2d, type Matrix, pad2d } from "../../src/nn/corr2d.ts";
import type { Model } from "../../src/nn/sequential.ts";
import { summarize } from "../../src/nn/summary.ts";
import { drawChart, named, PALETTE, PICTURE_CONFIG, quantity } from "../../src/report/chart.ts";
import { CURVE, EPOCHS } from "../../src/report/curves.ts";

const [BLUE, ORANGE] = PALETTE;

/** A place along an axis that is not drawn.
 *
 * @param domain Where the axis begins and ends.
 */
export function place(
  field: string,
  domain: readonly [number, number],
  options: { readonly zero?: false; readonly reverse?: boolean } = {},
) {
  return quantity(field, { scale: { domain: [...domain], nice: false, ...options }, axis: null });
}

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
  const [x, y] = [
    quantity("p", { title: "Probability of the true class" }),
    quantity("loss", { title: "Loss, -ln p" }),
  ];
  return await drawChart({
    ...PICTURE_CONFIG,
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
        encoding: { text: named("label", {}) },
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
    ...PICTURE_CONFIG,
    spacing: 28,
    hconcat: [
      matrixPanel(`input 5x5, padding ${padding}`, pad2d(input, padding), { padding, windows }),
      matrixPanel("kernel 3x3", kernel, {}),
      matrixPanel(`stride ${stride}: output ${output.length}x${output[0].length}`, output, {}),
    ],
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
  const x = (field: string) => place(field, [0, width]);
  const y = (field: string) => place(field, [0, height], { reverse: true });
  const square = { x: x("x"), x2: { field: "x2" }, y: y("y"), y2: { field: "y2" } };
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
          ...square,
          color: named("tone", {
            legend: null,
            scale: { domain: ["own", "padding"], range: ["#d6e6f2", "#f2f2f2"] },
          }),
        },
      },
      {
        data: { values: cells },
        transform: [
          { calculate: "datum.x + 0.5", as: "cx" },
          { calculate: "datum.y + 0.5", as: "cy" },
        ],
        mark: { type: "text" as const, fontSize: 13 },
        encoding: { x: x("cx"), y: y("cy"), text: named("value", {}) },
      },
      ...(outlines.length === 0 ? [] : [{
        data: { values: outlines },
        mark: { type: "rect" as const, filled: false, stroke: ORANGE, strokeWidth: 2.5 },
        encoding: square,
      }]),
    ],
  };
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
    const isImage = outputShape.length === 3;
    const [channels, height, width] = isImage ? outputShape : [1, 2 * Math.sqrt(outputShape[0]), 3];
    const side = width + shift * (channels - 1);
    for (let n = 0; n < channels; n++) {
      const [x, y] = [left + shift * n, -height / 2 - shift * (n - (channels - 1) / 2)];
      boxes.push({ x, x2: x + width, y, y2: y + height, kind: isImage ? "maps" : "numbers" });
    }
    const x = left + side / 2;
    labels.push(
      { x, y: -34, text: outputShape.join("x") },
      { x, y: 38, text: type },
      { x, y: 33, text: detail },
    );
    left += side + gap;
  }
  const [x, y] = [
    place("x", [-4, left], { zero: false }),
    place("y", [-38, 42], { zero: false }),
  ];
  return await drawChart({
    ...PICTURE_CONFIG,
    config: { ...PICTURE_CONFIG.config, view: { stroke: null } },
    width: 900,
    height: 280,
    layer: [
      {
        data: { values: boxes },
        mark: { type: "rect", stroke: "white", strokeWidth: 0.7, opacity: 1 },
        encoding: {
          ...{ x, y, x2: { field: "x2" }, y2: { field: "y2" } },
          color: named("kind", {
            legend: null,
            scale: { domain: ["maps", "numbers"], range: [BLUE, ORANGE] },
          }),
        },
      },
      {
        data: { values: labels },
        mark: { type: "text", fontSize: 11 },
        encoding: { x, y, text: named("text", {}) },
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
  const domain = [...new Set(lines.map(({ pixels }) => pixels))];
  return await drawChart({
    ...PICTURE_CONFIG,
    width: 420,
    height: 240,
    data: { values },
    mark: CURVE,
    encoding: {
      x: EPOCHS,
      y: quantity("accuracy", {
        title: "Test accuracy",
        axis: { format: "%" },
        scale: { zero: false, padding: 10 },
      }),
      detail: named("seed", {}),
      color: named("pixels", { title: "Pixels", scale: { domain, range: [BLUE, ORANGE] } }),
    },
  });
}
