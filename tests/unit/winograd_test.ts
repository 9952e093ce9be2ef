/** Winograd's convolution of the `wasm` engine by itself: how far it is from the float64 reference. */

import fc from "fast-check";
import type { Backend, SessionOptions } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { conv2d as reference } from "../../src/backends/reference/layers/conv2d.ts";
import type { BatchContext } from "../../src/backends/reference/layers/layer.ts";
import { createWasmBackend } from "../../src/backends/wasm/backend.ts";
import { initialize } from "../../src/backends/wasm/engine.ts";
import {
  type Build,
  compileKernels,
  createMemory,
  instantiateKernels,
  supports,
} from "../../src/backends/wasm/kernels.ts";
import { codesOf, type Variants } from "../../src/backends/wasm/layers/table.ts";
import { layOut } from "../../src/backends/wasm/layout.ts";
import { threadOf } from "../../src/backends/wasm/network.ts";
import { type BlockTensor, locate } from "../../src/backends/wasm/tensors.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import {
  batchNorm2d,
  conv2d,
  type Conv2dOptions,
  flatten,
  linear,
  maxPool2d,
  type Pair,
  relu,
  residual,
} from "../../src/nn/layers.ts";
import { volume } from "../../src/nn/layers/layer.ts";
import { type Conv2dLayer, type Model, sequential } from "../../src/nn/sequential.ts";
import { lenet } from "../../src/nn/zoo.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { largestRelativeDifference, randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";

/** Images of a block, all of which a test fills. */
const IMAGES = 8;

/** Largest errors, as a share of the largest sum of absolute products that makes an element of the tensor;
 * about twice what 180 random cases showed. Rounding to float32 alone is 6e-8 of it; the direct kernels' errors
 * are up to 1.1e-6.
 */
const TOLERANCE = { output: 4e-6, gradWeight: 6e-6, gradBias: 4e-7, gradInput: 8e-6 };

interface Case {
  readonly channels: Pair;
  readonly size: Pair;
  readonly kernelSize: number;
  readonly padding: Pair;
  /** Whether numbers have both signs, or else all are positive. */
  readonly signed: boolean;
  /** How large inputs, weights and gradients are. */
  readonly scales: readonly [number, number, number];
  readonly seed: number;
}

const count = (min: number, max: number) => fc.integer({ min, max });
const scale = fc.constantFrom(1, 1e-12, 1e-3, 1e9);

const CASES: fc.Arbitrary<Case> = fc.record({
  channels: fc.tuple(count(1, 20), count(1, 20)),
  size: fc.tuple(count(1, 15), count(1, 15)),
  kernelSize: fc.constantFrom(3, 5),
  padding: fc.tuple(count(0, 6), count(0, 6)),
  signed: fc.boolean(),
  scales: fc.tuple(scale, scale, scale),
  seed: count(0, 1000),
}).filter(({ size, kernelSize, padding }) =>
  size.every((length, axis) => length + 2 * padding[axis] >= kernelSize)
);

/** A convolution whose input has a gradient, as the second layer of a model. */
function modelOf({ channels: [inChannels, outChannels], size, kernelSize, padding }: Case): Model {
  return sequential([
    conv2d({ outChannels: inChannels, kernelSize: 1 }),
    conv2d({ outChannels, kernelSize, padding }),
    flatten(),
    linear({ outFeatures: 2 }),
  ], { inputShape: [1, ...size] });
}

type Tensors = Readonly<Record<keyof typeof TOLERANCE, Float64Array>>;

/** What a case's layer reads: input and gradient of eight images, and the model's parameters. */
function numbersOf({ signed, scales: [inputs, weights, gradients], seed }: Case, model: Model) {
  const layer = model.layers[1] as Conv2dLayer;
  const random = createRandom(seed, "winograd");
  const draw = (length: number, scale: number) =>
    Float32Array.from({ length }, () => scale * random.uniform(signed ? -1 : 0, 1));
  const parameters = draw(model.parameterCount, weights);
  const { offset, size } = layer.bias!;
  parameters.subarray(offset, offset + size).forEach((_, n, all) => all[n] *= inputs);
  return {
    input: draw(IMAGES * volume(layer.inputShape), inputs),
    gradOutput: draw(IMAGES * volume(layer.outputShape), gradients),
    parameters,
  };
}

type Numbers = ReturnType<typeof numbersOf>;

function referenceOf(model: Model, numbers: Numbers, map: (value: number) => number): Tensors {
  const layer = model.layers[1] as Conv2dLayer;
  const [input, gradOutput, parameters] = [
    numbers.input,
    numbers.gradOutput,
    numbers.parameters,
  ].map((values) => Float64Array.from(values, map));
  const gradients = new Float64Array(model.parameterCount);
  const batch: BatchContext = {
    ...{ mode: "train", batchSize: IMAGES, statistics: new Float64Array(), seed: 0, step: 0 },
    ...{ indices: new Uint32Array(IMAGES), sum() {} },
  };
  const forward = { inputs: [input], parameters, batch, index: 1 };
  const output = reference.forward(layer, forward);
  const [gradInput] = reference.backward(layer, { ...forward, output, gradOutput, gradients });
  return { output, gradInput, ...gradientsOf(layer, gradients) };
}

