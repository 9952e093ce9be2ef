/** Convolutions and poolings of foreign files, with the zeros that they find around an image. */

import type { Pair } from "../nn/layers.ts";
import { definitionOf } from "../nn/layers/table.ts";
import { showShape } from "../nn/layers/layer.ts";
import { quote } from "../quote.ts";
import { isPadded, NO_PADDING, type Sides } from "./value.ts";
import type { NetworkBuilder, Weights } from "./network_builder.ts";

/** Zeros at each side of rows and columns, or as many as a window for every stride needs, where one that
 * does not divide by two comes after, or with `sameLower` before.
 */
export type Padding = "same" | "sameLower" | readonly [rows: Sides, columns: Sides];

/** Numbers of a kernel: 1 GiB, as in any model of this project. */
const MAX_KERNEL = 2 ** 28;

/** Windows over an image. */
interface Windows {
  readonly stride: Pair;
  readonly padding: Padding;
}

type Convolution = Windows & Weights & {
  readonly name: string;
  readonly kernelSize: Pair;
  readonly groups?: number;
};

/** Adds a convolution, which takes zeros that are there already and its own at each side. */
export function addConv2d(
  network: NetworkBuilder,
  { name, kernelSize, stride, padding, groups = 1, weight, bias }: Convolution,
): void {
  const [outChannels, groupIn, height, width] = weight.shape;
  const windowSize: Pair = [height, width];
  if (showShape(kernelSize) !== showShape(windowSize)) {
    throw new TypeError(`its kernel size is not that of its weight, ${showShape(weight.shape)}`);
  }
  const { sides } = takePadding(network, { windowSize, stride, padding });
  const even = evenSides(weight.data, windowSize, sides);
  if (showShape(even.kernelSize) !== showShape(windowSize)) {
    network.note(
      `${quote(name)} has a kernel of ${even.kernelSize.join("x")} instead of ` +
        `${windowSize.join("x")}, with zeros at one side, since one side is padded more`,
    );
  }
  network.add(
    {
      ...{ type: "conv2d", name, inChannels: groupIn * groups, outChannels },
      ...{ kernelSize: even.kernelSize, stride, padding: even.padding },
      ...(groups > 1 && { groups }),
      ...(!bias && { bias: false }),
    },
    { weight: { ...weight, data: even.data }, bias },
  );
}

/** Adds a pooling layer; without windows, one of the whole image.
 *
 * @param windows Padding must be alike at both sides. Averages must count its zeros: `isCounted`.
 * Maxima do not know them: zeros that are there already must be no more than what ReLU gives.
 */
export function addPool2d(
  network: NetworkBuilder,
  type: "avgPool2d" | "maxPool2d",
  windows?: Windows & { readonly poolSize: Pair; readonly isCounted?: boolean },
): void {
  const [, height, width] = network.shape;
  if (windows === undefined) {
    const size: Pair = [height, width];
    const whole = { type: "maxPool2d", poolSize: size, stride: size } as const;
    return network.add(type === "avgPool2d" ? { type: "globalAvgPool2d" } : whole);
  }
  const { poolSize, stride, padding, isCounted } = windows;
  const hasZeros = isPadded(network.state);
  const { own, sides } = takePadding(network, { windowSize: poolSize, stride, padding });
  if (!isPadded({ padding: sides })) return network.add({ type, poolSize, stride });
  const [rows, columns] = sides;
  const shown = `windows of ${poolSize.join("x")} with stride ${stride.join("x")} over ` +
    `${height}x${width}`;
  if (rows[0] !== rows[1] || columns[0] !== columns[1]) {
    throw new TypeError(`padding of a pooling layer must be alike at both sides: ${shown}`);
  }
  if (type === "avgPool2d" && isPadded({ padding: own }) && !isCounted) {
    throw new TypeError(`padding of averages must count as zeros, here it does not: ${shown}`);
  }
  const last = network.state.steps.at(-1);
  const isPositive = last && /^(clamps|squashes)$/.test(definitionOf(last.spec).effect ?? "");
  if (type === "maxPool2d" && hasZeros && !isPositive) {
    throw new TypeError(`zeros before maxima are supported behind relu and sigmoid: ${shown}`);
  }
  network.add({ type, poolSize, stride, padding: [rows[0], columns[0]] });
}

/** The zeros that windows find: those that they bring, and all, which are then no longer the network's. */
function takePadding(
  network: NetworkBuilder,
  { windowSize, stride, padding }: Windows & { readonly windowSize: Pair },
): { readonly own: readonly [Sides, Sides]; readonly sides: readonly [Sides, Sides] } {
  const { shape: [, ...area], padding: [above, beside] } = network.state;
  const size = [area[0] + above[0] + above[1], area[1] + beside[0] + beside[1]];
  const own = sidesOf(padding, { size, windowSize, stride });
  network.pad(own);
  const { padding: sides } = network.state;
  network.change({ padding: NO_PADDING });
  return { own, sides };
}

/** Works out zeros for an image's rows and columns: with 'same', there are ceil(size / stride) windows. */
export function sidesOf(
  padding: Padding,
  { size, windowSize, stride }: {
    readonly size: readonly number[];
    readonly windowSize: Pair;
    readonly stride: Pair;
  },
): readonly [Sides, Sides] {
  if (typeof padding !== "string") return padding;
  const sides = (n: 0 | 1): Sides => {
    const covered = (Math.ceil(size[n] / stride[n]) - 1) * stride[n] + windowSize[n];
    const total = Math.max(0, covered - size[n]);
    const [less, more] = [Math.floor(total / 2), Math.ceil(total / 2)];
    return padding === "same" ? [less, more] : [more, less];
  };
  return [sides(0), sides(1)];
}

/** A convolution that is padded more at one side, as one that is padded alike at both.
 *
 * Its kernel grows by zeros where the padding does, so that it computes the same.
 *
 * @param weight OIHW.
 */
function evenSides(
  weight: Float32Array,
  windowSize: Pair,
  [rows, columns]: readonly [Sides, Sides],
): { readonly data: Float32Array; readonly kernelSize: Pair; readonly padding: Pair } {
  const [height, width] = windowSize;
  const more = (sides: Sides) => Math.abs(sides[1] - sides[0]);
  const kernelSize: Pair = [height + more(rows), width + more(columns)];
  const length = weight.length / (height * width) * kernelSize[0] * kernelSize[1];
  if (length > MAX_KERNEL) {
    throw new TypeError(`its padding makes its kernel ${kernelSize.join("x")}: it is too large`);
  }
  const [above, before] = [rows, columns].map(([first, last]) => Math.max(0, last - first));
  const data = new Float32Array(length);
  for (let row = 0; row < weight.length / width; row++) {
    const start = Math.floor(row / height) * kernelSize[0] + above + row % height;
    data.set(weight.subarray(row * width, (row + 1) * width), start * kernelSize[1] + before);
  }
  return { data, kernelSize, padding: [Math.max(...rows), Math.max(...columns)] };
}
