/** The models of the lesson, each with the recipe that trains it. */

import { checkName, checkNumber } from "../check.ts";
import type { Augmentation } from "../data/augment.ts";
import type { WeightInit } from "./init.ts";
import type { ActivationSpec, LayerSpec, Pool2dOptions, Pool2dSpec } from "./layers.ts";
import {
  avgPool2d,
  batchNorm1d,
  batchNorm2d,
  conv2d,
  flatten,
  globalAvgPool2d,
  linear,
  maxPool2d,
  relu,
  residual,
  sigmoid,
} from "./layers.ts";
import type { OptimizerSpec } from "./optimizers.ts";
import { type Model, sequential } from "./sequential.ts";
import type { Standardization } from "./standardization.ts";

/** Name of a model of the zoo. */
export type ModelName =
  | "lenet"
  | "lenet-d2l"
  | "lenet-relu"
  | "lenet-bn"
  | "resnet8"
  | "resnet14"
  | "vgg-small"
  | "vgg8"
  | "vgg-tiny"
  | "cnn-rgb"
  | "mlp"
  | "softmax";

/** What trains a model well: the defaults of the train command. */
export interface Recipe {
  /** For its optimiser. */
  readonly learningRate: number;
  /** Passes over the training set. */
  readonly epochs: number;
  /** Images in a step. */
  readonly batchSize: number;
  /** How the weights are drawn. */
  readonly init: WeightInit;
  /** Default: plain SGD. */
  readonly optimizer?: OptimizerSpec;
  /** As {@linkcode TrainPlan} has it; default: constant, at once. */
  readonly schedule?: "cosine";
  /** Likewise; default: none. */
  readonly warmup?: number;
  /** Share of each label that all classes get alike; default 0. */
  readonly labelSmoothing?: number;
  /** Whether pixels are standardised by mean and deviation of the training set; default: they are not. */
  readonly standardize?: true;
  /** How images are changed; default: not at all. */
  readonly augmentation?: Augmentation;
}

interface ZooEntry {
  readonly description: string;
  readonly specs: (classCount: number) => readonly LayerSpec[];
  readonly recipe: Recipe;
}

const xavier: WeightInit = { type: "xavierUniform" };

/** What trains networks with batch norm: chosen on a validation split, see docs/record.md. */
const MODERN = {
  learningRate: 0.01,
  epochs: 30,
  batchSize: 128,
  init: { type: "torchDefault" },
  optimizer: { type: "adamw", beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.02 },
  schedule: "cosine",
  warmup: 0.25,
  labelSmoothing: 0.1,
  standardize: true,
  augmentation: { flip: true, shift: 2, erase: 0.3 },
} as const satisfies Recipe;

const smallNormal: WeightInit = { type: "normal", standardDeviation: 0.01 };

/** Every model of the zoo: its layers and its recipe. */
export const ZOO: Readonly<Record<ModelName, ZooEntry>> = {
  "lenet": {
    description: "LeNet, sigmoid after the convolutions and ReLU after the linear layers",
    specs: (classCount) => lenetSpecs(classCount, [sigmoid(), relu()], avgPool2d),
    recipe: { learningRate: 0.2, epochs: 20, batchSize: 256, init: xavier },
  },
  "lenet-d2l": {
    description: "LeNet as in Dive into Deep Learning, sigmoid throughout",
    specs: (classCount) => lenetSpecs(classCount, [sigmoid(), sigmoid()], avgPool2d),
    recipe: { learningRate: 0.9, epochs: 10, batchSize: 256, init: xavier },
  },
  "lenet-relu": {
    description: "LeNet with ReLU and max pooling",
    specs: (classCount) => lenetSpecs(classCount, [relu(), relu()], maxPool2d),
    recipe: { learningRate: 0.1, epochs: 10, batchSize: 256, init: xavier },
  },
  "lenet-bn": {
    description: "LeNet with batch normalization, sigmoid throughout",
    specs: (classCount) => [
      ...lenetConvolutions([6, 16]),
      flatten(),
      ...[120, 84].flatMap((outFeatures, n) => [
        linear({ name: `fc${n + 1}`, outFeatures }),
        batchNorm1d({ name: `bn${n + 3}` }),
        sigmoid(),
      ]),
      linear({ name: "fc3", outFeatures: classCount }),
    ],
    recipe: { learningRate: 1, epochs: 10, batchSize: 256, init: xavier },
  },
  "resnet8": {
    description: "Residual network, a block each of 16, 32 and 64 channels",
    specs: (classCount) => residualNetwork([16, 32, 64], 1, classCount),
    recipe: MODERN,
  },
  "resnet14": {
    description: "Residual network, two blocks each of 12, 24 and 48 channels",
    specs: (classCount) => residualNetwork([12, 24, 48], 2, classCount),
    recipe: MODERN,
  },
  "vgg-small": {
    description: "Six convolutions of 3x3 with batch normalization, of 16 to 64 channels",
    specs: (classCount) => vggNetwork([16, 16, "pool", 32, 32, "pool", 48, "pool", 64], classCount),
    recipe: MODERN,
  },
  "vgg8": {
    description: "Seven convolutions of 3x3 with batch normalization: docs/record.md",
    specs: (classCount) =>
      vggNetwork([16, 16, "pool", 32, 32, "pool", 48, 48, "pool", 64], classCount),
    recipe: { ...MODERN, epochs: 50 },
  },
  "vgg-tiny": {
    description: "Three convolutions of 3x3 with batch normalization, of 16 to 48 channels",
    specs: (classCount) => [
      ...[16, 24, 48].flatMap((channels) => [
        ...convolution(channels),
        maxPool2d({ poolSize: 2 }),
      ]),
      flatten(),
      linear({ name: "fc", outFeatures: classCount }),
    ],
    recipe: MODERN,
  },
  "cnn-rgb": {
    description: "Four convolutions of 3x3 with batch normalization, for colour pictures",
    specs: (classCount) => vggNetwork([16, "pool", 32, "pool", 48, "pool", 64], classCount),
    recipe: { ...MODERN, batchSize: 32 },
  },
  "mlp": {
    description: "Multilayer perceptron with one hidden layer of 256 units",
    specs: (classCount) => [
      flatten(),
      linear({ name: "fc1", outFeatures: 256 }),
      relu(),
      linear({ name: "fc2", outFeatures: classCount }),
    ],
    recipe: { learningRate: 0.1, epochs: 10, batchSize: 256, init: smallNormal },
  },
  "softmax": {
    description: "Softmax regression: one linear layer",
    specs: (classCount) => [flatten(), linear({ name: "fc", outFeatures: classCount })],
    recipe: { learningRate: 0.1, epochs: 10, batchSize: 256, init: smallNormal },
  },
};

