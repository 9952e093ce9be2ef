/** LeNet in jax-js by the same recipe: images a second as JSON lines, one for each line on stdin.
 *
 *     deno run bench/peers/jax_lenet.ts BATCH_SIZE
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

type Arrays = np.Array[];

const batchSize = Number(Deno.args[0]);
const LEARNING_RATE = 0.2;
const SHAPES = [[6, 1, 5, 5], [16, 6, 5, 5], [400, 120], [120, 84], [84, 10]];

await init("wasm");
defaultDevice("wasm");

let parameters: Arrays = SHAPES.flatMap((shape) => {
  const outputs = shape.length === 4 ? shape[0] : shape[1];
  const bias = shape.length === 4 ? [1, outputs, 1, 1] : [outputs];
  return [uniform(shape, 0.1), np.zeros(bias)];
});
const images = uniform([batchSize, 1, 28, 28], 0.5);
const labels = nn.oneHot(
  np.array(Array.from({ length: batchSize }, (_, n) => n % 10), { dtype: np.int32 }),
  10,
);

function uniform(shape: number[], limit: number): np.Array {
  const size = shape.reduce((product, length) => product * length, 1);
  const values = Float32Array.from({ length: size }, () => (2 * Math.random() - 1) * limit);
  return np.array(values).reshape(shape);
}

function averagePool(x: np.Array): np.Array {
  const [count, channels, height, width] = x.shape;
  return np.mean(x.reshape([count, channels, height / 2, 2, width / 2, 2]), [3, 5]);
}

function forward([w1, b1, w2, b2, w3, b3, w4, b4, w5, b5]: Arrays, x: np.Array): np.Array {
  x = averagePool(nn.sigmoid(lax.conv(x, w1, [1, 1], [[2, 2], [2, 2]]).add(b1)));
  x = averagePool(nn.sigmoid(lax.conv(x, w2, [1, 1], "VALID").add(b2)));
  x = nn.relu(np.matmul(x.reshape([batchSize, 400]), w3).add(b3));
  x = nn.relu(np.matmul(x, w4).add(b4));
  return np.matmul(x, w5).add(b5);
}

function lossOf(weights: Arrays, x: np.Array, y: np.Array): np.Array {
  return nn.logSoftmax(forward(weights, x)).mul(y).sum().mul(-1 / batchSize);
}

const step = jit((weights: Arrays, x: np.Array, y: np.Array) => {
  const [loss, gradients] = valueAndGrad(lossOf)(
    weights.map((weight) => weight.ref),
    x,
    y,
  ) as [np.Array, Arrays];
  return [
    loss,
    weights.map((weight, index) => weight.sub(gradients[index].mul(LEARNING_RATE))),
  ];
});
const infer = jit((weights: Arrays, x: np.Array) => forward(weights, x));

async function train(): Promise<number> {
  const [loss, updated] = step(parameters, images.ref, labels.ref) as [np.Array, Arrays];
  parameters = updated;
  await blockUntilReady(updated.map((weight) => weight.ref));
  return Number(await loss.jsAsync());
}

async function evaluate(): Promise<void> {
  await infer(parameters.map((weight) => weight.ref), images.ref).data();
}

async function rate(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return batchSize / (performance.now() - start) * 1000;
}

await train();
const loss = await train();
if (!(loss > 1 && loss < 4)) throw new Error(`The model does not train: loss ${loss}`);
await evaluate();
console.log(JSON.stringify({ version: "0.1.25", threads: 1 }));
for await (const _line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  console.log(JSON.stringify({ train: await rate(train), evaluate: await rate(evaluate) }));
}
Deno.exit(0); // jax-js keeps its workers
