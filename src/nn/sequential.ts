/** Sequential models: layer specs with every shape and parameter worked out once, for all engines. */

import type { ActivationSpec, FlattenSpec, LayerSpec, Pair } from "./layers.ts";
import { checkNumber, checkObject } from "../check.ts";
import { checkElements, checkModel, checkSpec } from "./check_spec.ts";
import { checkStandardization, NORMALIZED, type Standardization } from "./standardization.ts";

/** Shape of one sample: [channels, height, width], or [features] after flatten. */
export type Shape = readonly number[];

/** Shape of an image or of feature maps. */
export type ImageShape = readonly [channels: number, height: number, width: number];

/** One trainable tensor: its PyTorch name and its place in the model's flat parameter vector. */
export interface Parameter {
  /** `conv1.weight`, or the layer's index for an unnamed layer: `0.weight`. */
  readonly name: string;
  /** conv2d weight [outChannels, inChannels, height, width], linear weight [out, in], bias [out]. */
  readonly shape: Shape;
  /** Weights are drawn by the model's initialiser, biases by PyTorch's default. */
  readonly kind: "weight" | "bias";
  /** First element in the flat vector. */
  readonly offset: number;
  /** Number of elements. */
  readonly size: number;
  /** Inputs that feed one output of the layer: inChannels * kernel area, or inFeatures. */
  readonly fanIn: number;
  /** outChannels * kernel area, or outFeatures. */
  readonly fanOut: number;
}

/** What every layer that knows its input has. */
export interface Placed<In extends Shape, Out extends Shape> {
  /** Name of the layer and prefix of its parameters. */
  readonly name: string;
  /** Shape of one sample's input. */
  readonly inputShape: In;
  /** Shape of one sample's output. */
  readonly outputShape: Out;
}

/** A convolution that knows its input. */
export interface Conv2dLayer extends Placed<ImageShape, ImageShape> {
  /** Which layer this is. */
  readonly type: "conv2d";
  /** Height and width of the kernel. */
  readonly kernelSize: Pair;
  /** Distance between neighbouring windows. */
  readonly stride: Pair;
  /** Rows and columns of zeros at each side. */
  readonly padding: Pair;
  /** Where the weights are in the flat vector. */
  readonly weight: Parameter;
  /** Where the biases are in the flat vector. */
  readonly bias: Parameter;
}

/** A pooling layer that knows its input. */
export interface Pool2dLayer extends Placed<ImageShape, ImageShape> {
  /** Which layer this is. */
  readonly type: "avgPool2d" | "maxPool2d";
  /** Height and width of a window. */
  readonly poolSize: Pair;
  /** Distance between neighbouring windows. */
  readonly stride: Pair;
}

/** An activation that knows its input. */
export interface ActivationLayer extends Placed<Shape, Shape> {
  /** Which layer this is. */
  readonly type: ActivationSpec["type"];
}

/** A flatten layer that knows its input. */
export interface FlattenLayer extends Placed<Shape, readonly [number]> {
  /** Which layer this is. */
  readonly type: FlattenSpec["type"];
}

/** A linear layer that knows its input. */
export interface LinearLayer extends Placed<readonly [number], readonly [number]> {
  /** Which layer this is. */
  readonly type: "linear";
  /** Where the weights are in the flat vector. */
  readonly weight: Parameter;
  /** Where the biases are in the flat vector. */
  readonly bias: Parameter;
}

/** A layer that knows its input: what an engine walks. */
export type Layer = Conv2dLayer | Pool2dLayer | ActivationLayer | FlattenLayer | LinearLayer;

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
  /** In the order of computation. */
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
  checkStandardization(standardization);
  const layers: Layer[] = [];
  const parameters: Parameter[] = [];
  let shape: Shape = inputShape;
  for (const [index, spec] of specs.entries()) {
    checkSpec(spec, index);
    const layerName = spec.name ?? String(index);
    if (layers.some((layer) => layer.name === layerName)) {
      throw new TypeError(
        `Cannot use the name "${layerName}" for two layers: give one another name`,
      );
    }
    const layer = place(spec, { name: layerName, inputShape: shape, parameters });
    checkElements(layer.outputShape, `the output of ${layer.type} "${layerName}"`);
    layers.push(layer);
    shape = layer.outputShape;
  }
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
  const input = { inputShape, standardization };
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
  const { outputShape } = place(spec, { name: spec.name ?? "", inputShape, parameters: [] });
  checkElements(outputShape, `the output of ${spec.type} "${spec.name ?? ""}"`);
  return outputShape;
}

/** Number of windows along one direction: floor((size + 2 padding - kernel) / stride) + 1.
 *
 * @throws {RangeError} If a number is not whole, or out of range.
 * @example A kernel of 5 with padding 2 keeps 28
 * ```ts
 * import { outputSize } from "@lenet/lenet";
 *
 * if (outputSize(28, 5, 1, 2) !== 28) throw new Error("expected 28");
 * ```
 */
