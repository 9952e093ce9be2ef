/** LeNet in jax-js by the same recipe: one JSON reply for each JSON request on stdin.
 *
 *     deno run src/compare/peers/jax_peer.ts VERSION wasm|webgpu [tuned]
 *
 * The requests are those of src/compare/peers.ts. With `tuned`, convolutions are written as products of
 * matrices, rows of the image at a time.
 */

// deno-lint-ignore-file no-console
import {
  blockUntilReady,
  defaultDevice,
  init,
  jit,
  lax,
  nn,
  numpy as np,
  valueAndGrad,
  // Named here, so that only who compares engines downloads it
} from "npm:@jax-js/jax@0.1.25";
import process from "node:process";
import { createInterface } from "node:readline";

type Arrays = np.Array[];

/** Shapes as jax-js wants them: weights of linear layers are [in, out]. */
const SHAPES = [[6, 1, 5, 5], [16, 6, 5, 5], [400, 120], [120, 84], [84, 10]]
  .flatMap((shape) => [shape, shape.length === 4 ? [1, shape[0], 1, 1] : [shape[1]]]);
const PIXELS = 784;
const EVALUATION_BATCH = 256;

const [version, device, style] = Deno.args as [string, "wasm" | "webgpu", string?];
const sets: { images: Float32Array[]; labels: number[] }[] = [];
const networks: Arrays[] = [];

function averagePool(x: np.Array): np.Array {
  const [count, channels, height, width] = x.shape;
  return np.mean(x.reshape([count, channels, height / 2, 2, width / 2, 2]), [3, 5]);
}

/** Convolution, sigmoid and pooling as jax-js documents them. */
function blockAsDocumented(x: np.Array, weight: np.Array, bias: np.Array, padding: number) {
  const sides: [number, number] = [padding, padding];
  return averagePool(nn.sigmoid(lax.conv(x, weight, [1, 1], [sides, sides]).add(bias)));
}

/** The same on [images, rows, channels * columns].
 *
 * A row of the output is a sum, over the kernel's rows, of a row of the input times a band matrix
 * [channels * columns, outChannels * outColumns]: products large enough for jax-js's fast kernel.
 */
function blockOfRows(x: np.Array, weight: np.Array, bias: np.Array, padding: number) {
  const [outChannels, channels, size] = weight.shape;
  const [count, height, row] = x.shape;
  const width = row / channels;
  const [rows, columns] = [height, width].map((length) => length + 2 * padding - size + 1);
  const shifts = Float32Array.from({ length: size * width * columns }, (_, index) => {
    const [tap, from] = [
      Math.floor(index / (width * columns)),
      Math.floor(index / columns) % width,
    ];
    return from === index % columns + tap - padding ? 1 : 0;
  });
  const bands = np.matmul(
    weight.reshape([outChannels * channels * size, size]),
    np.array(shifts).reshape([size, width * columns]),
  ).reshape([outChannels, channels, size, width, columns]).transpose([2, 1, 3, 0, 4])
    .reshape([size, row, outChannels * columns]);
  const padded = np.pad(x, [[0, 0], [padding, padding], [0, 0]]);
  const sums = np.split(bands, size).map((band, tap) =>
    np.matmul(
      padded.ref.slice([], [tap, tap + rows], []).reshape([count * rows, row]),
      band.reshape([row, outChannels * columns]),
    )
  ).reduce((sum, product) => sum.add(product));
  const maps = sums.reshape([count, rows, outChannels, columns]);
  const values = nn.sigmoid(maps.add(bias.reshape([1, 1, outChannels, 1])))
    .reshape([count, rows / 2, 2, outChannels, columns / 2, 2]);
  return np.mean(values, [2, 5]).reshape([count, rows / 2, outChannels * columns / 2]);
}

function forward([w1, b1, w2, b2, w3, b3, w4, b4, w5, b5]: Arrays, x: np.Array): np.Array {
  const count = x.shape[0];
  if (style === "tuned") {
    x = blockOfRows(blockOfRows(x.reshape([count, 28, 28]), w1, b1, 2), w2, b2, 0)
      .reshape([count, 5, 16, 5]).transpose([0, 2, 1, 3]);
  } else {
    x = blockAsDocumented(blockAsDocumented(x, w1, b1, 2), w2, b2, 0);
  }
  x = nn.relu(np.matmul(x.reshape([count, 400]), w3).add(b3));
  x = nn.relu(np.matmul(x, w4).add(b4));
  return np.matmul(x, w5).add(b5);
}

function lossOf(weights: Arrays, x: np.Array, y: np.Array): np.Array {
  const batchSize = x.shape[0];
  return nn.logSoftmax(forward(weights, x)).mul(y).sum().mul(-1 / batchSize);
}

