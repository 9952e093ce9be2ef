/** Images that training changes: the same on every backend, for any threads and shards. */

import {
  type BackendName,
  BackendUnavailableError,
  type Session,
  type SessionOptions,
  type TrainingState,
} from "../../src/backends/backend.ts";
import { BACKEND_NAMES, loadBackend } from "../../src/backends/registry.ts";
import { type Augmentation, Augmenter, type Change } from "../../src/data/augment.ts";
import { sliceImages } from "../../src/data/dataset.ts";
import { conv2d, flatten, linear, relu } from "../../src/nn/layers.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { type ImageShape, type Model, sequential } from "../../src/nn/sequential.ts";
import type { Standardization } from "../../src/nn/standardization.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";
import { largestRelativeDifference, randomImages } from "./cases.ts";

const SEED = 11;
const readable = granted({ name: "read" });

interface Case {
  readonly name: string;
  readonly shape: ImageShape;
  readonly augmentation: Augmentation;
  readonly standardization?: Standardization;
}

const CASES: readonly Case[] = [
  { name: "flip", shape: [1, 5, 11], augmentation: { flip: true } },
  { name: "shift", shape: [1, 9, 7], augmentation: { shift: 3 } },
  { name: "shift as far as it goes, rows of a word", shape: [1, 4, 4], augmentation: { shift: 3 } },
  { name: "erase", shape: [2, 9, 14], augmentation: { erase: 0.7 } },
  { name: "rotate", shape: [1, 11, 8], augmentation: { rotate: 180 } },
  { name: "brightness", shape: [1, 5, 9], augmentation: { brightness: 0.5 } },
  {
    name: "all of it, in colour and standardized",
    shape: [3, 10, 9],
    augmentation: { flip: true, shift: 2, erase: 0.5, rotate: 30, brightness: 0.3 },
    standardization: { mean: [0.3, 0.5, 0.4], std: [0.25, 0.2, 0.3] },
  },
  {
    name: "all but turns, in colour and standardized",
    shape: [3, 6, 21],
    augmentation: { flip: true, shift: 4, erase: 1, brightness: 1 },
    standardization: { mean: [0.3, 0.5, 0.4], std: [0.25, 0.2, 0.3] },
  },
];

/** A model whose gradient shows its input: of weights of 0, that of a class is bias's times pixel. */
function mirrorOf({ shape, standardization }: Omit<Case, "name">): Model {
  const head = [flatten(), linear({ outFeatures: 2 })];
  return sequential(head, { inputShape: shape, standardization });
}

/** What a session shows a model of one image at a step. */
async function shown(
  session: Session,
  model: Model,
  { data, image, step }: { data: ReturnType<typeof randomImages>; image: number; step: number },
): Promise<Float32Array> {
  const parameters = new Float32Array(model.parameterCount);
  await session.loadState({ parameters, slots: [], step });
  const { gradients } = await session.gradients(data, Uint32Array.of(image));
  const [weight, bias] = model.parameters;
  const factor = gradients[bias.offset];
  return gradients.slice(weight.offset, weight.offset + weight.size / 2)
    .map((value) => value / factor);
}

/** The same by the definition: positions in plain arithmetic, one pixel after the other. */
function expected(
  { shape: [channels, height, width], standardization = { mean: 0, std: 1 } }: Case,
  pixels: Uint8Array,
  { flip, down, right, cos, sin, factor, erased }: Change,
): number[] {
  return Array.from({ length: channels * height * width }, (_, n) => {
    const [y, x] = [Math.floor(n / width) % height, n % width];
    const channel = Math.floor(n / (height * width));
    const [mean, std] = [standardization.mean, standardization.std]
      .map((value) => [value].flat()).map((list) => list[channel] ?? list[0]);
    if (y >= erased.top && y < erased.bottom && x >= erased.left && x < erased.right) return 0;
    const [fromY, fromX] = [y - down - (height - 1) / 2, x - right - (width - 1) / 2];
    // Places are cut to 1/256 of a pixel.
    const cut = (place: number) => Math.floor(place * 256) / 256;
    const sourceY = cut((cos * fromY - sin * fromX) / 2 ** 14 + (height - 1) / 2);
    const sourceX = cut((cos * fromX + sin * fromY) / 2 ** 14 + (width - 1) / 2);
    let value = 0;
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const weight = Math.max(0, 1 - Math.abs(row - sourceY)) *
          Math.max(0, 1 - Math.abs(column - sourceX));
        const from = flip ? width - 1 - column : column;
        const pixel = pixels[(channel * height + row) * width + from] / 255;
        value += weight * (pixel * factor - mean) / std;
      }
    }
    return value;
  });
}