/** Names of the zoo's models, the default first. */
export const MODEL_NAMES = Object.keys(ZOO) as ModelName[];

/** Builds a model of the zoo for images of a shape and a number of classes.
 *
 * @throws {TypeError} If there is no such model.
 * @throws {RangeError} If the images are too small for the model's windows, or there are too many classes.
 * @example LeNet for 5 classes of pictures of 32 x 32
 * ```ts
 * import { zooModel } from "@lenet/lenet";
 *
 * const model = zooModel("lenet", { inputShape: [1, 32, 32], classCount: 5 });
 * if (model.classCount !== 5) throw new Error("expected 5 classes");
 * ```
 */
export function zooModel(
  name: ModelName,
  { inputShape = [1, 28, 28], classCount = 10, standardization }: {
    readonly inputShape?: Model["inputShape"];
    readonly classCount?: number;
    readonly standardization?: Standardization;
  } = {},
): Model {
  checkName("model", name, MODEL_NAMES);
  checkNumber("classCount", classCount, { whole: true, min: 1, max: 256 });
  const build = (shape: Model["inputShape"]) =>
    sequential(ZOO[name].specs(classCount), { name, inputShape: shape, standardization });
  try {
    return build(inputShape);
  } catch (error) {
    const [channels, ...size] = inputShape;
    const fits = (side: number) => {
      try {
        return build([channels, side, side]) !== undefined;
      } catch {
        return false;
      }
    };
    const side = Array.from({ length: 64 }, (_, n) => n + 1).find(fits);
    // What fails of images that are large enough has another reason.
    if (side === undefined || size.every((length) => !(length < side))) throw error;
    throw new RangeError(
      `Cannot use ${name} for images of ${size.join(" x ")}: the smallest that fit are ${side} x ` +
        `${side}; enlarge them (pictures by --image-size ${side}), or choose another model, as mlp`,
      { cause: error },
    );
  }
}

/** LeNet of the seed lesson for 28x28 images of 10 classes: 61,706 parameters.
 *
 * @example Count its parameters
 * ```ts
 * import { lenet } from "@lenet/lenet";
 *
 * if (lenet().parameterCount !== 61_706) throw new Error("expected 61,706");
 * ```
 */
export function lenet(): Model {
  return zooModel("lenet");
}

/** What trains a model of the zoo well.
 *
 * @throws {TypeError} If there is no such model.
 * @example LeNet's learning rate
 * ```ts
 * import { zooRecipe } from "@lenet/lenet";
 *
 * if (zooRecipe("lenet").learningRate !== 0.2) throw new Error("expected 0.2");
 * ```
 */
export function zooRecipe(name: ModelName): Recipe {
  checkName("model", name, MODEL_NAMES);
  return ZOO[name].recipe;
}

/** What trains own pictures, of which nothing is known but their number, size and channels. */
export interface FittedRecipe extends Recipe {
  /** What to train. */
  readonly model: ModelName;
}

