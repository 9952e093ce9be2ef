/** LeNet in jax-js by the same recipe: one JSON reply for each JSON request on stdin.
 *
 *     deno run src/compare/peers/jax_lenet.ts
 *
 * The requests are those of src/compare/peers.ts.
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
  // deno-lint-ignore no-import-prefix -- named here, so that only who compares engines downloads it
} from "npm:@jax-js/jax@0.1.25";
import process from "node:process";
import { LineReader } from "../line_reader.ts";

type Arrays = np.Array[];

/** Shapes as jax-js wants them: weights of linear layers are [in, out]. */
const SHAPES = [[6, 1, 5, 5], [16, 6, 5, 5], [400, 120], [120, 84], [84, 10]]
  .flatMap((shape) => [shape, shape.length === 4 ? [1, shape[0], 1, 1] : [shape[1]]]);
const PIXELS = 784;
const EVALUATION_BATCH = 256;

const sets: Record<string, { images: Float32Array[]; labels: number[] }> = {
  train: { images: [], labels: [] },
  test: { images: [], labels: [] },
};
let parameters: Arrays = [];

function averagePool(x: np.Array): np.Array {
  const [count, channels, height, width] = x.shape;
  return np.mean(x.reshape([count, channels, height / 2, 2, width / 2, 2]), [3, 5]);
}

function forward([w1, b1, w2, b2, w3, b3, w4, b4, w5, b5]: Arrays, x: np.Array): np.Array {
  const batchSize = x.shape[0];
  x = averagePool(nn.sigmoid(lax.conv(x, w1, [1, 1], [[2, 2], [2, 2]]).add(b1)));
  x = averagePool(nn.sigmoid(lax.conv(x, w2, [1, 1], "VALID").add(b2)));
  x = nn.relu(np.matmul(x.reshape([batchSize, 400]), w3).add(b3));
  x = nn.relu(np.matmul(x, w4).add(b4));
  return np.matmul(x, w5).add(b5);
}

function lossOf(weights: Arrays, x: np.Array, y: np.Array): np.Array {
  const batchSize = x.shape[0];
  return nn.logSoftmax(forward(weights, x)).mul(y).sum().mul(-1 / batchSize);
}

function makeStep(learningRate: number) {
  return jit((weights: Arrays, x: np.Array, y: np.Array) => {
    const [loss, gradients] = valueAndGrad(lossOf)(
      weights.map((weight) => weight.ref),
      x,
      y,
    ) as [np.Array, Arrays];
    return [
      loss,
      weights.map((weight, index) => weight.sub(gradients[index].mul(learningRate))),
    ];
  });
}
const steps = new Map<number, ReturnType<typeof makeStep>>();
const infer = jit((weights: Arrays, x: np.Array) => forward(weights, x));

function batchOf(name: string, indices: readonly number[]) {
  const { images, labels } = sets[name];
  const pixels = new Float32Array(indices.length * PIXELS);
  indices.forEach((index, n) => pixels.set(images[index], n * PIXELS));
  return {
    x: np.array(pixels).reshape([indices.length, 1, 28, 28]),
    labels: indices.map((index) => labels[index]),
  };
}

/** [rows, columns] to [columns, rows]. */
function transposed(values: Float32Array<ArrayBuffer>, rows: number, columns: number) {
  return values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]);
}

interface Request {
  readonly threads?: number;
  readonly set?: string;
  readonly restart?: boolean;
  readonly images?: string;
  readonly mean?: number;
  readonly std?: number;
  readonly labels?: string;
  readonly parameters?: number[];
  readonly train?: number[];
  readonly batchSize?: number;
  readonly learningRate?: number;
  readonly evaluate?: number;
}

function add({ set, restart, mean = 0, std = 1, images, labels }: Request) {
  if (restart) sets[set!] = { images: [], labels: [] };
  const pixels = Uint8Array.fromBase64(images!);
  for (let start = 0; start < pixels.length; start += PIXELS) {
    const image = pixels.subarray(start, start + PIXELS);
    sets[set!].images.push(Float32Array.from(image, (value) => (value / 255 - mean) / std));
  }
  sets[set!].labels.push(...Uint8Array.fromBase64(labels!));
  return {};
}

function load(flat: readonly number[]) {
  let offset = 0;
  for (const old of parameters) old.dispose();
  parameters = SHAPES.map((shape) => {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from(flat.slice(offset, offset + size));
    offset += size;
    const own = shape.length === 2 ? transposed(values, shape[1], shape[0]) : values;
    return np.array(own).reshape(shape);
  });
  return {};
}

async function train({ train: order, batchSize, learningRate }: Request) {
  const step = steps.get(learningRate!) ?? makeStep(learningRate!);
  steps.set(learningRate!, step);
  const losses: (number | null)[] = [];
  const start = performance.now();
  for (let first = 0; first < order!.length; first += batchSize!) {
    const { x, labels } = batchOf("train", order!.slice(first, first + batchSize!));
    const y = nn.oneHot(np.array(labels, { dtype: np.int32 }), 10);
    const [loss, updated] = step(parameters, x, y) as [np.Array, Arrays];
    parameters = updated;
    await blockUntilReady(updated.map((weight) => weight.ref));
    const value = Number(await loss.jsAsync());
    losses.push(Number.isFinite(value) ? value : null); // JSON knows no NaN
  }
  return { losses, elapsedMs: performance.now() - start };
}

async function evaluate(count: number) {
  let correct = 0;
  const start = performance.now();
  for (let first = 0; first < count; first += EVALUATION_BATCH) {
    const length = Math.min(EVALUATION_BATCH, count - first);
    const { x, labels } = batchOf("test", Array.from({ length }, (_, n) => first + n));
    const logits = await infer(parameters.map((weight) => weight.ref), x).data();
    labels.forEach((label, n) => {
      const row = logits.subarray(n * 10, n * 10 + 10);
      correct += row.indexOf(Math.max(...row)) === label ? 1 : 0;
    });
  }
  return { correct, elapsedMs: performance.now() - start };
}

async function read() {
  const flat: (number | null)[] = [];
  for (const [index, weight] of parameters.entries()) {
    const values = await weight.ref.data() as Float32Array<ArrayBuffer>;
    const [rows, columns] = SHAPES[index];
    const own = SHAPES[index].length === 2 ? transposed(values, rows, columns) : values;
    for (const value of own) flat.push(Number.isFinite(value) ? value : null);
  }
  return { parameters: flat };
}

async function answer(request: Request): Promise<object> {
  if (request.threads !== undefined) return { threads: 1 };
  if (request.set !== undefined) return add(request);
  if (request.parameters !== undefined) return load(request.parameters);
  if (request.train !== undefined) return await train(request);
  if (request.evaluate !== undefined) return await evaluate(request.evaluate);
  return await read();
}

await init("wasm");
defaultDevice("wasm");
console.log(JSON.stringify({ version: "0.1.25", threads: 1 }));
const requests = new LineReader(Deno.stdin.readable);
for (let line = await requests.read(); line !== undefined; line = await requests.read()) {
  const reply = await answer(JSON.parse(line));
  const { user, system } = process.cpuUsage();
  console.log(JSON.stringify({ ...reply, cpuMs: (user + system) / 1000 }));
}
Deno.exit(0); // jax-js keeps its workers