export function outputSize(size: number, kernel: number, stride: number, padding: number): number {
  checkNumber("size", size, { whole: true, min: 1 });
  checkNumber("kernel", kernel, { whole: true, min: 1 });
  checkNumber("stride", stride, { whole: true, min: 1 });
  checkNumber("padding", padding, { whole: true, min: 0 });
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

/** "[16, 5, 5]".
 *
 * @example As messages show it
 * ```ts
 * import { showShape } from "@lenet/lenet";
 *
 * if (showShape([16, 5, 5]) !== "[16, 5, 5]") throw new Error("expected [16, 5, 5]");
 * ```
 */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

interface Placement {
  readonly name: string;
  readonly inputShape: Shape;
  readonly parameters: Parameter[];
}

function place(spec: LayerSpec, placement: Placement): Layer {
  const { name, inputShape, parameters } = placement;
  switch (spec.type) {
    case "conv2d": {
      const input = requireImage(inputShape, `conv2d "${name}"`);
      if (spec.inChannels !== undefined && spec.inChannels !== input[0]) {
        throw new TypeError(
          `Cannot add conv2d "${name}": expected ${spec.inChannels} input channels, ` +
            `found ${input[0]} in ${showShape(input)}`,
        );
      }
      const { kernelSize, stride, padding } = spec;
      const [height, width] = windows(input, { ...spec, name, windowSize: kernelSize });
      const area = kernelSize[0] * kernelSize[1];
      const fan = { fanIn: input[0] * area, fanOut: spec.outChannels * area };
      const weightShape = [spec.outChannels, input[0], ...kernelSize];
      const [weight, bias] = addParameters(parameters, name, weightShape, fan);
      const outputShape: ImageShape = [spec.outChannels, height, width];
      const geometry = { kernelSize, stride, padding };
      return { type: spec.type, name, inputShape: input, outputShape, ...geometry, weight, bias };
    }
    case "avgPool2d":
    case "maxPool2d": {
      const input = requireImage(inputShape, `${spec.type} "${name}"`);
      const { type, poolSize, stride } = spec;
      const size = windows(input, { type, name, windowSize: poolSize, stride, padding: [0, 0] });
      return {
        type,
        name,
        inputShape: input,
        outputShape: [input[0], ...size],
        poolSize,
        stride,
      };
    }
    case "flatten": {
      const features = inputShape.reduce((product, size) => product * size, 1);
      return { type: spec.type, name, inputShape, outputShape: [features] };
    }
    case "linear": {
      if (inputShape.length !== 1) {
        throw new TypeError(
          `Cannot add linear "${name}": its input must be a vector, ` +
            `found ${showShape(inputShape)}; add flatten() before it`,
        );
      }
      const [inFeatures] = inputShape;
      if (spec.inFeatures !== undefined && spec.inFeatures !== inFeatures) {
        throw new TypeError(
          `Cannot add linear "${name}": expected ${spec.inFeatures} input features, ` +
            `found ${inFeatures}`,
        );
      }
      const fan = { fanIn: inFeatures, fanOut: spec.outFeatures };
      const shape = [spec.outFeatures, inFeatures];
      const [weight, bias] = addParameters(parameters, name, shape, fan);
      return {
        type: spec.type,
        name,
        inputShape: [inFeatures],
        outputShape: [spec.outFeatures],
        weight,
        bias,
      };
    }
    default:
      return { type: spec.type, name, inputShape, outputShape: inputShape };
  }
}

function requireImage(shape: Shape, what: string): ImageShape {
  if (shape.length !== 3) {
    throw new TypeError(
      `Cannot add ${what}: its input must be [channels, height, width], found ${showShape(shape)}`,
    );
  }
  return [shape[0], shape[1], shape[2]];
}

interface Window {
  readonly type: string;
  readonly name: string;
  readonly windowSize: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
}

function windows(input: ImageShape, window: Window): Pair {
  const { type, name, windowSize, stride, padding } = window;
  const [height, width] = [0, 1].map((axis) =>
    outputSize(input[axis + 1], windowSize[axis], stride[axis], padding[axis])
  );
  if (height < 1 || width < 1) {
    throw new RangeError(
      `Cannot add ${type} "${name}": a window of ${windowSize.join("x")} does not fit the input ` +
        `${showShape(input)} with padding ${padding.join("x")}`,
    );
  }
  return [height, width];
}

function addParameters(
  parameters: Parameter[],
  layerName: string,
  weightShape: Shape,
  fan: { fanIn: number; fanOut: number },
): [weight: Parameter, bias: Parameter] {
  const last = parameters.at(-1);
  const offset = last === undefined ? 0 : last.offset + last.size;
  const size = weightShape.reduce((product, length) => product * length, 1);
  const weight: Parameter = {
    name: `${layerName}.weight`,
    shape: weightShape,
    kind: "weight",
    offset,
    size,
    ...fan,
  };
  const bias: Parameter = {
    name: `${layerName}.bias`,
    shape: [weightShape[0]],
    kind: "bias",
    offset: offset + size,
    size: weightShape[0],
    ...fan,
  };
  parameters.push(weight, bias);
  return [weight, bias];
}