for (const name of BACKEND_NAMES) {
  const ignore = !readable || !await isAvailable(name);

  for (const one of CASES) {
    Deno.test({
      name: `${name} trains on the changed images that the seed says: ${one.name}`,
      ignore,
      async fn() {
        const model = mirrorOf(one);
        const data = randomImages(model, 12, 4);
        const { augmentation, shape } = one;
        const augmenter = new Augmenter(augmentation, { seed: SEED, shape });
        await using session = await open(name, model, { augmentation });
        await session.attach(data);
        for (const [image, step] of [[0, 0], [11, 0], [5, 1], [5, 70_000], [11, 9]]) {
          const pixels = sliceImages(data, image, image + 1).images;
          const actual = await shown(session, model, { data, image, step });
          const wanted = expected(one, pixels, augmenter.changeOf(step, image));
          for (const [n, value] of wanted.entries()) {
            assertAlmostEquals(actual[n], value, 2e-5, `image ${image}, step ${step}, pixel ${n}`);
          }
        }
        // Evaluation and prediction see them as they are.
        await using plain = await open(name, model);
        const parameters = initialParameters(model, 3);
        for (const each of [session, plain]) {
          await each.loadState({ parameters, slots: [], step: 0 });
        }
        assertEquals(await session.predict(data), await plain.predict(data));
        assertEquals(await session.evaluate(data), await plain.evaluate(data));
      },
    });
  }

  Deno.test({
    name: `${name} changes images anew in each step of a training, and on after a stop`,
    ignore,
    async fn() {
      const augmentation = { flip: true, shift: 2, erase: 0.5, rotate: 20, brightness: 0.2 };
      const expected = await trained("reference", { augmentation });
      const whole = await trained(name, { augmentation });
      const { model, parameters } = whole;
      assert(largestRelativeDifference(model, parameters, expected.parameters) < 1e-4);
      const continued = await trained(name, { augmentation }, 2);
      if (name === "reference") return; // its state is rounded to float32 where it stops
      assertEquals(continued.parameters, parameters);
      const plain = await trained(name, {});
      assert(largestRelativeDifference(model, plain.parameters, parameters) > 1e-2);
    },
  });
}

Deno.test({
  name: "wasm changes the same images for any number of threads",
  ignore: !readable || !await isAvailable("wasm"),
  async fn() {
    const augmentation = { flip: true, shift: 2, erase: 0.5, rotate: 20, brightness: 0.2 };
    const model = mirrorOf(CASES[6]);
    const data = randomImages(model, 20, 4);
    const pictures: Float32Array[][] = [];
    for (const threads of [1, 2, 3]) {
      await using session = await open("wasm", model, { augmentation, threads });
      await session.attach(data);
      const seen: Float32Array[] = [];
      for (let image = 0; image < 20; image++) {
        seen.push(await shown(session, model, { data, image, step: 6 }));
      }
      pictures.push(seen);
    }
    assertEquals(pictures[1], pictures[0]);
    assertEquals(pictures[2], pictures[0]);
  },
});

/** Parameters after four steps of eleven images, the last of three, perhaps in two sessions. */
async function trained(name: BackendName, options: SessionOptions, stop = 0) {
  const model = sequential([
    conv2d({ outChannels: 3, kernelSize: 3, padding: 1 }),
    relu(),
    flatten(),
    linear({ outFeatures: 3 }),
  ], { inputShape: [2, 8, 9], standardization: { mean: [0.5, 0.4], std: 0.25 } });
  const data = randomImages(model, 36, 8);
  const order = Uint32Array.from({ length: 36 }, (_, n) => (n * 23) % 36);
  let state: TrainingState = { parameters: initialParameters(model, 1), slots: [], step: 0 };
  for (const [first, last] of stop > 0 ? [[0, stop], [stop, 4]] : [[0, 4]]) {
    await using session = await open(name, model, options);
    await session.attach(data);
    await session.loadState(state);
    await session.train(data, {
      order: order.subarray(11 * first, 11 * last),
      batchSize: 11,
      learningRates: new Float32Array(last - first).fill(0.1),
    });
    state = await session.readState();
  }
  return { model, parameters: state.parameters };
}

async function open(name: BackendName, model: Model, options: SessionOptions = {}) {
  const backend = await loadBackend(name);
  return await backend.open(model, { batchSize: 16, seed: SEED, threads: 2, ...options });
}

async function isAvailable(name: BackendName): Promise<boolean> {
  try {
    await using _session = await open(name, mirrorOf(CASES[0]));
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
