/** A model put together layer by layer from a foreign file, with every tensor checked. */

import { checkSpec } from "../nn/check_spec.ts";
import type { LayerSpec } from "../nn/layers.ts";
import {
  type ImageShape,
  outputShapeOf,
  sequential,
  type Shape,
  showShape,
} from "../nn/sequential.ts";
import { checkStandardization, NORMALIZED, type Standardization } from "../nn/standardization.ts";
import { quote } from "../quote.ts";
import type { TrainedModel } from "./trained_model.ts";

/** Parameters of a layer, in this project's layout. */
export interface LayerTensors {
  /** OIHW or [out, in], row by row. */
  readonly weight: Float32Array;
  /** One number an output; zeros where the file has none. */
  readonly bias?: Float32Array;
}

/** Collects layers and parameters in the order of computation. */
export class NetworkBuilder {
  readonly #inputShape: ImageShape;
  readonly #specs: LayerSpec[] = [];
  readonly #tensors: Float32Array[] = [];
  #shape: Shape;
  #standardization: Standardization = NORMALIZED;

  /** Starts with the shape of one image. */
  constructor(inputShape: ImageShape) {
    this.#inputShape = inputShape;
    this.#shape = inputShape;
  }

  /** Shape of one sample after the layers so far. */
  get shape(): Shape {
    return this.#shape;
  }

  /** Adds a multiplication and an addition to the pixels, which comes before all layers.
   *
   * @throws {TypeError} If there are layers already.
   * @throws {RangeError} If nothing of the pixels is left.
   */
  rescale(scale: number, offset: number): void {
    if (this.#specs.length > 0) throw new TypeError("it is supported before the first layer only");
    const { mean, std } = this.#standardization;
    const rescaled = { mean: mean - offset * std / scale, std: std / scale };
    checkStandardization(rescaled);
    this.#standardization = rescaled;
  }

  /** Adds a layer.
   *
   * @param spec Its name is kept if this project's models can have it and no other layer has.
   * @throws {TypeError} If the layer cannot take its input.
   * @throws {RangeError} If a size is not in range.
   */
  add(spec: LayerSpec, tensors?: LayerTensors): void {
    const { name, ...unnamed } = spec;
    const candidate = name?.replaceAll(/[./:-]/g, "_") ?? "";
    const isTaken = this.#specs.some((other) => other.name === candidate);
    const usable = /^[A-Za-z_]\w{0,63}$/.test(candidate) && !isTaken;
    const named = usable ? { ...unnamed, name: candidate } : unnamed;
    checkSpec(named, this.#specs.length);
    this.#shape = outputShapeOf(named, this.#shape);
    this.#specs.push(named);
    if (tensors === undefined) return;
    const [outputs] = this.#shape;
    const { weight, bias = new Float32Array(outputs) } = tensors;
    if (bias.length !== outputs) {
      throw new TypeError(
        `the bias of ${named.type} ${quote(name ?? "")} must be [${outputs}], ` +
          `found ${bias.length} numbers`,
      );
    }
    this.#tensors.push(weight, bias);
  }

  /** Builds the model and lays out its parameters.
   *
   * @throws {TypeError} If its output is no vector of logits.
   */
  finish(name: string): TrainedModel {
    const fit = /^\P{C}{1,100}$/u.test(name) ? name : "imported";
    const model = sequential(this.#specs, {
      name: fit,
      inputShape: this.#inputShape,
      standardization: this.#standardization,
    });
    const parameters = new Float32Array(model.parameterCount);
    model.parameters.forEach(({ name, shape, offset, size }, index) => {
      const { length } = this.#tensors[index];
      if (length !== size) {
        throw new TypeError(`${quote(name)} must be ${showShape(shape)}, found ${length} numbers`);
      }
      parameters.set(this.#tensors[index], offset);
    });
    return { model, parameters };
  }
}

/** What 'same' padding means for one direction, where rows at both sides are as many.
 *
 * Padded so that there is a window for every stride: ceil(size / stride) of them.
 *
 * @throws {TypeError} If one side would get more rows than the other.
 */
export function samePadding(size: number, kernel: number, stride: number): number {
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
  if (total % 2 === 0) return total / 2;
  throw new TypeError(
    `'same' padding of a window of ${kernel} with stride ${stride} over ${size} is ` +
      `${(total - 1) / 2} before and ${(total + 1) / 2} after: both sides must be alike`,
  );
}
