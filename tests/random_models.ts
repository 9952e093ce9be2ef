/** Random sequential models of every layer, for properties that must hold for all of them. */

import fc from "fast-check";
import type { TrainedModel } from "../src/formats/trained_model.ts";
import { initialParameters } from "../src/nn/init.ts";
import {
  avgPool2d,
  conv2d,
  flatten,
  type LayerSpec,
  linear,
  maxPool2d,
  type Pair,
  relu,
  sigmoid,
  tanh,
} from "../src/nn/layers.ts";
import { type ImageShape, type Model, outputShapeOf, sequential } from "../src/nn/sequential.ts";
import { createRandom } from "../src/random.ts";

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
    const last = named ? linear({ name: "logits", outFeatures: classCount }) : linear({
      outFeatures: classCount,
    });
    const specs = [...thatFit(options.inputShape, imageLayers), flatten(), ...vectorLayers, last];
    return sequential(specs, options);
  });
}

/** Parameters and running statistics as of a model that was trained, drawn from a seed. */
export function asTrained(model: Model, seed: number): TrainedModel {
  const random = createRandom(seed, "statistics");
  const statistics = Float32Array.from(
    { length: model.statisticCount },
    () => random.uniform(0.3, 2),
  );
  const parameters = initialParameters(model, seed);
  for (const { kind, offset, size } of model.parameters) {
    if (kind !== "scale" && kind !== "shift") continue;
    for (let n = offset; n < offset + size; n++) parameters[n] = random.uniform(-1.5, 1.5);
  }
  return { model, parameters, statistics };
}

function imageLayers(): fc.Arbitrary<LayerSpec> {
  const pair = (min: number, max: number): fc.Arbitrary<Pair> =>
    fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));
  const convolution = fc.record({
    outChannels: fc.integer({ min: 1, max: 4 }),
    kernelSize: pair(1, 4),
    stride: pair(1, 3),
    padding: pair(0, 2),
  }).map(conv2d);
  const window = fc.record({ poolSize: pair(1, 3), stride: pair(1, 3) });
  const activation = fc.constantFrom<LayerSpec>(sigmoid(), tanh(), relu());
  return fc.oneof(convolution, window.map(avgPool2d), window.map(maxPool2d), activation);
}

function vectorLayers(): fc.Arbitrary<LayerSpec> {
  const dense = fc.integer({ min: 1, max: 7 }).map((outFeatures) => linear({ outFeatures }));
  return fc.oneof(dense, fc.constantFrom<LayerSpec>(sigmoid(), tanh(), relu(), flatten()));
}

/** Drops the layers whose windows do not fit what is left of the image. */
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
