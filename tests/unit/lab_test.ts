/** The lab's own arithmetic and texts: addresses, receptive fields, explanations, curves, languages. */

import { forward } from "../../src/backends/reference/network.ts";
import { commandOf } from "../../src/lab/code/command.ts";
import { pytorchOf } from "../../src/lab/code/pytorch.ts";
import { typescriptOf } from "../../src/lab/code/typescript.ts";
import { Curve } from "../../src/lab/browser/curve.ts";
import { FIRST, fromAddress, modelOf, toAddress, zooExperiment } from "../../src/lab/experiment.ts";
import { explain, positionOf, receptiveField } from "../../src/lab/inside.ts";
import { EN } from "../../src/lab/texts/en.ts";
import { ZH } from "../../src/lab/texts/zh.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import {
  avgPool2d,
  batchNorm2d,
  conv2d,
  dropout,
  flatten,
  linear,
  maxPool2d,
  relu,
  residual,
  tanh,
} from "../../src/nn/layers.ts";
import * as constructors from "../../src/nn/layers.ts";
import { IMAGE, sequential } from "../../src/nn/sequential.ts";
import { summarize } from "../../src/nn/summary.ts";
import { lenet, MODEL_NAMES, ZOO } from "../../src/nn/zoo.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

const MIXED = sequential([
  conv2d({ name: "conv1", outChannels: 4, kernelSize: [3, 5], stride: [2, 1], padding: [1, 2] }),
  relu(),
  residual([conv2d({ outChannels: 4, kernelSize: 3, padding: 1, groups: 2, bias: false })]),
  batchNorm2d(),
  maxPool2d({ poolSize: 2, padding: 1 }),
  dropout(0.5),
  tanh(),
  avgPool2d({ poolSize: 2, stride: 1 }),
  flatten(),
  linear({ outFeatures: 4, bias: false }),
], { inputShape: [2, 12, 9] });

/** What every layer makes of an image, outside training. */
function pass(parameters: Float64Array, images: Float64Array): Float64Array[] {
  return forward(MIXED, parameters, {
    ...{ images, indices: Uint32Array.of(0), mode: "eval", batchSize: 1, seed: 0, step: 0 },
    statistics: Float64Array.from(initialStatistics(MIXED)),
    sum() {},
  });
}

Deno.test("an explanation's terms make the number that the reference engine gives, in every layer", () => {
  const random = createRandom(3, "lab");
  const parameters = Float64Array.from(initialParameters(MIXED, 1));
  const image = Float64Array.from({ length: 2 * 12 * 9 }, () => random.uniform(-1, 1));
  const outputs = pass(parameters, image);
  let explained = 0;
  for (const [index, layer] of MIXED.layers.entries()) {
    const output = outputs[index];
    const inputs = layer.inputs.map((input) => input === IMAGE ? image : outputs[input]);
    for (let place = 0; place < output.length; place++) {
      const { rule, terms, bias = 0, result } = explain(layer, place, {
        inputs,
        parameters,
        output,
      });
      assertEquals(result, output[place]);
      const seen = rule === "max" ? terms.filter((term) => term.place !== undefined) : terms;
      const values = seen.map(({ value, weight = 1 }) => value * weight);
      const sum = values.reduce((total, value) => total + value, 0);
      const made = {
        products: sum + bias,
        mean: sum / terms.length,
        max: Math.max(...values),
        add: sum,
        copy: values[0],
        apply: functionOf(layer.type)(values[0]),
      }[rule];
      assertAlmostEquals(made, result, 1e-12);
      explained++;
    }
  }
  assert(explained > 600);
});

/** What kinds apply to one number, with statistics as they begin. */
function functionOf(kind: string): (value: number) => number {
  return {
    relu: (value: number) => Math.max(0, value),
    tanh: Math.tanh,
    dropout: (value: number) => value,
    batchNorm2d: (value: number) => value / Math.sqrt(1 + 1e-5),
  }[kind] ?? (() => NaN);
}

Deno.test("a receptive field holds every pixel that changes a number", () => {
  const parameters = Float64Array.from(initialParameters(MIXED, 2));
  const random = createRandom(4, "lab");
  const image = Float64Array.from({ length: 2 * 12 * 9 }, () => random.uniform(-1, 1));
  const before = pass(parameters, image);
  const changed = MIXED.layers.map(() => new Map<number, Set<number>>());
  for (let pixel = 0; pixel < image.length; pixel++) {
    const other = image.slice();
    other[pixel] += 3;
    for (const [index, output] of pass(parameters, other).entries()) {
      output.forEach((value, place) => {
        if (value === before[index][place]) return;
        const all = changed[index];
        all.set(place, (all.get(place) ?? new Set()).add(pixel));
      });
    }
  }
  for (const [index, places] of changed.entries()) {
    for (const [place, pixels] of places) {
      const { top, left, bottom, right } = receptiveField(MIXED, index, place);
      for (const pixel of pixels) {
        const { y, x } = positionOf(MIXED.inputShape, pixel);
        assert(y >= top && y <= bottom && x >= left && x <= right, `layer ${index}, ${place}`);
      }
    }
  }
});

