/** LeNet's training step in jax-js on WebGPU, for measurements in the same process. */

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
import { createRandom } from "../../src/random.ts";

type Arrays = np.Array[];

const LEARNING_RATE = 0.01;
const SHAPES = [[6, 1, 5, 5], [16, 6, 5, 5], [400, 120], [120, 84], [84, 10]];

/** Starts jax-js and returns a function that trains on one batch and resolves with its loss. */
export async function openJaxLenet(batchSize: number): Promise<() => Promise<number>> {
  if (!(await init("webgpu")).includes("webgpu")) throw new Error("jax-js found no WebGPU");
  defaultDevice("webgpu");
  const random = createRandom(1, "jax-js");
  const uniform = (shape: number[], limit: number) => {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: size }, () => random.uniform(-limit, limit));
    return np.array(values).reshape(shape);
  };
  let parameters: Arrays = SHAPES.flatMap((shape) => {
    const isConvolution = shape.length === 4;
    const bias = isConvolution ? [1, shape[0], 1, 1] : [shape[1]];
    return [uniform(shape, 0.1), np.zeros(bias)];
  });
  const images = uniform([batchSize, 1, 28, 28], 0.5);
  const classes = Int32Array.from({ length: batchSize }, (_, index) => index % 10);
  const labels = nn.oneHot(np.array(classes, { dtype: np.int32 }), 10);

  const lossOf = (weights: Arrays, x: np.Array, y: np.Array) =>
    nn.logSoftmax(forward(weights, x, batchSize)).mul(y).sum().mul(-1 / batchSize);
  const step = jit((weights: Arrays, x: np.Array, y: np.Array) => {
    const copies = weights.map((weight) => weight.ref);
    const [loss, gradients] = valueAndGrad(lossOf)(copies, x, y) as [np.Array, Arrays];
    const updated = weights.map((weight, index) => weight.sub(gradients[index].mul(LEARNING_RATE)));
    return [loss, updated];
  });
  return async () => {
    const [loss, updated] = step(parameters, images.ref, labels.ref) as [np.Array, Arrays];
    parameters = updated;
    await blockUntilReady(updated.map((weight) => weight.ref));
    return Number(await loss.jsAsync());
  };
}

function forward(weights: Arrays, x: np.Array, batchSize: number): np.Array {
  const [w1, b1, w2, b2, w3, b3, w4, b4, w5, b5] = weights;
  x = averagePool(nn.sigmoid(lax.conv(x, w1, [1, 1], [[2, 2], [2, 2]]).add(b1)));
  x = averagePool(nn.sigmoid(lax.conv(x, w2, [1, 1], "VALID").add(b2)));
  x = nn.relu(np.matmul(x.reshape([batchSize, 400]), w3).add(b3));
  x = nn.relu(np.matmul(x, w4).add(b4));
  return np.matmul(x, w5).add(b5);
}

function averagePool(x: np.Array): np.Array {
  const [count, channels, height, width] = x.shape;
  return np.mean(x.reshape([count, channels, height / 2, 2, width / 2, 2]), [3, 5]);
}
