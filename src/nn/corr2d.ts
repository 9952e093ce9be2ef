/** The vocabulary of convolution as small functions, to read and to play with. */

import { checkName, checkNumber, checkObject } from "../check.ts";

/** A matrix as rows of numbers: [height][width]. */
export type Matrix = readonly (readonly number[])[];

/** Padding and stride of {@linkcode corr2d}, equal in both directions. */
export interface Corr2dOptions {
  /** Rows and columns of zeros added at each side; default 0. */
  readonly padding?: number;
  /** Distance between neighbouring windows; default 1. */
  readonly stride?: number;
}

/** Two-dimensional cross-correlation of one input with one kernel.
 *
 * Shapes: input [height][width], kernel [kernelHeight][kernelWidth] ->
 * [floor((height + 2 padding - kernelHeight) / stride) + 1][the same of width].
 * Source: Dive into Deep Learning, section 7.2.
 *
 * @throws {TypeError} If the input or the kernel is no matrix.
 * @throws {RangeError} If the kernel does not fit the padded input, or an option is out of range.
 * @example An edge detector
 * ```ts
 * import { corr2d } from "./corr2d.ts";
 *
 * const stripe = [[1, 1, 0, 0], [1, 1, 0, 0]];
 * console.log(corr2d(stripe, [[1, -1]])); // [[0, 1, 0], [0, 1, 0]]
 * ```
 */
export function corr2d(input: Matrix, kernel: Matrix, options: Corr2dOptions = {}): number[][] {
  const { padding = 0, stride = 1 } = options;
  checkMatrix("input", input);
  checkMatrix("kernel", kernel);
  checkNumber("stride", stride, { whole: true, min: 1 });
  const padded = padding === 0 ? input : pad2d(input, padding);
  const height = Math.floor((padded.length - kernel.length) / stride) + 1;
  const width = Math.floor((padded[0].length - kernel[0].length) / stride) + 1;
  if (height < 1 || width < 1) {
    throw new RangeError(
      `Cannot correlate: a kernel of ${kernel.length}x${
        kernel[0].length
      } does not fit an input of ` +
        `${padded.length}x${padded[0].length}`,
    );
  }
  return Array.from(
    { length: height },
    (_, y) =>
      Array.from(
        { length: width },
        (_, x) => windowSum(kernel, (i, j) => padded[y * stride + i][x * stride + j]),
      ),
  );
}

/** Cross-correlation of several input channels, each with its own kernel, summed.
 *
 * Shapes: inputs [inChannels][height][width], kernels [inChannels][kernelHeight][kernelWidth].
 *
 * @throws {RangeError} If the numbers of channels differ or a kernel does not fit.
 * @example Two channels of one pixel
 * ```ts
 * import { corr2dMultiIn } from "@lenet/lenet";
 *
 * const [[sum]] = corr2dMultiIn([[[2]], [[3]]], [[[10]], [[100]]]);
 * if (sum !== 320) throw new Error("expected 2 * 10 + 3 * 100");
 * ```
 */
export function corr2dMultiIn(
  inputs: readonly Matrix[],
  kernels: readonly Matrix[],
  options: Corr2dOptions = {},
): number[][] {
  checkObject("inputs", inputs, "an array of matrices");
  checkObject("kernels", kernels, "an array of matrices");
  if (inputs.length === 0 || inputs.length !== kernels.length) {
    throw new RangeError(
      `Cannot correlate: expected as many kernels as input channels, and one or more, ` +
        `found ${kernels.length} and ${inputs.length}`,
    );
  }
  return inputs
    .map((input, channel) => corr2d(input, kernels[channel], options))
    .reduce((sum, map) => sum.map((row, y) => row.map((value, x) => value + map[y][x])));
}

/** One output channel for each group of kernels.
 *
 * Shapes: inputs [inChannels][height][width], kernels [outChannels][inChannels][..][..].
 *
 * @throws {RangeError} As {@linkcode corr2dMultiIn}.
 * @example A kernel of 1 x 1 mixes channels
 * ```ts
 * import { corr2dMultiInOut } from "@lenet/lenet";
 *
 * const outputs = corr2dMultiInOut([[[2]], [[3]]], [[[[1]], [[0]]], [[[1]], [[1]]]]);
 * if (`${outputs}` !== "2,5") throw new Error("expected 2 and 2 + 3");
 * ```
 */
export function corr2dMultiInOut(
  inputs: readonly Matrix[],
  kernels: readonly (readonly Matrix[])[],
  options: Corr2dOptions = {},
): number[][][] {
  checkObject("kernels", kernels, "an array of arrays of matrices");
  return kernels.map((group) => corr2dMultiIn(inputs, group, options));
}

/** Adds rows and columns of zeros at each side.
 *
 * @throws {TypeError} If the input is no matrix.
 * @throws {RangeError} If the padding is not a whole number, 0 or more.
 * @example A frame of zeros
 * ```ts
 * import { pad2d } from "@lenet/lenet";
 *
 * const padded = pad2d([[7]], 1);
 * if (padded.length !== 3 || padded[1][1] !== 7) throw new Error("expected 3 x 3 around 7");
 * ```
 */
export function pad2d(input: Matrix, padding: number): number[][] {
  checkMatrix("input", input);
  checkNumber("padding", padding, { whole: true, min: 0, max: 65_536 });
  const width = input[0].length + 2 * padding;
  const side = new Array<number>(padding).fill(0);
  const blank = () => Array.from({ length: padding }, () => new Array<number>(width).fill(0));
  return [...blank(), ...input.map((row) => [...side, ...row, ...side]), ...blank()];
}

/** Maximum or mean over windows of poolSize x poolSize, one beside the other.
 *
 * @throws {TypeError} If the input is no matrix, or the mode is neither.
 * @throws {RangeError} If no window fits, or the size is not a whole number, 1 or more.
 * @example The largest of four
 * ```ts
 * import { pool2d } from "@lenet/lenet";
 *
 * const [[largest]] = pool2d([[0, 1], [3, 2]], 2, "max");
 * if (largest !== 3) throw new Error("expected 3");
 * ```
 */
export function pool2d(input: Matrix, poolSize: number, mode: "max" | "avg"): number[][] {
  checkMatrix("input", input);
  checkNumber("poolSize", poolSize, { whole: true, min: 1 });
  checkName("mode", mode, ["max", "avg"]);
  const height = Math.floor(input.length / poolSize);
  const width = Math.floor(input[0].length / poolSize);
  if (height < 1 || width < 1) {
    throw new RangeError(
      `Cannot pool: a window of ${poolSize}x${poolSize} does not fit an input of ` +
        `${input.length}x${input[0].length}`,
    );
  }
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => {
      const window = input
        .slice(y * poolSize, (y + 1) * poolSize)
        .flatMap((row) => row.slice(x * poolSize, (x + 1) * poolSize));
      return mode === "max"
        ? Math.max(...window)
        : window.reduce((sum, value) => sum + value, 0) / window.length;
    }));
}

function checkMatrix(name: string, matrix: Matrix): void {
  const isMatrix = Array.isArray(matrix) && matrix.length > 0 &&
    matrix.every((row) =>
      Array.isArray(row) && row.length > 0 && row.length === matrix[0].length &&
      row.every((value) => typeof value === "number")
    );
  if (isMatrix) return;
  throw new TypeError(`Invalid ${name}: expected rows of numbers, all of one length`);
}

function windowSum(kernel: Matrix, pixel: (i: number, j: number) => number): number {
  let sum = 0;
  for (const [i, row] of kernel.entries()) {
    for (const [j, weight] of row.entries()) sum += weight * pixel(i, j);
  }
  return sum;
}