Deno.test("a receptive field is as large as the summary says", () => {
  const model = lenet();
  for (const [index, { receptiveField: size, name }] of summarize(model).entries()) {
    const { top, left, bottom, right } = receptiveField(model, index, 0);
    assertEquals([bottom - top + 1, right - left + 1], [...size], name);
  }
});

Deno.test("an address gives its experiment back, and nonsense in it the usual", () => {
  assertEquals(toAddress(FIRST), "");
  assertEquals(fromAddress(""), FIRST);
  const zoo = { ...FIRST, ...zooExperiment("mlp"), epochs: 7, seed: 3, standardize: false };
  assertEquals(fromAddress(`#${toAddress(zoo)}`), zoo);
  const layers = [flatten(), linear({ outFeatures: 10 })];
  const modern = { ...FIRST, ...zooExperiment("resnet8"), engine: "webgpu" as const };
  assertEquals(fromAddress(`#${toAddress(modern)}`), modern);
  const own = { ...FIRST, model: "own" as const, layers, engine: "reference" as const, threads: 2 };
  assertEquals(fromAddress(`#${toAddress(own)}`), own);
  const wrong =
    "#model=x&optimizer=__proto__&epochs=-1&batchSize=1e9&layers=[1]&learningRate=&data=..";
  assertEquals(fromAddress(wrong), FIRST);
  assertEquals(fromAddress("#model=own&layers={}"), FIRST);
});

Deno.test("layers of one's own must tell the classes apart", () => {
  const layers = [flatten(), linear({ outFeatures: 3 })];
  const facts = { inputShape: [1, 4, 4] as const, classCount: 3 };
  assertEquals(modelOf({ model: "own", layers }, facts).classCount, 3);
  let message = "";
  try {
    modelOf({ model: "own", layers }, { ...facts, classCount: 10 });
  } catch (error) {
    message = (error as Error).message;
  }
  assertEquals(
    message,
    "Cannot tell 10 classes apart: the last layer gives 3 numbers; give it 10",
  );
});

Deno.test("a curve keeps means, however many steps it is of", () => {
  let curve = new Curve(100, 30);
  let [first, loss, images] = [1, 0, 0];
  const random = createRandom(0, "curve");
  for (let stretch = 0; stretch < 300; stretch++) {
    const steps = 1 + random.below(7);
    const losses = Float32Array.from({ length: steps }, () => random.uniform(0, 2));
    const corrects = new Uint32Array(steps).fill(5);
    curve = curve.withSteps(first, { steps, losses, corrects });
    for (let n = 0; n < steps; n++) {
      const batch = (first + n - 1) % 4 === 3 ? 10 : 30;
      loss += losses[n] * batch;
      images += batch;
    }
    first += steps;
  }
  assertEquals(curve.step, first - 1);
  assertAlmostEquals(curve.epoch, (first - 1) / 4);
  assert(curve.points.length <= 400 && curve.points.length > 150);
  const all = curve.points.reduce((sum, point) => sum + point.images, 0);
  assertEquals(all, images);
  const mean = curve.points.reduce((sum, point) => sum + point.images * point.loss, 0) / all;
  assertAlmostEquals(mean, loss / images, 1e-9);
});

Deno.test("every language has every text, and no two are left in English", () => {
  const leaves = (value: unknown, path: string): [string, string][] =>
    typeof value === "string"
      ? [[path, value]]
      : typeof value === "function"
      ? [[path, String(value)]]
      : Object.entries(value as object).flatMap(([key, inner]) => leaves(inner, `${path}.${key}`));
  const [english, chinese] = [leaves(EN, ""), leaves(ZH, "")];
  assertEquals(chinese.map(([path]) => path), english.map(([path]) => path));
  // Names of formats and programs are the same everywhere.
  const same = english.filter(([, text], n) => /[a-z]{3}/.test(text) && chinese[n][1] === text)
    .map(([path]) => path);
  assertEquals(
    same.filter((path) =>
      !/^\.(fileNames\.\w+\.0|codeNames\.\w+|softmax|logit|probability)$/.test(path)
    ),
    [],
  );
  assertEquals(ZH.stops.length, EN.stops.length);
});

Deno.test("code is written for every model of the zoo: its layers again, and PyTorch's for each kind", () => {
  for (const model of MODEL_NAMES) {
    const experiment = { ...FIRST, ...zooExperiment(model) };
    const inputShape = model === "cnn-rgb" ? [3, 32, 32] : [1, 28, 28];
    const { layers } = experiment;
    const written = { experiment, layers, threads: 1, rates: [], inputShape };
    const [, calls] = /sequential\(\[\n([^]*?)\n\], \{/.exec(typescriptOf(written))!;
    const names = Object.keys(constructors);
    const build = new Function(...names, `return [${calls}]`);
    assertEquals(build(...Object.values(constructors)), layers);
    const python = pytorchOf(written);
    assert(!python.includes("undefined") && !python.includes("NaN"), python);
    const command = commandOf(written);
    const own = { ...written, experiment: { ...experiment, data: "own" as const } };
    assert(commandOf(own).includes(`--channels ${inputShape[0]}`));
    assert(typescriptOf(own).includes(`channels: ${inputShape[0]} }`));
    assertEquals(command.includes("--optimizer"), ZOO[model].recipe.optimizer === undefined);
  }
});