/** What trains a set of images that no recipe was made for: a small network with batch norm, `cnn-rgb`
 * for colour pictures, by the recipe of its own.
 *
 * A step takes the largest power of two from 16 to 128 images that leaves 20 steps an epoch, since a
 * batch norm measures little in fewer than 16. There are as many epochs, from 10 to 100, as make 1,000
 * steps, but of large sets no more than 10^9 pixels are trained on, though 3 epochs at least.
 * Standardised pixels let pictures of low contrast be learned, which else stay at chance.
 *
 * @param train Number of training images, and their shape [channels, height, width].
 * @throws {RangeError} If there is no image.
 * @example 720 pictures
 * ```ts
 * import { fittedRecipe } from "@lenet/lenet";
 *
 * const { model, batchSize, epochs } = fittedRecipe({ count: 720, shape: [1, 28, 28] });
 * if (model !== "vgg-small" || batchSize !== 32 || epochs !== 44) throw new Error("expected 44 epochs");
 * ```
 */
export function fittedRecipe(
  { count, shape }: { readonly count: number; readonly shape: Model["inputShape"] },
): FittedRecipe {
  if (!(count >= 1)) {
    throw new RangeError(`Cannot choose a recipe for ${count} images: expected 1 or more`);
  }
  const batchSize = Math.min(128, Math.max(16, 2 ** Math.floor(Math.log2(count / 20))));
  const wanted = Math.ceil(1000 / Math.ceil(count / batchSize));
  const affordable = Math.floor(1e9 / (count * shape[0] * shape[1] * shape[2]));
  const epochs = Math.min(Math.max(wanted, 10), 100, Math.max(affordable, 3));
  const model = shape[0] > 1 ? "cnn-rgb" : "vgg-small";
  // Of pictures that may show anything, no mirror image may be taken for the same.
  const shift = Math.max(1, Math.round(Math.min(shape[1], shape[2]) / 16));
  const augmentation = { shift, rotate: 10, brightness: 0.2 };
  return { ...ZOO[model].recipe, model, epochs, batchSize, augmentation };
}

function lenetSpecs(
  classCount: number,
  [convActivation, linearActivation]: readonly [ActivationSpec, ActivationSpec],
  pool2d: (options: Pool2dOptions) => Pool2dSpec,
): LayerSpec[] {
  return [
    conv2d({ name: "conv1", outChannels: 6, kernelSize: 5, padding: 2 }),
    convActivation,
    pool2d({ poolSize: 2 }),
    conv2d({ name: "conv2", outChannels: 16, kernelSize: 5 }),
    convActivation,
    pool2d({ poolSize: 2 }),
    flatten(),
    linear({ name: "fc1", outFeatures: 120 }),
    linearActivation,
    linear({ name: "fc2", outFeatures: 84 }),
    linearActivation,
    linear({ name: "fc3", outFeatures: classCount }),
  ];
}

/** LeNet's convolutions with batch normalization. */
function lenetConvolutions(channels: readonly number[]): LayerSpec[] {
  return channels.flatMap((outChannels, n) => [
    conv2d({ name: `conv${n + 1}`, outChannels, kernelSize: 5, padding: n === 0 ? 2 : 0 }),
    batchNorm2d({ name: `bn${n + 1}` }),
    sigmoid(),
    avgPool2d({ poolSize: 2 }),
  ]);
}

/** Convolutions of 3x3 by their channels, and max pooling between them. */
function vggNetwork(steps: readonly (number | "pool")[], classCount: number): LayerSpec[] {
  return [
    ...steps.flatMap((step) => step === "pool" ? [maxPool2d({ poolSize: 2 })] : convolution(step)),
    ...classifier(classCount),
  ];
}

/** A convolution of 3x3 that keeps the size, or halves it, normalized. */
function normalized(outChannels: number, stride = 1): LayerSpec[] {
  return [
    conv2d({ outChannels, kernelSize: 3, stride, padding: 1, bias: false }),
    batchNorm2d(),
  ];
}

function convolution(outChannels: number): LayerSpec[] {
  return [...normalized(outChannels), relu()];
}

/** Logits from the means of all maps. */
function classifier(classCount: number): LayerSpec[] {
  return [globalAvgPool2d(), flatten(), linear({ name: "fc", outFeatures: classCount })];
}

/** Stages of basic blocks, each stage but the first of half the size.
 *
 * Source: He et al. 2016, section 4.2, with projections in place of zeros.
 */
function residualNetwork(
  stages: readonly number[],
  blocks: number,
  classCount: number,
): LayerSpec[] {
  const block = (channels: number, stride: number) => {
    const projection = [
      conv2d({ outChannels: channels, kernelSize: 1, stride, bias: false }),
      batchNorm2d(),
    ];
    const body = [...normalized(channels, stride), relu(), ...normalized(channels)];
    return [residual<LayerSpec, LayerSpec>(body, stride > 1 ? projection : []), relu()];
  };
  return [
    ...convolution(stages[0]),
    ...stages.flatMap((channels, stage) =>
      Array.from(
        { length: blocks },
        (_, n) => block(channels, stage > 0 && n === 0 ? 2 : 1),
      ).flat()
    ),
    ...classifier(classCount),
  ];
}