function gradientsOf({ weight, bias }: Conv2dLayer, gradients: ArrayLike<number>) {
  const [gradWeight, gradBias] = [weight, bias!].map(({ offset, size }) =>
    Float64Array.from({ length: size }, (_, n) => gradients[offset + n])
  );
  return { gradWeight, gradBias };
}

/** The same by the engine's kernels: the layer's rows are shared by two, its images are one block. */
async function engineOf(
  model: Model,
  { input, gradOutput, parameters }: Numbers,
  { build, variants }: { readonly build: Build; readonly variants: Variants },
): Promise<Tensors> {
  const memory = createMemory();
  const layout = layOut(model, { batchSize: IMAGES, threads: 1, slotCount: 0, variants });
  initialize(memory, layout);
  const { module } = await compileKernels(build);
  const kernels = instantiateKernels(module, memory);
  const thread = threadOf(layout, { kernels, memory, seed: 0, thread: 0 });
  const stage = layout.stages[1];
  const layer = stage.layer as Conv2dLayer;
  const floats = (address: number, length: number) =>
    new Float32Array(memory.buffer, address, length);
  const places = (tensor: BlockTensor) => elementsOf(tensor, locate(tensor, thread.own, 0));
  floats(layout.parameters, parameters.length).set(parameters);
  const rows = layer.outputShape[0];
  const middle = Math.floor(rows / 2);
  const work = [[0, middle], [middle, rows]].map(([firstRow, lastRow]) =>
    stage.code.weights!(thread, stage, { firstRow, lastRow })
  );
  for (const { pack } of work) pack!();
  const heap = floats(0, memory.buffer.byteLength / 4);
  places(stage.inputs[0]).forEach((place, n) => heap[place] = input[n]);
  stage.code.forward(thread, stage)!(0, 0);
  const output = places(stage.output).map((place) => heap[place]);
  places(stage.gradOutput!).forEach((place, n) => heap[place] = gradOutput[n]);
  for (const call of stage.code.backward(thread, stage)) call(0, 0);
  for (const { reduce } of work) reduce!(1);
  const gradInput = places(stage.gradInputs[0]!.tensor).map((place) => heap[place]);
  const gradients = floats(layout.gradients, parameters.length);
  return {
    output: Float64Array.from(output),
    gradInput: Float64Array.from(gradInput),
    ...gradientsOf(layer, gradients),
  };
}

/** Where in a heap of floats the elements [image][channel][y][x] of a block lie. */
function elementsOf({ channels, height, width, rowBytes }: BlockTensor, address: number): number[] {
  const places: number[] = [];
  for (let image = 0; image < IMAGES; image++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          places.push((address + y * rowBytes) / 4 + (x * channels + channel) * IMAGES + image);
        }
      }
    }
  }
  return places;
}

/** Largest error of each tensor as a share of the largest of `sums`. */
function errorsOf(actual: Tensors, expected: Tensors, sums: Tensors): Tensors {
  const largest = (values: Float64Array) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return Object.fromEntries(
    Object.entries(actual).map(([name, values]) => {
      const key = name as keyof Tensors;
      const difference = largest(values.map((value, n) => value - expected[key][n]));
      assert(!values.some(Number.isNaN), `${name} has NaN`);
      return [name, Float64Array.of(difference / (largest(sums[key]) || 1))];
    }),
  ) as unknown as Tensors;
}

for (const build of ["relaxed", "plain"] as const) {
  Deno.test({
    name:
      `Winograd's convolution equals the reference for any size, sign and scale, ${build} build`,
    ignore: !supports(build),
    async fn() {
      await fc.assert(
        fc.asyncProperty(CASES, (one) => check(one, build)),
        { seed: 1998, numRuns: 40 },
      );
    },
  });
}

Deno.test("Winograd's convolution of maps that take several bands, whose transforms are not kept", async () => {
  const [scales, signed] = [[1, 1, 1], true] as const;
  await check({
    ...{ channels: [16, 9], size: [33, 45], kernelSize: 3, padding: [1, 1], seed: 1 },
    ...{ scales, signed },
  }, "plain");
  await check({
    ...{ channels: [7, 24], size: [31, 22], kernelSize: 5, padding: [0, 2], seed: 2 },
    ...{ scales, signed },
  }, "plain");
});

/** Holds a case to the tolerances. */
async function check(one: Case, build: Build): Promise<void> {
  const model = modelOf(one);
  const numbers = numbersOf(one, model);
  const errors = errorsOf(
    await engineOf(model, numbers, { build, variants: "always" }),
    referenceOf(model, numbers, (value) => value),
    referenceOf(model, numbers, Math.abs),
  );
  for (const [name, limit] of Object.entries(TOLERANCE)) {
    const [error] = errors[name as keyof Tensors];
    assert(error <= limit, `${name} differs by ${error}`);
  }
}

