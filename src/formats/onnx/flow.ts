/** The one computed value of an ONNX graph that is a row: the layers so far, and how its axes lie. */

import type { Pair } from "../../nn/layers.ts";
import { type ImageShape, showShape } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { NetworkBuilder } from "../network_builder.ts";
import { isFloat } from "./fold.ts";
import { ELEMENT, type GraphProto, type ValueInfoProto } from "./schema.ts";
import { type Constant, nameOfType } from "./tensors.ts";

/** What the value is at one place of the row.
 *
 * The builder knows it as [channels, height, width] or a vector; in the file its axes may lie otherwise,
 * as in files that come from TensorFlow, and axes of length 1 may come and go.
 */
export class Flow {
  /** The layers so far. */
  readonly builder: NetworkBuilder;
  /** Batch size that the file is fixed to; undefined if it is free. */
  readonly batchSize: number | undefined;
  /** Zeros at each side that the next convolution adds. */
  padding: Pair = [0, 0];
  /** Whether it is the input's bytes still, which no arithmetic may take. */
  isBytes: boolean;
  /** For each axis behind the batch, which one of the builder's it is; -1 for one of length 1. */
  axes: readonly number[];

  /** Starts at the graph's input. */
  constructor({ name, type }: ValueInfoProto, graph: GraphProto) {
    const { elemType = 0, shape } = type?.tensorType ?? {};
    const [batch, ...sizes] = shape?.dim.map(({ dimValue }) => Number(dimValue)) ?? [];
    this.isBytes = elemType === ELEMENT.uint8;
    const side = Math.sqrt(sizes[0]);
    const isFlat = sizes.length === 1 && Number.isInteger(side);
    const isKnown = (this.isBytes || isFloat(elemType)) && sizes.every((size) => size >= 1);
    if (!isKnown || !(isFlat || sizes.length === 2 || sizes.length === 3)) {
      throw new TypeError(
        `its input ${quote(name)} must be float32 [batch, channels, height, width] with known ` +
          `sizes, found ${nameOfType(elemType)} ` +
          quote(
            shape?.dim.map(({ dimValue, dimParam }) => Number(dimValue) || dimParam || "?") ?? [],
          ),
      );
    }
    this.batchSize = batch > 0 ? batch : undefined;
    const isLast = sizes.length === 3 && isChannelsLast(name, sizes, graph);
    const [height, width, channels] = isFlat
      ? [side, side, 1]
      : sizes.length === 2
      ? [...sizes, 1]
      : sizes;
    const isFirst = sizes.length === 3 && !isLast;
    this.builder = new NetworkBuilder(
      isFirst ? [height, width, channels] : [channels, height, width],
    );
    this.axes = isFirst ? [0, 1, 2] : isLast ? [1, 2, 0] : [1, 2];
    if (isLast) this.builder.note("its input is channels last: [batch, height, width, channels]");
    if (this.isBytes) this.builder.rescale(255, 0);
    else if (elemType !== ELEMENT.float32) {
      this.builder.note(`its ${nameOfType(elemType)} is computed as float32`);
    }
    if (isFlat) {
      this.builder.note(`its input of ${sizes[0]} numbers is taken for images of ${side}x${side}`);
      this.reshape(sizes);
    }
  }

  /** Lengths of the axes behind the batch, as the file sees them. */
  get sizes(): number[] {
    return this.axes.map((axis) => axis < 0 ? 1 : this.builder.shape[axis]);
  }

  /** The value as an image, channels first.
   *
   * @throws {TypeError} If it is none, or its axes lie otherwise.
   */
  image(): ImageShape {
    const { shape } = this.builder;
    const { sizes } = this;
    if (shape.length !== 3 || sizes.length !== 3) {
      throw new TypeError(`its input must be [channels, height, width], found ${showShape(sizes)}`);
    }
    if (sizes.some((size, place) => size > 1 && this.axes[place] !== place)) {
      throw new TypeError(
        `its input must be channels first, found the order ${showShape(this.axes)} of axes`,
      );
    }
    this.axes = [0, 1, 2];
    return [shape[0], shape[1], shape[2]];
  }

