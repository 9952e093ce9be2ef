/** What reading a LayersModel layer by layer has to remember: axes, padding, weights not yet taken. */

import { type ImageShape, type Shape, showShape } from "../nn/sequential.ts";
import { quote } from "../quote.ts";
import type { Json, LayerConfig } from "./layers_model_config.ts";
import { NetworkBuilder, type Sides } from "./network_builder.ts";
import type { Tensor } from "./safetensors.ts";
import type { TrainedModel } from "./trained_model.ts";

/** A layer as the file has it. */
export interface LayerJson {
  readonly className: string;
  readonly config: Json;
  /** Names of the models that it lies in, the outermost first. */
  readonly path: readonly string[];
  /** Where a `.keras` file has its weights, in order: `layers/conv2d_1/vars/0`. */
  readonly stored: string;
}

/** What no ZeroPadding2D adds. */
export const NO_PADDING: readonly [Sides, Sides] = [[0, 0], [0, 0]];

/** Orders of an image's axes: 0 is channels, 1 rows, 2 columns. */
export const [CHANNELS_LAST, CHANNELS_FIRST, NO_CHANNELS] = [[1, 2, 0], [0, 1, 2], [1, 2]];

/** Reads layers one after the other, and remembers what the next one needs to know. */
export class LayersReader {
  readonly builder: NetworkBuilder;
  /** In which order the file's image has the axes: channels last, unless layers turn it round. */
  axes: readonly number[];
  /** Rows and columns of zeros that a ZeroPadding2D adds for the convolution behind it. */
  padding = NO_PADDING;
  readonly #weights: Map<string, Tensor>;
  readonly #weightCount: number;
  /** The layer that is being read, and how many of its weights have been taken. */
  #layer: LayerJson | undefined;
  #taken = 0;

  /** Takes the input's sizes without the batch, and all weights by their name. */
  constructor(
    sizes: readonly number[],
    { isChannelsFirst, weights }: {
      readonly isChannelsFirst: boolean;
      readonly weights: ReadonlyMap<string, Tensor>;
    },
  ) {
    this.axes = sizes.length === 2 ? NO_CHANNELS : isChannelsFirst ? CHANNELS_FIRST : CHANNELS_LAST;
    const sizeOf = (axis: number) => sizes[this.axes.indexOf(axis)] ?? 1;
    this.builder = new NetworkBuilder([sizeOf(0), sizeOf(1), sizeOf(2)]);
    this.#weights = new Map(weights);
    this.#weightCount = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
  }

  /** Sizes of one sample as the file has them. */
  get sizes(): Shape {
    const { shape } = this.builder;
    const added = [0, ...this.padding.map(([before, after]) => before + after)];
    return shape.length === 1 ? shape : this.axes.map((axis) => shape[axis] + added[axis]);
  }

  /** Turns to a layer: its weights are the next to be taken. */
  begin(layer: LayerJson): void {
    [this.#layer, this.#taken] = [layer, 0];
  }

  /** Leaves out a layer, and the state of its random numbers. */
  skip(className: string, name: string): void {
    for (const key of this.#weights.keys()) {
      if (`/${key}`.includes(`/${name}/`)) this.#weights.delete(key);
    }
    this.builder.note(`${className} is left out: it changes nothing once trained`);
  }

  /** Takes one of a layer's weights, of a certain number of dimensions. */
  take({ name }: LayerConfig, part: string, rank: number): Tensor {
    const [found, count] = this.#find(name, part);
    const tensor = this.#weights.get(found);
    if (count !== 1 || tensor?.shape.length !== rank) {
      throw new TypeError(
        `expected one weight ${quote(`${name}/${part}`)} of ${rank} dimensions, found ` +
          (count === 1 ? showShape(tensor!.shape) : String(count)),
      );
    }
    this.#weights.delete(found);
    this.#taken++;
    return tensor;
  }

  /** Takes one of a layer's weights that may be missing. */
  takeIfThere(config: LayerConfig, part: string): Tensor | undefined {
    const [found, count] = this.#find(config.name, part);
    return count === 0
      ? undefined
      : this.take(config, part, this.#weights.get(found)!.shape.length);
  }

  /** By the longest ending that only one weight has: nested models may name layers alike. */
  #find(name: string, part: string): [string, number] {
    const { path, stored } = this.#layer!;
    const numbered = `${stored}/vars/${this.#taken}`;
    if (this.#weights.has(numbered)) return [numbered, 1];
    const names = [...path, name, part];
    let found: string[] = [];
    for (let start = 0; start < names.length - 1 && found.length !== 1; start++) {
      const ending = names.slice(start).join("/");
      found = [...this.#weights.keys()].filter((key) => `/${key}`.endsWith(`/${ending}`));
    }
    // Keras 2 leaves a Normalization's name out.
    if (found.length === 0 && this.#weights.has(part)) found = [part];
    return [found[0] ?? "", found.length];
  }

  /** The image that a layer takes, its axes where the layer expects them. */
  requireImage(config: LayerConfig): ImageShape {
    const format = config.value("data_format") ?? "channels_last";
    const { shape } = this.builder;
    if (shape.length !== 3) throw new TypeError("its input must be an image");
    const expected = format === "channels_first" ? CHANNELS_FIRST : CHANNELS_LAST;
    if (format !== "channels_last" && format !== "channels_first" || !isSame(this.axes, expected)) {
      const names = this.axes.map((axis) => ["channels", "height", "width"][axis]);
      throw new TypeError(
        `data_format ${quote(format)} does not fit its input [${names.join(", ")}]`,
      );
    }
    return [shape[0], shape[1], shape[2]];
  }

  /** Flattens, in the order that the file says. */
  flatten(axes = this.axes): void {
    const features = this.builder.shape.reduce((product, size) => product * size, 1);
    if (features > this.#weightCount) {
      throw new TypeError(
        `it makes ${features} numbers, more than its ${this.#weightCount} weights could take`,
      );
    }
    // Without a channel axis, the one channel may stand anywhere.
    this.builder.flatten(axes.includes(0) ? axes : [0, ...axes]);
  }

  /** Multiplies each channel or feature, and adds to it; one number is for all. */
  scale(scale: readonly number[], offset: readonly number[], what?: string): void {
    const [count] = this.builder.shape;
    const [scales, offsets] = [scale, offset].map((values) =>
      values.length === 1 ? Array(count).fill(values[0]) : values
    );
    if (scales.length !== count || offsets.length !== count) {
      const found = [scale, offset].map(({ length }) => length).join(" and ");
      throw new TypeError(`it must have ${count} numbers, or one for all, found ${found}`);
    }
    this.builder.scaleOutputs(scales, offsets, what);
  }

  /** Ends the network; every weight must have been taken. */
  finish(name: string): TrainedModel {
    const [left] = this.#weights.keys();
    if (left !== undefined) throw new TypeError(`weight ${quote(left)} belongs to no layer`);
    return this.builder.finish(name);
  }
}

/** Whether two lists hold the same. */
export function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((value, n) => value === other[n]);
}