function makeStep(learningRate: number) {
  return jit((weights: Arrays, x: np.Array, y: np.Array) => {
    const copies = weights.map((weight) => weight.ref);
    const [loss, gradients] = valueAndGrad(lossOf)(copies, x, y) as [np.Array, Arrays];
    return [
      loss,
      weights.map((weight, index) => weight.sub(gradients[index].mul(learningRate))),
    ];
  });
}
const steps = new Map<number, ReturnType<typeof makeStep>>();
const infer = jit((weights: Arrays, x: np.Array) => forward(weights, x));

function batchOf(set: number, indices: ArrayLike<number>) {
  const { images, labels } = sets[set];
  const pixels = new Float32Array(indices.length * PIXELS);
  Array.from(indices).forEach((index, n) => pixels.set(images[index], n * PIXELS));
  return {
    x: np.array(pixels).reshape([indices.length, 1, 28, 28]),
    labels: Array.from(indices, (index) => labels[index]),
  };
}

/** [rows, columns] to [columns, rows]. */
function transposed(values: Float32Array<ArrayBuffer>, rows: number, columns: number) {
  return values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]);
}

function encode(values: Float32Array): string {
  return new Uint8Array(values.slice().buffer).toBase64();
}

/** What requests may hold; each answer takes its own. */
interface Request {
  readonly [field: string]: number & string;
}

const ANSWERS: Record<string, (request: Request) => object | Promise<object>> = {
  attach({ index, mean, std, images, labels }) {
    const [shift, scale] = [mean, std].flat(); // a number, or that of each channel
    const set = sets[index] ??= { images: [], labels: [] };
    const pixels = Uint8Array.fromBase64(images);
    for (let start = 0; start < pixels.length; start += PIXELS) {
      const image = pixels.subarray(start, start + PIXELS);
      set.images.push(Float32Array.from(image, (value) => (value / 255 - shift) / scale));
    }
    set.labels.push(...Uint8Array.fromBase64(labels));
    return {};
  },
  open: () => ({ network: networks.push([]) - 1 }),
  load({ network, parameters }) {
    const flat = new Float32Array(Uint8Array.fromBase64(parameters).buffer);
    let offset = 0;
    for (const old of networks[network]) old.dispose();
    networks[network] = SHAPES.map((shape) => {
      const size = shape.reduce((product, length) => product * length, 1);
      const values = flat.slice(offset, offset += size);
      const own = shape.length === 2 ? transposed(values, shape[1], shape[0]) : values;
      return np.array(own).reshape(shape);
    });
    return {};
  },
  async train({ network, set, order: text, batchSize, learningRate }) {
    const order = new Uint32Array(Uint8Array.fromBase64(text).buffer);
    const step = steps.get(learningRate) ?? makeStep(learningRate);
    steps.set(learningRate, step);
    const losses = new Float32Array(Math.ceil(order.length / batchSize));
    const start = performance.now();
    for (let index = 0; index < losses.length; index++) {
      const { x, labels } = batchOf(
        set,
        order.subarray(index * batchSize, (index + 1) * batchSize),
      );
      const y = nn.oneHot(np.array(labels, { dtype: np.int32 }), 10);
      const [loss, updated] = step(networks[network], x, y) as [np.Array, Arrays];
      networks[network] = updated;
      await blockUntilReady(updated.map((weight) => weight.ref));
      losses[index] = Number(await loss.jsAsync());
    }
    return { losses: encode(losses), elapsedMs: performance.now() - start };
  },
  async evaluate({ network, set, count }) {
    let correct = 0;
    const start = performance.now();
    for (let first = 0; first < count; first += EVALUATION_BATCH) {
      const length = Math.min(EVALUATION_BATCH, count - first);
      const { x, labels } = batchOf(set, Array.from({ length }, (_, n) => first + n));
      const logits = await infer(networks[network].map((weight) => weight.ref), x).data();
      labels.forEach((label, n) => {
        const row = logits.subarray(n * 10, n * 10 + 10);
        correct += row.indexOf(Math.max(...row)) === label ? 1 : 0;
      });
    }
    return { correct, elapsedMs: performance.now() - start };
  },
  async read({ network }) {
    const values: number[] = [];
    for (const [index, weight] of networks[network].entries()) {
      const own = await weight.ref.data() as Float32Array<ArrayBuffer>;
      const [rows, columns] = SHAPES[index];
      values.push(...SHAPES[index].length === 2 ? transposed(own, rows, columns) : own);
    }
    return { parameters: encode(Float32Array.from(values)) };
  },
};

const isThere = (await init(device)).includes(device);
if (isThere) defaultDevice(device);
const adapter = device === "webgpu" ? await navigator.gpu?.requestAdapter() : undefined;
console.log(JSON.stringify({
  version,
  device: adapter?.info.description || adapter?.info.vendor || "CPU",
  software: adapter?.info.isFallbackAdapter,
  missing: isThere ? null : `finds no ${device}`,
}));
for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...request } = JSON.parse(line);
  const reply = await ANSWERS[ask](request);
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ ...reply, cpuMs: (user + system) / 1000 }));
}
Deno.exit(0); // jax-js keeps its workers