  /** Checks that the value is a vector. */
  requireVector(): void {
    if (this.builder.shape.length === 1 && this.axes.length === 1) return;
    throw new TypeError(`its input must be a vector, found ${showShape(this.sizes)}`);
  }

  /** Reorders axes, the batch among them. */
  transpose(perm: readonly number[]): void {
    if (perm[0] !== 0) {
      throw new TypeError(`perm must leave the batch in front, found ${showShape(perm)}`);
    }
    const axes = perm.slice(1).map((axis) => this.axes[axis - 1]);
    if (new Set(perm).size !== this.axes.length + 1 || axes.includes(undefined!)) {
      throw new TypeError(`perm must order ${this.axes.length + 1} axes, found ${showShape(perm)}`);
    }
    this.axes = axes;
  }

  /** Makes the value a vector, in the order in which its axes lie. */
  flatten(): void {
    this.builder.flatten(this.axes.filter((axis) => axis >= 0));
    this.axes = [0];
  }

  /** Gives the value other lengths behind the batch: a vector, or axes of length 1 added or removed. */
  reshape(target: readonly number[]): void {
    const { shape } = this.builder;
    const longer = this.axes.filter((axis) => axis >= 0 && shape[axis] > 1);
    if (target.length === 1 && shape.length === 3) return this.flatten();
    const kept = target.filter((size) => size !== 1);
    if (kept.join() !== longer.map((axis) => shape[axis]).join()) {
      throw new TypeError(
        `it must make vectors of ${
          shape.reduce((product, size) => product * size, 1)
        }, or add or ` +
          `remove axes of length 1, found ${showShape(this.sizes)} to ${showShape(target)}`,
      );
    }
    const ones = [...shape.keys()].filter((axis) => shape[axis] === 1);
    this.axes = target.map((size) => (size === 1 ? ones.shift() : longer.shift()) ?? -1);
  }

  /** A constant that is added or multiplied, as one number for each channel or feature.
   *
   * @throws {TypeError} If it has more axes, or other numbers along another axis.
   */
  perChannel({ shape, data }: Constant): ArrayLike<number> {
    const [count] = this.builder.shape;
    const sizes = [1, ...this.sizes];
    const start = sizes.length - shape.length;
    const fits = start >= 0 && shape.every((size, n) => size === 1 || size === sizes[start + n]);
    const isOne = fits && data.every((value) => Object.is(value, data[0]));
    const isPerChannel = shape.every((size, n) => size === 1 || this.axes[start + n - 1] === 0);
    if (!fits || data.length === 0 || !(isOne || isPerChannel)) {
      throw new TypeError(
        `its constant of ${
          showShape(shape)
        } must be one number, or one for each channel or feature ` +
          `of ${showShape(this.sizes)}`,
      );
    }
    return isOne ? Array(count).fill(data[0]) : data;
  }
}

/** Whether an input has its channels behind rows and columns, as in TensorFlow.
 *
 * The first operator that is not elementwise tells; where it does not, the sizes do: up to four
 * channels, which are fewer than rows.
 */
function isChannelsLast(input: string, sizes: readonly number[], { node }: GraphProto): boolean {
  let name = input;
  for (const { input, output, opType, attribute } of node) {
    if (!input.includes(name)) continue;
    if (opType === "Transpose") {
      return attribute.some(({ ints }) => ints.join() === "0,3,1,2");
    }
    if (/^(Conv|AveragePool|MaxPool|Global.*Pool|BatchNormalization)$/.test(opType)) return false;
    if (!/^(Identity|Cast|Dropout|Add|Sub|Mul|Div)$/.test(opType)) break;
    name = output[0];
  }
  const [first, second, last] = sizes;
  return last <= 4 && (first > 4 || (first === second && second !== last));
}
