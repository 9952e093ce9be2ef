/** Sequential models: layer specs with every shape and parameter worked out once, for all engines. */

import { checkNumber, checkObject } from "../check.ts";
import { checkElements, checkModel, checkSpec, MAX_LAYERS } from "./check_spec.ts";
import { type ImageShape, type Parameter, type Shape, showShape, volume } from "./layers/layer.ts";
import { definitionOf, type Layer, type LayerSpec } from "./layers/table.ts";
import {
  channelOf,
  checkStandardization,
  joinChannels,
  NORMALIZED,
  type Standardization,
} from "./standardization.ts";

export type { ImageShape, Parameter, Placed, Shape, Weighted } from "./layers/layer.ts";
export { outputSize, showShape } from "./layers/layer.ts";
export type {
  ActivationLayer,
  Conv2dLayer,
  FlattenLayer,
  Layer,
  LayerKind,
  LinearLayer,
  Pool2dLayer,
  ResidualLayer,
} from "./layers/table.ts";

/** A model: layers with every shape inferred, and the layout of its flat parameter vector. */
export interface Model {
  /** Name of the model. */
  readonly name: string;
  /** Shape of one image. */
  readonly inputShape: ImageShape;
  /** What pixels become before the first layer; engines apply it as they read an image. */
  readonly standardization: Standardization;
  /** The specs it was made from: plain data, enough to make it again. */
  readonly specs: readonly LayerSpec[];
  /** In the order of computation; each names those it reads, and the last gives the logits. */
  readonly layers: readonly Layer[];
  /** In layer order, weight before bias, offsets without gaps. */
  readonly parameters: readonly Parameter[];
  /** Length of the flat parameter vector. */
  readonly parameterCount: number;
  /** Length of the logits. */
  readonly classCount: number;
}

/** Options of {@linkcode sequential}. */
export interface SequentialOptions {
  /** Name of the model; default "sequential". */
  readonly name?: string;
  /** Shape of one image; default [1, 28, 28]. */
  readonly inputShape?: ImageShape;
  /** What pixels become before the first layer; default pixel / 255. */
  readonly standardization?: Standardization;
}

/** Labels and predictions are bytes. */
const MAX_CLASSES = 256;

/** Builds a model from layer specs: infers every shape and lays out the parameters.
 *
 * The last layer's output is the logits, so it must be a vector.
 *
 * The specs may come from a file: whatever they are, the result is a model or one of these errors.
 *
 * @throws {TypeError} If a spec is not one, or a layer gets an input of the wrong shape or channel
 * count.
 * @throws {RangeError} If a size is not a whole number in range, or a kernel does not fit.
 * @example A softmax regression
 * ```ts
 * import { flatten, linear } from "./layers.ts";
 * import { sequential } from "./sequential.ts";
 *
 * const model = sequential([flatten(), linear({ outFeatures: 10 })]);
 * console.log(model.parameterCount); // 7850
 * ```
 */
export function sequential(specs: readonly LayerSpec[], options: SequentialOptions = {}): Model {
  const { name = "sequential", inputShape = [1, 28, 28], standardization = NORMALIZED } = options;
  checkModel(specs, name, inputShape);
  checkStandardization(standardization, inputShape[0]);
  const builder = new Builder();
  const { shape } = builder.append(specs, { prefix: "", depth: 0, end: IMAGE, shape: inputShape });
  const { layers, parameters } = builder;
  if (shape.length !== 1) {
    throw new TypeError(
      `Cannot use model "${name}" as a classifier: its output must be a vector of logits, ` +
        `found ${showShape(shape)}; end it with flatten() and linear()`,
    );
  }
  if (shape[0] > MAX_CLASSES) {
    throw new RangeError(
      `Cannot use model "${name}" as a classifier: expected at most ${MAX_CLASSES} logits, ` +
        `found ${shape[0]}`,
    );
  }
  const last = parameters.at(-1);
  if (last === undefined) {
    throw new TypeError(`Cannot train model "${name}": it has no layer with parameters`);
  }
  const parameterCount = last.offset + last.size;
  checkElements([parameterCount], `the parameters of model "${name}"`);
  const [classCount] = shape;
  const channels = Array.from(
    { length: inputShape[0] },
    (_, channel) => channelOf(standardization, channel),
  );
  const input = { inputShape, standardization: joinChannels(channels) };
  return { name, ...input, specs, layers, parameters, parameterCount, classCount };
}

