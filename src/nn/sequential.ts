/** Sequential models: layer specs with every shape and parameter worked out once, for all engines. */

import { checkModelArgument, checkNumber, checkObject } from "../check.ts";
import { quote } from "../quote.ts";
import { checkElements, checkModel, checkSpec, MAX_LAYERS } from "./check_spec.ts";
import {
  type ImageShape,
  type Parameter,
  type PlacedTensor,
  type Shape,
  showShape,
  type Statistic,
  volume,
} from "./layers/layer.ts";
import { definitionOf, type Layer, type LayerSpec } from "./layers/table.ts";
import {
  channelsOf,
  checkStandardization,
  joinChannels,
  NORMALIZED,
  type Standardization,
} from "./standardization.ts";

export type {
  ImageShape,
  Parameter,
  Placed,
  PlacedTensor,
  Shape,
  Statistic,
  Weighted,
} from "./layers/layer.ts";
export { outputSize, showShape } from "./layers/layer.ts";
export type {
  ActivationLayer,
  BatchNormLayer,
  Conv2dLayer,
  DropoutLayer,
  FlattenLayer,
  Layer,
  LayerKind,
  LeakyReluLayer,
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
  /** Running statistics, in layer order, offsets without gaps. */
  readonly statistics: readonly Statistic[];
  /** Length of the flat vector of running statistics. */
  readonly statisticCount: number;
  /** Names of layers and blocks whose parameters training leaves as they are. */
  readonly frozen: readonly string[];
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
  /** Layers, or blocks, whose parameters training leaves as they are: their names, or the beginning of
   * some names and a star; default none. */
  readonly frozen?: readonly string[];
}

/** Labels and predictions are bytes. */
const MAX_CLASSES = 256;

/** Builds a model from layer specs: infers every shape and lays out the parameters.
 *
 * The last layer's output is the logits, so it must be a vector.
 *
 * The specs may come from a file: whatever they are, the result is a model or one of these errors.
 *
 * @throws {TypeError} If a spec is not one, frozen is no list of names, or a layer gets an input of the wrong shape or channel
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
  const { frozen = [] } = options;
  checkModel(specs, name, inputShape);
  if (!Array.isArray(frozen) || frozen.some((one) => typeof one !== "string")) {
    throw new TypeError(`Invalid frozen: expected a list of names, found ${quote(frozen)}`);
  }
  checkStandardization(standardization, inputShape[0]);
  const builder = new Builder(frozen);
  const { shape } = builder.append(specs, { prefix: "", depth: 0, end: IMAGE, shape: inputShape });
  const { layers, parameters, statistics } = builder;
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
  if (parameters.length === 0) {
    throw new TypeError(`Cannot train model "${name}": it has no layer with parameters`);
  }
  checkFrozen(frozen, builder);
  const [parameterCount, statisticCount] = [endOf(parameters), endOf(statistics)];
  checkElements([parameterCount], `the parameters of model "${name}"`);
  const [classCount] = shape;
  const channels = channelsOf(standardization, inputShape[0]);
  const input = { inputShape, standardization: joinChannels(channels) };
  const tensors = { parameters, parameterCount, statistics, statisticCount };
  return { name, ...input, specs, layers, ...tensors, frozen, classCount };
}

/** The model with some layers frozen, and no others: training leaves their parameters as they are, and
 * a frozen batch norm takes its running statistics, and leaves them so.
 *
 * @param names Names of layers (`conv1`) or blocks (`3.body`), or the beginning of names and a star
 * (`conv*`).
 * @throws {RangeError} If a name matches no layer with parameters, or nothing is left to train.
 * @example Train LeNet's linear layers alone
 * ```ts
 * import { freeze, lenet } from "@lenet/lenet";
 *
 * const model = freeze(lenet(), ["conv*"]);
 * const trained = model.parameters.filter(({ trained }) => trained);
 * if (trained.length !== 6) throw new Error("expected three weights and three biases");
 * ```
 */
export function freeze(model: Model, names: readonly string[]): Model {
  checkModelArgument(model);
  return sequential(model.specs, { ...model, frozen: names });
}

/** Whether a name of `frozen` means a layer. */
function isMeant(name: string, layer: string): boolean {
  if (name.endsWith("*")) return layer.startsWith(name.slice(0, -1));
  return layer === name || layer.startsWith(`${name}.`);
}

/** Names of layers in an error beyond which the rest is left out. */
const MAX_SHOWN = 16;

function checkFrozen(frozen: readonly string[], { layers, parameters }: Builder): void {
  const names = layers.filter((layer) => layer.parameters.length > 0).map((layer) => layer.name);
  const wrong = frozen.find((name) => !names.some((layer) => isMeant(name, layer)));
  if (wrong !== undefined) {
    const shown = names.length > MAX_SHOWN ? [...names.slice(0, MAX_SHOWN), "..."] : names;
    throw new RangeError(
      `Cannot freeze ${quote(wrong)}: expected the name, or its beginning and a star, of one of ` +
        `${shown.join(", ")}`,
    );
  }
  if (parameters.every(({ trained }) => !trained)) {
    throw new RangeError(`Cannot freeze ${frozen.join(", ")}: no layer would be left to train`);
  }
}

/** Length of the flat vector of tensors. */
function endOf(tensors: readonly PlacedTensor[]): number {
  const last = tensors.at(-1);
  return last === undefined ? 0 : last.offset + last.size;
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
  return new Builder([]).add(spec, spec.name ?? "", start).shape;
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
  readonly statistics: Statistic[] = [];
  readonly #frozen: readonly string[];

  constructor(frozen: readonly string[]) {
    this.#frozen = frozen;
  }

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
      parameter: (part, tensor) =>
        place(this.parameters, {
          ...tensor,
          name: `${name}.${part}`,
          trained: !this.#frozen.some((pattern) => isMeant(pattern, name)),
        }),
      statistic: (part, tensor) => place(this.statistics, { ...tensor, name: `${name}.${part}` }),
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
}

/** Adds a tensor behind others. */
function place<T extends PlacedTensor>(tensors: T[], tensor: Omit<T, "offset" | "size">): T {
  const placed = { ...tensor, offset: endOf(tensors), size: volume(tensor.shape) } as T;
  tensors.push(placed);
  return placed;
}
