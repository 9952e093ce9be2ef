/** Random models of every layer and what they may have learned, for properties that hold for all. */

import fc from "fast-check";
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
  type Pair,
  relu,
  sigmoid,
  tanh,
} from "../src/nn/layers.ts";
import type { TrainedModel } from "../src/formats/trained_model.ts";
import { initialParameters } from "../src/nn/init.ts";
import { type ImageShape, type Model, outputShapeOf, sequential } from "../src/nn/sequential.ts";
import { createRandom } from "../src/random.ts";

/** Parameters, and running statistics of pixels in [0, 1]. */
export function randomlyLearned(model: Model, seed: number): Omit<TrainedModel, "model"> {
  const random = createRandom(seed, "learned");
  const parameters = initialParameters(model, seed);
  for (const { kind, offset, size } of model.parameters) {
    const start = { weight: undefined, bias: undefined, scale: 0.5, shift: -0.5 }[kind];
    if (start === undefined) continue;
    for (let n = offset; n < offset + size; n++) parameters[n] = start + random.uniform(0, 1);
  }
  if (model.statisticCount === 0) return { parameters };
  const statistics = new Float32Array(model.statisticCount);
  for (const { shape, initial, offset, size } of model.statistics) {
    for (let n = offset; n < offset + size; n++) {
      statistics[n] = shape.length === 0
        ? random.below(10_000)
        : initial === 1
        ? random.uniform(0.1, 1)
        : random.uniform(-0.5, 0.5);
    }
  }
  return { parameters, statistics };
}

/** A model of up to six image layers and three vector layers, oblong in all that can be. */
export function randomModels(): fc.Arbitrary<Model> {
  const size = fc.integer({ min: 3, max: 9 });
  return fc.record({
    name: fc.constantFrom("plain", "two words", "größer"),
    inputShape: fc.tuple(fc.integer({ min: 1, max: 3 }), size, size),
    imageLayers: fc.array(imageLayers(), { maxLength: 6 }),
    vectorLayers: fc.array(vectorLayers(), { maxLength: 3 }),
    classCount: fc.integer({ min: 1, max: 5 }),
    named: fc.boolean(),
    pixels: fc.constantFrom("plain", "alike", "per channel"),
  }).map(({ imageLayers, vectorLayers, classCount, named, pixels, ...rest }) => {
    const channels = Array.from({ length: rest.inputShape[0] }, (_, n) => n);
    const standardization = {
      "plain": undefined,
      "alike": { mean: 0.286041, std: 0.353024 },
      "per channel": {
        mean: channels.map((n) => 0.286041 + n / 10),
        std: channels.map((n) => 0.353024 - n / 20),
      },
    }[pixels];
    const options = { ...rest, standardization };
    const last = linear({ outFeatures: classCount, ...(named && { name: "logits" }) });
    const layers = [...imageLayers, flatten(), ...vectorLayers];
    const specs = [...thatFit(options.inputShape, layers), last];
    return sequential(specs, options);
  });
}

function imageLayers(): fc.Arbitrary<LayerSpec> {
  const pair = (min: number, max: number): fc.Arbitrary<Pair> =>
    fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));
  const convolution = fc.record({
    outChannels: fc.integer({ min: 1, max: 4 }),
    kernelSize: pair(1, 4),
    stride: pair(1, 3),
    padding: pair(0, 2),
    groups: fc.constantFrom(1, 1, 2, 3),
    bias: fc.boolean(),
  }).map(({ outChannels, groups, ...rest }) =>
    conv2d({ ...rest, groups, outChannels: outChannels * groups })
  );
  const plain = { poolSize: pair(1, 3), stride: pair(1, 3) };
  const window = fc.oneof(
    fc.record(plain),
    fc.record({ ...plain, padding: fc.constantFrom<Pair>([0, 0], [1, 0], [1, 1]) }),
  );
  const others = fc.constantFrom<LayerSpec>(globalAvgPool2d(), batchNorm2d(), ...elementwise());
  const norm = norms().map(batchNorm2d);
  return fc.oneof(convolution, window.map(avgPool2d), window.map(maxPool2d), norm, others);
}

/** Numbers that a file holds as float32, or as what is left to 1. */
function norms() {
  return fc.record({
    momentum: fc.constantFrom(1, 0.1, 0.01, 0.375),
    eps: fc.constantFrom(1e-5, 1e-3, 0.3),
  });
}

function elementwise(): LayerSpec[] {
  return [sigmoid(), tanh(), relu(), leakyRelu(), leakyRelu(0.3), dropout(), dropout(0.1)];
}

function vectorLayers(): fc.Arbitrary<LayerSpec> {
  const dense = fc.record({ outFeatures: fc.integer({ min: 1, max: 7 }), bias: fc.boolean() });
  const others = fc.constantFrom<LayerSpec>(flatten(), batchNorm1d(), ...elementwise());
  return fc.oneof(dense.map(linear), norms().map(batchNorm1d), others);
}

/** Drops the layers that do not fit what is left of the image. */
function thatFit(inputShape: ImageShape, layers: readonly LayerSpec[]): LayerSpec[] {
  let shape: readonly number[] = inputShape;
  return layers.filter((layer) => {
    try {
      shape = outputShapeOf(layer, shape);
      return true;
    } catch {
      return false;
    }
  });
}
