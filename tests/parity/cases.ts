/** The parity table: small models that together exercise every layer, odd size and edge. */

import type { LabeledImages } from "../../src/data/dataset.ts";
import {
  avgPool2d,
  batchNorm1d,
  batchNorm2d,
  conv2d,
  dropout,
  flatten,
  globalAvgPool2d,
  type LayerSpec,
  leakyRelu,
  linear,
  maxPool2d,
  relu,
  residual,
  sigmoid,
  tanh,
} from "../../src/nn/layers.ts";
import { type ImageShape, type Model, sequential } from "../../src/nn/sequential.ts";
import type { Standardization } from "../../src/nn/standardization.ts";
import { createRandom } from "../../src/random.ts";

/** One row of the table. */
export interface ParityCase {
  readonly name: string;
  readonly inputShape: ImageShape;
  readonly standardization?: Standardization;
  readonly frozen?: readonly string[];
  readonly specs: readonly LayerSpec[];
}

const head = (classCount = 3) => [flatten(), linear({ outFeatures: classCount })];

/** Every backend must agree with the reference on each of these. */
export const PARITY_CASES: readonly ParityCase[] = [
  { name: "softmax regression", inputShape: [1, 4, 5], specs: head() },
  {
    name: "mlp of odd widths, tanh",
    inputShape: [1, 3, 3],
    specs: [
      flatten(),
      linear({ outFeatures: 7 }),
      tanh(),
      linear({ outFeatures: 5 }),
      sigmoid(),
      linear({ outFeatures: 2 }),
    ],
  },
  {
    name: "one 3x3 convolution",
    inputShape: [1, 7, 6],
    specs: [conv2d({ outChannels: 4, kernelSize: 3 }), relu(), ...head()],
  },
  {
    name: "padding wider than needed",
    inputShape: [2, 5, 5],
    specs: [conv2d({ outChannels: 3, kernelSize: 3, padding: 3 }), tanh(), ...head()],
  },
  {
    name: "stride 2, uneven remainder",
    inputShape: [3, 9, 8],
    specs: [
      conv2d({ outChannels: 5, kernelSize: 3, stride: 2, padding: 1 }),
      sigmoid(),
      conv2d({ outChannels: 7, kernelSize: 2, stride: 3 }),
      tanh(),
      ...head(4),
    ],
  },
  {
    name: "colours, as pictures have them",
    inputShape: [3, 12, 10],
    standardization: { mean: 0.45, std: 0.25 },
    specs: [
      conv2d({ outChannels: 6, kernelSize: 5, padding: 2 }),
      relu(),
      maxPool2d({ poolSize: 2 }),
      conv2d({ outChannels: 9, kernelSize: 3 }),
      relu(),
      ...head(4),
    ],
  },
  {
    name: "kernel smaller than stride",
    inputShape: [1, 11, 11],
    specs: [
      conv2d({ outChannels: 2, kernelSize: 3, padding: 1 }),
      tanh(),
      conv2d({ outChannels: 3, kernelSize: 2, stride: 4 }),
      ...head(),
    ],
  },
  {
    name: "oblong kernel, stride and padding",
    inputShape: [2, 8, 11],
    specs: [
      conv2d({ outChannels: 3, kernelSize: [1, 4], stride: [2, 1], padding: [0, 2] }),
      relu(),
      conv2d({ outChannels: 4, kernelSize: [3, 2], stride: [1, 3], padding: [2, 1] }),
      tanh(),
      ...head(),
    ],
  },
  {
    name: "1x1 convolutions, many channels",
    inputShape: [13, 4, 4],
    specs: [
      conv2d({ outChannels: 17, kernelSize: 1 }),
      relu(),
      conv2d({ outChannels: 9, kernelSize: 1 }),
      sigmoid(),
      ...head(11),
    ],
  },
  {
    name: "average pooling with gaps and remainder",
    inputShape: [1, 10, 9],
    specs: [
      conv2d({ outChannels: 3, kernelSize: 3 }),
      tanh(),
      avgPool2d({ poolSize: 2, stride: 3 }),
      ...head(),
    ],
  },
  {
    name: "overlapping average pooling",
    inputShape: [2, 9, 9],
    specs: [
      conv2d({ outChannels: 5, kernelSize: 2 }),
      sigmoid(),
      avgPool2d({ poolSize: 3, stride: 2 }),
      conv2d({ outChannels: 2, kernelSize: 2 }),
      ...head(),
    ],
  },
  {
    name: "max pooling of negative values",
    inputShape: [1, 8, 8],
    specs: [
      conv2d({ outChannels: 6, kernelSize: 3, padding: 1 }),
      tanh(),
      maxPool2d({ poolSize: 2 }),
      conv2d({ outChannels: 5, kernelSize: 3 }),
      ...head(),
    ],
  },
  {
    name: "overlapping, oblong max pooling",
    inputShape: [2, 9, 10],
    specs: [
      conv2d({ outChannels: 4, kernelSize: 2 }),
      maxPool2d({ poolSize: [3, 2], stride: [2, 1] }),
      relu(),
      conv2d({ outChannels: 3, kernelSize: 2 }),
      sigmoid(),
      maxPool2d({ poolSize: 2, stride: 1 }),
      ...head(),
    ],
  },
  {
    name: "pooling and activation before any parameter",
    inputShape: [2, 6, 6],
    specs: [
      avgPool2d({ poolSize: 2 }),
      tanh(),
      conv2d({ outChannels: 3, kernelSize: 2 }),
      relu(),
      ...head(),
    ],
  },
  {
    name: "two activations in a row, activation of logits",
    inputShape: [1, 5, 5],
    specs: [
      conv2d({ outChannels: 2, kernelSize: 3 }),
      tanh(),
      sigmoid(),
      flatten(),
      linear({ outFeatures: 3 }),
      tanh(),
    ],
  },
  {
    name: "logits straight from a convolution",
    inputShape: [1, 6, 6],
    specs: [
      conv2d({ outChannels: 4, kernelSize: 3, stride: 2 }),
      relu(),
      conv2d({ outChannels: 5, kernelSize: 2 }),
      flatten(),
    ],
  },
  {
    name: "standardized pixels beside padding of zeros, average pooling over both",
    inputShape: [2, 6, 7],
    standardization: { mean: 0.75, std: 0.125 },
    specs: [
      conv2d({ outChannels: 4, kernelSize: 3, padding: 2 }),
      tanh(),
      avgPool2d({ poolSize: 2 }),
      ...head(),
    ],
  },
  {
    name: "standardized pixels, each channel by its own numbers, words of several channels",
    inputShape: [3, 5, 7],
    standardization: { mean: [0.5, 0.25, 0.75], std: [0.125, 0.5, 0.25] },
    specs: [conv2d({ outChannels: 4, kernelSize: 3, padding: 1 }), tanh(), ...head()],
  },
  {
    name: "each channel standardized, flattened at once",
    inputShape: [3, 5, 7],
    standardization: { mean: [0.5, 0.25, 0.75], std: [0.125, 0.5, 0.25] },
    specs: head(),
  },
  {
    name: "LeNet's layers on a small image, max pooling",
    inputShape: [1, 16, 16],
    specs: [
      conv2d({ outChannels: 6, kernelSize: 5, padding: 2 }),
      relu(),
      maxPool2d({ poolSize: 2 }),
      conv2d({ outChannels: 16, kernelSize: 5 }),
      relu(),
      maxPool2d({ poolSize: 2 }),
      flatten(),
      linear({ outFeatures: 20 }),
      relu(),
      linear({ outFeatures: 10 }),
    ],
  },
  {
    name: "residual block around itself, its input read by three",
    inputShape: [2, 6, 5],
    specs: [
      conv2d({ outChannels: 3, kernelSize: 3, padding: 1 }),
      relu(),
      residual([
        conv2d({ outChannels: 4, kernelSize: 3, padding: 1 }),
        tanh(),
        conv2d({ outChannels: 3, kernelSize: 3, padding: 1 }),
      ]),
      relu(),
      ...head(),
    ],
  },
  {
    name: "residual block with a projection, stride 2",
    inputShape: [1, 9, 8],
    specs: [
      conv2d({ outChannels: 5, kernelSize: 2 }),
      sigmoid(),
      residual(
        [
          conv2d({ outChannels: 6, kernelSize: 3, stride: 2, padding: 1 }),
          relu(),
          conv2d({ outChannels: 6, kernelSize: 3, padding: 1 }),
        ],
        [conv2d({ outChannels: 6, kernelSize: 1, stride: 2 })],
      ),
      tanh(),
      ...head(4),
    ],
  },
  {
    name: "residual block over a pooling, on the image, its sum read by a pooling",
    inputShape: [2, 9, 9],
    specs: [
      residual(
        [conv2d({ outChannels: 3, kernelSize: 2 }), tanh(), maxPool2d({ poolSize: 2 })],
        [avgPool2d({ poolSize: 2 }), conv2d({ outChannels: 3, kernelSize: 1 })],
      ),
      maxPool2d({ poolSize: 2, stride: 1 }),
      ...head(),
    ],
  },
  {
    name: "residual blocks of linear layers",
    inputShape: [1, 4, 4],
    specs: [
      flatten(),
      linear({ outFeatures: 9 }),
      relu(),
      residual([linear({ outFeatures: 9 }), tanh()]),
      residual([linear({ outFeatures: 7 }), sigmoid(), linear({ outFeatures: 5 })], [
        linear({ outFeatures: 5 }),
      ]),
      relu(),
      linear({ outFeatures: 3 }),
    ],
  },
  {
    name: "residual blocks in one another, without parameters between",
    inputShape: [3, 6, 6],
    specs: [
      conv2d({ outChannels: 4, kernelSize: 3 }),
      residual([
        relu(),
        residual([conv2d({ outChannels: 4, kernelSize: 3, padding: 1 })]),
        residual([sigmoid()], [avgPool2d({ poolSize: 1 })]),
      ]),
      residual([flatten(), linear({ outFeatures: 3 })], [
        conv2d({ outChannels: 3, kernelSize: 4 }),
        flatten(),
      ]),
    ],
  },
  {
    name: "a flattened map that a padded convolution reads too",
    inputShape: [1, 4, 5],
    specs: [
      conv2d({ outChannels: 1, kernelSize: 2 }),
      tanh(),
      residual([flatten(), linear({ outFeatures: 8 })], [
        conv2d({ outChannels: 2, kernelSize: 3, stride: [2, 3], padding: 1 }),
        flatten(),
      ]),
      relu(),
      residual([relu(), linear({ outFeatures: 8 })]),
    ],
  },
  {
    name: "batch norm behind a convolution without bias, before pooling",
    inputShape: [2, 7, 6],
    specs: [
      conv2d({ outChannels: 5, kernelSize: 3, padding: 1, bias: false }),
      batchNorm2d(),
      relu(),
      maxPool2d({ poolSize: 2 }),
      ...head(),
    ],
  },
  {
    name: "batch norm first, of the image, and last, of the logits",
    inputShape: [3, 5, 4],
    specs: [
      batchNorm2d({ momentum: 0.3, eps: 1e-3 }),
      tanh(), // what a batch norm shifts has no gradient where the next one shifts it back
      flatten(),
      linear({ outFeatures: 3, bias: false }),
      batchNorm1d({ momentum: 0.5, eps: 1e-2 }),
    ],
  },
  {
    name: "batch norm of features between linear layers without bias, tanh",
    inputShape: [1, 4, 4],
    specs: [
      flatten(),
      linear({ outFeatures: 9, bias: false }),
      batchNorm1d(),
      tanh(),
      linear({ outFeatures: 6 }),
      leakyRelu(0.2),
      batchNorm1d(),
      linear({ outFeatures: 3, bias: false }),
    ],
  },
  {
    name: "residual blocks with batch norm, a projection, global average pooling",
    inputShape: [1, 8, 7],
    specs: [
      conv2d({ outChannels: 4, kernelSize: 3, padding: 1, bias: false }),
      batchNorm2d(),
      relu(),
      residual([
        conv2d({ outChannels: 4, kernelSize: 3, padding: 1, bias: false }),
        batchNorm2d(),
        relu(),
        conv2d({ outChannels: 4, kernelSize: 3, padding: 1, bias: false }),
        batchNorm2d(),
      ]),
      relu(),
      residual([
        conv2d({ outChannels: 6, kernelSize: 3, stride: 2, padding: 1, bias: false }),
        batchNorm2d(),
        relu(),
        conv2d({ outChannels: 6, kernelSize: 3, padding: 1, bias: false }),
        batchNorm2d(),
      ], [conv2d({ outChannels: 6, kernelSize: 1, stride: 2, bias: false }), batchNorm2d()]),
      relu(),
      globalAvgPool2d(),
      ...head(4),
    ],
  },
  {
    name: "batch norm read by two, and batch norm of a sum",
    inputShape: [2, 5, 5],
    specs: [
      batchNorm2d(),
      residual([conv2d({ outChannels: 2, kernelSize: 3, padding: 1 }), sigmoid()], [batchNorm2d()]),
      tanh(),
      batchNorm2d(),
      ...head(),
    ],
  },
  {
    name: "depthwise and grouped convolutions, with and without bias",
    inputShape: [4, 7, 6],
    specs: [
      conv2d({ outChannels: 4, kernelSize: 3, padding: 1, groups: 4, bias: false }),
      relu(),
      conv2d({ outChannels: 6, kernelSize: 1 }),
      tanh(),
      conv2d({ outChannels: 9, kernelSize: [2, 3], stride: [2, 1], groups: 3 }),
      leakyRelu(),
      ...head(),
    ],
  },
  {
    name: "depthwise convolution that makes two maps of each channel, pooled",
    inputShape: [3, 8, 8],
    specs: [
      conv2d({ outChannels: 6, kernelSize: 3, groups: 3 }),
      leakyRelu(0.3),
      maxPool2d({ poolSize: 2 }),
      ...head(),
    ],
  },
  {
    name: "padded pools: averages that count zeros, maxima that do not",
    inputShape: [2, 7, 6],
    specs: [
      conv2d({ outChannels: 3, kernelSize: 2 }),
      avgPool2d({ poolSize: 3, stride: 2, padding: 1 }),
      conv2d({ outChannels: 4, kernelSize: 3, padding: 1 }),
      tanh(),
      maxPool2d({ poolSize: [3, 2], stride: 1, padding: 1 }),
      ...head(),
    ],
  },
  {
    name: "dropout of maps and features, one of them nothing",
    inputShape: [1, 6, 6],
    specs: [
      conv2d({ outChannels: 4, kernelSize: 3 }),
      relu(),
      dropout(0.25),
      maxPool2d({ poolSize: 2 }),
      flatten(),
      dropout(0),
      linear({ outFeatures: 8 }),
      tanh(),
      dropout(0.5),
      linear({ outFeatures: 3 }),
    ],
  },
  {
    name: "dropout first, and of logits",
    inputShape: [2, 4, 3],
    specs: [dropout(0.3), ...head(), dropout(0.1)],
  },
  {
    name: "frozen layers, with and without batch norm",
    inputShape: [1, 7, 7],
    frozen: ["0", "3*"],
    specs: [
      conv2d({ outChannels: 3, kernelSize: 3 }),
      batchNorm2d(),
      relu(),
      residual([conv2d({ outChannels: 3, kernelSize: 3, padding: 1 }), batchNorm2d()]),
      tanh(),
      ...head(),
    ],
  },
  {
    name: "residual block of activations only, twice the image",
    inputShape: [2, 3, 3],
    specs: [residual([tanh()]), residual([relu()], [sigmoid()]), ...head()],
  },
];

