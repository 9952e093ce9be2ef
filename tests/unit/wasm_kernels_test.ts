/** Kernels of the `wasm` engine by themselves: accuracy, extremes, and memory they must leave
 * alone.
 */

import {
  type Build,
  compileKernels,
  createMemory,
  instantiateKernels,
  type Kernels,
  supports,
} from "../../src/backends/wasm/kernels.ts";
import { byteTransform } from "../../src/nn/standardization.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

const BLOCK = 8;
const [SHAPE, INPUT, OUTPUT, EXTRA] = [4096, 65536, 131072, 196608];

for (const build of ["relaxed", "plain"] as const) {
  const ignore = !supports(build);
  const test = (name: string, fn: (bench: Bench) => void) =>
    Deno.test({ name: `${name}, ${build} build`, ignore, fn: async () => fn(await open(build)) });

  test("sigmoid and tanh are accurate everywhere", ({ kernels, floats }) => {
    const xs = Float32Array.from({ length: 4008 }, (_, n) => (n - 2000) / 40);
    xs.set([Infinity, -Infinity, 200, -200, 0, -0, 1e-30, 3e38]);
    for (
      const { kernel, exact } of [
        { kernel: kernels.sigmoidForward, exact: (x: number) => 1 / (1 + Math.exp(-x)) },
        { kernel: kernels.tanhForward, exact: Math.tanh },
      ]
    ) {
      floats(INPUT, xs.length).set(xs);
      kernel(INPUT, 0, OUTPUT, 0, 1, 4 * xs.length, 0);
      for (const [index, y] of floats(OUTPUT, xs.length).entries()) {
        assertAlmostEquals(y, exact(xs[index]), 2e-7, `at ${xs[index]}`);
      }
    }
  });

  test("activations hand NaN on", ({ kernels, floats }) => {
    for (const kernel of [kernels.sigmoidForward, kernels.tanhForward, kernels.reluForward]) {
      floats(INPUT, 24).fill(NaN);
      kernel(INPUT, 0, OUTPUT, 0, 1, 96, 0);
      assert(floats(OUTPUT, 24).every(Number.isNaN));
    }
  });

  test("activations write rows and leave borders alone", ({ kernels, floats }) => {
    const [rows, stride, row] = [3, 40, 24]; // in floats: three elements a row, two of border
    floats(INPUT, rows * stride).fill(-1);
    floats(OUTPUT, rows * stride).fill(7);
    kernels.reluForward(INPUT, 4 * stride, OUTPUT, 4 * stride, rows, 4 * row, 0);
    const expected = Array.from({ length: rows * stride }, (_, n) => n % stride < row ? 0 : 7);
    assertEquals([...floats(OUTPUT, rows * stride)], expected);
  });

  test("relu's gradient at 0 is 0", ({ kernels, floats }) => {
    floats(OUTPUT, 8).set([0, -0, 1, 2, 0, 3, 0, 1e-40]);
    floats(INPUT, 8).fill(5);
    kernels.reluBackward(OUTPUT, 0, INPUT, 0, 1, 32, 0);
    assertEquals([...floats(INPUT, 8)], [0, 0, 5, 5, 0, 5, 0, 5]);
  });

  test("images of any width arrive scaled and shifted, the last repeated", ({ kernels, memory, floats }) => {
    const [mean, std] = [[0.25, 0.75], [0.5, 0.125]];
    for (let width = 1; width <= 9; width++) {
      const [channels, height, images] = [2, 3, 5];
      const size = channels * height * width;
      const bytes = new Uint8Array(memory.buffer, INPUT, images * size);
      bytes.set(bytes.map((_, n) => (n * 89) % 256));
      const order = [4, 1, 3];
      new Uint32Array(memory.buffer, EXTRA, order.length).set(order);
      const rowFloats = (width + 2) * channels * BLOCK;
      for (let channel = 0; channel < channels; channel++) {
        const { scale, offset } = byteTransform({ mean, std }, channel);
        const shape = [channels, height, width, channel] as const;
        const output = [OUTPUT, 4 * rowFloats] as const;
        kernels.loadImages(INPUT, EXTRA, order.length, ...shape, scale, offset, ...output);
      }
      for (let lane = 0; lane < BLOCK; lane++) {
        const image = order[Math.min(lane, order.length - 1)];
        for (let n = 0; n < size; n++) {
          const [channel, y, x] = [
            Math.floor(n / (height * width)),
            Math.floor(n / width) % height,
            n % width,
          ];
          const at = y * rowFloats + (x * channels + channel) * BLOCK + lane;
          const exact = (bytes[image * size + n] / 255 - mean[channel]) / std[channel];
          const tolerance = 2.4e-7 * (1 + mean[channel]) / std[channel];
          assertAlmostEquals(
            floats(OUTPUT, 4096)[at],
            exact,
            tolerance,
            `width ${width}, pixel ${n}`,
          );
        }
      }
    }
  });

  test("the first of equal maxima receives the gradient", ({ kernels, memory, floats }) => {
    const [height, width] = [2, 2];
    const sizes = [1, height, width, 4 * width * BLOCK, 1, 1, 4 * BLOCK, 2, 2, 2, 2];
    new Int32Array(memory.buffer, SHAPE, sizes.length).set(sizes);
    const cases = [[1, 2, 2, 0], [-3, -3, -4, -3], [0, 0, 0, 0], [-1, -2, -3, 5]];
    for (const [lane, values] of cases.entries()) {
      for (const [n, value] of values.entries()) floats(INPUT, 32)[n * BLOCK + lane] = value;
    }
    floats(EXTRA, 8).fill(7);
    kernels.maxPool2dBackward(SHAPE, INPUT, EXTRA, OUTPUT);
    const expected = [[0, 7, 0, 0], [7, 0, 0, 0], [7, 0, 0, 0], [0, 0, 0, 7]];
    for (const [lane, gradients] of expected.entries()) {
      assertEquals(gradients.map((_, n) => floats(OUTPUT, 32)[n * BLOCK + lane]), gradients);
    }
  });

  test("max pooling hands NaN on", ({ kernels, memory, floats }) => {
    for (const poolSize of [2, 3]) {
      const sizes = [1, poolSize, poolSize, 32 * poolSize, 1, 1, 32, poolSize, poolSize, 1, 1];
      new Int32Array(memory.buffer, SHAPE, sizes.length).set(sizes);
      for (let n = 0; n < poolSize ** 2; n++) {
        floats(INPUT, BLOCK * poolSize ** 2).fill(1);
        floats(INPUT, BLOCK * poolSize ** 2)[n * BLOCK + 3] = NaN;
        kernels.maxPool2dForward(SHAPE, INPUT, OUTPUT);
        assertEquals([...floats(OUTPUT, 4)], [1, 1, 1, NaN]);
      }
    }
  });

  test("cross-entropy survives large logits and leaves idle lanes without gradient", (bench) => {
    const { kernels, memory, floats } = bench;
    const logits = [[1000, -1000, 0], [0, 0, 0], [-5000, -5000, -5001], [1, NaN, 2], [1e38, 2, 3]];
    const labels = [1, 2, 0, 0, 0];
    floats(INPUT, 3 * BLOCK).fill(9);
    for (const [lane, row] of logits.entries()) {
      for (const [c, value] of row.entries()) floats(INPUT, 24)[c * BLOCK + lane] = value;
    }
    new Uint8Array(memory.buffer, SHAPE, labels.length).set(labels);
    new Uint32Array(memory.buffer, EXTRA, labels.length).set([...labels.keys()]);
    const [losses, predictions] = [EXTRA + 64, EXTRA + 128];
    kernels.softmaxCrossEntropy(INPUT, 3, SHAPE, EXTRA, 5, 0.5, OUTPUT, losses, predictions);
    const expected = [2000, Math.log(3), Math.log(2 + Math.exp(-1)), NaN, 0];
    for (const [lane, loss] of expected.entries()) {
      assertAlmostEquals(floats(losses, 5)[lane], loss, 2e-7 * Math.max(1, Math.abs(loss)));
    }
    assertEquals([...new Uint8Array(memory.buffer, predictions, 3)], [0, 0, 0]);
    const gradient = floats(OUTPUT, 24);
    assertAlmostEquals(gradient[1], 0.5 / 3, 1e-7);
    assertAlmostEquals(gradient[2 * BLOCK + 1], 0.5 / 3 - 0.5, 1e-7);
    for (let lane = logits.length; lane < BLOCK; lane++) {
      for (let c = 0; c < 3; c++) assertEquals(gradient[c * BLOCK + lane], 0);
    }
  });

  test("optimisers update every length, and nothing beyond it", ({ kernels, floats }) => {
    for (let count = 0; count <= 9; count++) {
      const [p, g, v] = [
        floats(INPUT, 12).fill(1),
        floats(OUTPUT, 12).fill(2),
        floats(EXTRA, 12).fill(3),
      ];
      kernels.sgdUpdate(INPUT, OUTPUT, count, 1, -0.25);
      assertEquals([...p], Array.from({ length: 12 }, (_, n) => n < count ? 0.5 : 1));
      kernels.momentumUpdate(INPUT, OUTPUT, EXTRA, count, 1, -0.25, 0.5);
      assertEquals([...v], Array.from({ length: 12 }, (_, n) => n < count ? 3.5 : 3));
      assertEquals([...p], Array.from({ length: 12 }, (_, n) => n < count ? 0.5 - 0.875 : 1));
      assertEquals([...g], Array.from({ length: 12 }, () => 2));
    }
  });

  test("Adam equals its definition", ({ kernels, floats }) => {
    const [beta1, beta2, epsilon, learningRate] = [0.9, 0.999, 1e-8, 0.01];
    const exact = { parameter: 1, mean: 0, variance: 0 };
    floats(INPUT, 7).fill(1);
    floats(EXTRA, 7).fill(0);
    floats(SHAPE, 7).fill(0);
    for (let step = 1; step <= 20; step++) {
      const gradient = Math.sin(step);
      floats(OUTPUT, 7).fill(gradient);
      exact.mean = beta1 * exact.mean + (1 - beta1) * gradient;
      exact.variance = beta2 * exact.variance + (1 - beta2) * gradient ** 2;
      const deviation = Math.sqrt(exact.variance / (1 - beta2 ** step)) + epsilon;
      exact.parameter -= learningRate * exact.mean / (1 - beta1 ** step) / deviation;
      kernels.adamUpdate(
        INPUT,
        OUTPUT,
        EXTRA,
        SHAPE,
        7,
        1,
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        epsilon,
        learningRate / (1 - beta1 ** step),
        1 / Math.sqrt(1 - beta2 ** step),
      );
      for (const value of floats(INPUT, 7)) assertAlmostEquals(value, exact.parameter, 2e-7);
    }
  });
}

interface Bench {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
  floats(address: number, count: number): Float32Array;
}

async function open(build: Build): Promise<Bench> {
  const { module } = await compileKernels(build);
  const memory = createMemory();
  const floats = (address: number, count: number) =>
    new Float32Array(memory.buffer, address, count);
  return { kernels: instantiateKernels(module, memory), memory, floats };
}