/** Shape of one sample's output of a layer.
 *
 * @throws {TypeError} If the spec is not one, or the layer cannot take such an input.
 * @throws {RangeError} If a window does not fit.
 * @example A convolution
 * ```ts
 * import { conv2d } from "./layers.ts";
 * import { outputShapeOf } from "./sequential.ts";
 *
 * const layer = conv2d({ outChannels: 6, kernelSize: 5, padding: 2 });
 * console.log(outputShapeOf(layer, [1, 28, 28])); // [6, 28, 28]
 * ```
 */
export function outputShapeOf(spec: LayerSpec, inputShape: Shape): Shape {
  checkSpec(spec, 0);
  checkObject("inputShape", inputShape, "an array of sizes");
  for (const size of inputShape) checkNumber("inputShape", size, { whole: true, min: 1 });
  const start = { prefix: "", depth: 0, end: IMAGE, shape: inputShape };
  return new Builder().add(spec, spec.name ?? "", start).shape;
}

/** The place of the image among the layers that a layer reads. */
export const IMAGE: -1 = -1;

/** Blocks may stand in blocks so many times. */
const MAX_DEPTH = 8;

/** Where a row of layers begins, or has come to. */
interface Row {
  /** Names of the blocks that it stands in, each followed by a dot. */
  readonly prefix: string;
  readonly depth: number;
  /** The layer that gives its input, by its place. */
  readonly end: number;
  readonly shape: Shape;
}

/** Turns specs, which may hold specs, into layers one after another. */
class Builder {
  readonly layers: Layer[] = [];
  readonly parameters: Parameter[] = [];

  /** Adds layers in a row; returns where it ends. */
  append(specs: readonly unknown[], row: Row): Row {
    const names = new Set<string>();
    for (const [index, spec] of specs.entries()) {
      checkSpec(spec, `${row.prefix}${index}`);
      const name = `${row.prefix}${spec.name ?? index}`;
      if (names.has(name)) {
        throw new TypeError(`Cannot use the name "${name}" for two layers: give one another name`);
      }
      names.add(name);
      row = this.add(spec, name, row);
    }
    return row;
  }

  /** Adds a layer, and those that stand in it before it. */
  add(spec: LayerSpec, name: string, row: Row): Row {
    const { depth, end, shape } = row;
    if (depth > MAX_DEPTH) {
      throw new RangeError(
        `Cannot build ${spec.type} "${name}": expected at most ${MAX_DEPTH} residual blocks around ` +
          `one another`,
      );
    }
    const layer = definitionOf(spec).place(spec, {
      name,
      inputs: [end],
      inputShape: shape,
      tensor: (part, tensor) => this.#addTensor({ name: `${name}.${part}`, ...tensor }),
      branch: (part, specs) =>
        this.append(specs, { prefix: `${name}.${part}.`, depth: depth + 1, end, shape }),
    });
    checkElements(layer.outputShape, `the output of ${layer.type} "${name}"`);
    if (this.layers.length >= MAX_LAYERS) {
      throw new RangeError(
        `Cannot build ${spec.type} "${name}": expected at most ${MAX_LAYERS} layers in all`,
      );
    }
    return { ...row, end: this.layers.push(layer) - 1, shape: layer.outputShape };
  }

  #addTensor(tensor: Omit<Parameter, "offset" | "size">): Parameter {
    const last = this.parameters.at(-1);
    const offset = last === undefined ? 0 : last.offset + last.size;
    const parameter = { ...tensor, offset, size: volume(tensor.shape) };
    this.parameters.push(parameter);
    return parameter;
  }
}