/** Ends, beginnings and neighbours that the table has not, for what is written for use alone. */
export const UNUSUAL_MODELS: readonly Model[] = ([
  [conv2d({ outChannels: 3, kernelSize: 2 }), globalAvgPool2d(), flatten()],
  [flatten(), linear({ outFeatures: 3 }), sigmoid()],
  [flatten(), linear({ outFeatures: 3 }), relu()],
  [flatten(), linear({ outFeatures: 3 }), batchNorm1d()],
  [batchNorm2d(), dropout(), relu(), flatten(), dropout(), linear({ outFeatures: 3 }), dropout()],
  [relu(), tanh(), residual([dropout()], [leakyRelu()]), flatten(), linear({ outFeatures: 2 })],
  [
    residual([maxPool2d({ poolSize: 2 }), batchNorm2d()], [avgPool2d({ poolSize: 2 })]),
    ...[conv2d({ outChannels: 4, kernelSize: 2, bias: false }), batchNorm2d(), batchNorm2d()],
    ...[maxPool2d({ poolSize: [2, 1] }), relu(), flatten(), tanh(), linear({ outFeatures: 2 })],
  ],
  [
    conv2d({ name: "conv2d", outChannels: 2, kernelSize: 3 }),
    ...[tanh(), flatten(), batchNorm1d(), residual([relu()]), residual([sigmoid()])],
    linear({ name: "pixels", outFeatures: 2, bias: false }),
  ],
] as const).map((specs, n) => sequential(specs, { inputShape: [2, 8, 6], name: `unusual ${n}` }));

/** The model of a row. */
export function caseModel({ specs, ...options }: ParityCase): Model {
  return sequential(specs, options);
}

/** Random images and labels that fit a model; equal seeds give equal data. */
export function randomImages(model: Model, count: number, seed: number): LabeledImages {
  const random = createRandom(seed, "images");
  const pixels = model.inputShape.reduce((product, size) => product * size, 1);
  return {
    images: Uint8Array.from({ length: count * pixels }, () => random.below(256)),
    labels: Uint8Array.from({ length: count }, () => random.below(model.classCount)),
    count,
    shape: model.inputShape,
  };
}

/** Largest difference in each parameter tensor, relative to the tensor's largest value. */
export function largestRelativeDifference(
  model: Model,
  actual: Float32Array,
  expected: Float32Array,
): number {
  let worst = 0;
  for (const { offset, size } of model.parameters) {
    let [difference, largest] = [0, 1e-6];
    for (let index = offset; index < offset + size; index++) {
      difference = Math.max(difference, Math.abs(actual[index] - expected[index]));
      largest = Math.max(largest, Math.abs(expected[index]));
      if (Number.isNaN(actual[index])) return NaN;
    }
    worst = Math.max(worst, difference / largest);
  }
  return worst;
}