/** Whether an engine computes each convolution of a model by Winograd's method. */
function choicesOf(model: Model, variants: Variants): boolean[] {
  const [chosen, direct] = [variants, "never" as const].map((how) => codesOf(model.layers, how));
  return [...model.layers.keys()].filter((index) => model.layers[index].type === "conv2d")
    .map((index) => chosen[index] !== direct[index]);
}

Deno.test("Winograd's method is taken where it is faster, and never for exact sessions", () => {
  const one = (inChannels: number, side: number, options: Partial<Conv2dOptions> = {}) =>
    sequential([
      conv2d({ outChannels: inChannels, kernelSize: 3, padding: 1, ...options }),
      flatten(),
      linear({ outFeatures: 2 }),
    ], { inputShape: [inChannels, side, side] });
  assertEquals(choicesOf(lenet(), "faster"), [false, true]);
  assertEquals(choicesOf(lenet(), "never"), [false, false]);
  for (const [channels, side] of [[16, 28], [32, 14], [64, 7]]) {
    assertEquals(choicesOf(one(channels, side), "faster"), [true]);
    assertEquals(choicesOf(one(channels, side), "never"), [false]);
  }
  // Too few channels, or a map of one tile.
  for (const [channels, side] of [[1, 28], [3, 28], [64, 4]]) {
    assertEquals(choicesOf(one(channels, side), "faster"), [false]);
  }
  const others = [{ kernelSize: 1 }, { kernelSize: 4 }, { kernelSize: [3, 5] as const }, {
    stride: 2,
  }];
  for (const options of others) {
    assertEquals(choicesOf(one(32, 28, options), "always"), [false]);
  }
});

/** Blocks of several groups, channels of every width of tile, maps of odd sizes, one convolution whose blocks
 * all go forward before one comes back, as the whole batch is normalised, and one frozen.
 */
function deepModel(): Model {
  return sequential([
    conv2d({ outChannels: 9, kernelSize: 3, padding: 1 }),
    relu(),
    conv2d({ outChannels: 8, kernelSize: 3, padding: 1, bias: false }),
    batchNorm2d(),
    relu(),
    residual([conv2d({ name: "held", outChannels: 8, kernelSize: 3, padding: 1 })]),
    maxPool2d({ poolSize: 2 }),
    conv2d({ outChannels: 17, kernelSize: 5, padding: 2 }),
    relu(),
    flatten(),
    linear({ outFeatures: 5 }),
  ], { inputShape: [2, 11, 14], frozen: ["5.body.held"] });
}

/** The gradient of the first batch, and the parameters after some steps. */
async function train(backend: Backend, model: Model, options: SessionOptions) {
  const [count, batchSize] = [90, 40];
  const data = randomImages(model, count, 3);
  await using session = await backend.open(model, { batchSize, ...options });
  const statistics = initialStatistics(model);
  const parameters = initialParameters(model, 1);
  await session.loadState({ parameters, statistics, slots: [], step: 0 });
  await session.attach(data);
  const order = Uint32Array.from({ length: count }, (_, n) => n);
  const { gradients } = await session.gradients(data, order.subarray(0, batchSize));
  const learningRates = new Float32Array(3).fill(0.02);
  await session.train(data, { order, batchSize, learningRates });
  return { gradients, parameters: (await session.readState()).parameters };
}

Deno.test({
  name: "Winograd's convolution gives equal bits for equal threads, and trains as the reference",
  ignore: !granted({ name: "read" }),
  async fn() {
    const model = deepModel();
    const backend = createWasmBackend({ variants: "always" });
    const expected = await train(referenceBackend, model, {});
    for (const threads of [1, 2, 3]) {
      const results = [
        await train(backend, model, { threads }),
        await train(backend, model, { threads }),
      ];
      assertEquals(results[0], results[1]);
      for (const part of ["gradients", "parameters"] as const) {
        const error = largestRelativeDifference(model, results[0][part], expected[part]);
        assert(error <= 2e-5, `${part} differ by ${error} on ${threads} threads`);
      }
    }
  },
});

Deno.test({
  name: "exact sessions give the bits of version 0.1",
  ignore: !granted({ name: "read" }),
  async fn() {
    // SHA-256 of LeNet's parameters, as 5865e13 gave them by the build that rounds alike everywhere.
    const digests = [
      "e677501fc9be8292f2289b83e0fcfcac2db0cb0575d11de0dff7ef9d48ce5f67",
      "cfc608337b299b341a7cfe9e553bb4a7783d2ee57086f2c0a344a3d206b377f9",
      "cfc608337b299b341a7cfe9e553bb4a7783d2ee57086f2c0a344a3d206b377f9",
    ];
    for (const [index, digest] of digests.entries()) {
      const options = { threads: index + 1, exact: true };
      const { parameters } = await train(createWasmBackend({ build: "plain" }), lenet(), options);
      const bytes = Uint8Array.from(new Uint8Array(parameters.buffer));
      assertEquals(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex(), digest);
    }
  },
});

Deno.test("a session says what is wrong with exact", async () => {
  const exact = "yes" as unknown as boolean;
  await assertRejects(
    () => createWasmBackend().open(lenet(), { exact }),
    TypeError,
    'Invalid exact: expected true or false, found "yes"',
  );
});
