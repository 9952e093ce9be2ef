/** Random models whose layers stand in a row or in blocks around one another, for the engines. */

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
  relu,
  residual,
  sigmoid,
  tanh,
} from "../src/nn/layers.ts";
import { type Model, outputShapeOf, sequential, type Shape } from "../src/nn/sequential.ts";
import type { Random } from "../src/random.ts";

/** Blocks in one another. */
const MOST_DEPTH = 2;

/** Up to six layers that fit, oblong in all that can be, then one to three of logits.
 *
 * @param isNormed Whether there may be batch norm, dropout, groups, padded pools, layers without bias.
 */
export function randomGraph(random: Random, isNormed = false): Model {
  const inputShape = [1 + random.below(4), 6 + random.below(6), 6 + random.below(6)] as const;
  const row = { count: random.below(7), depth: 0, isNormed };
  const { specs, shape } = randomRow(random, inputShape, row);
  if (shape.length > 1) specs.push(flatten());
  if (random.below(2) === 0) specs.push(linear({ outFeatures: 1 + random.below(20) }), tanh());
  specs.push(linear({ outFeatures: 2 + random.below(9) }));
  return sequential(specs, { name: "random", inputShape });
}

interface Row {
  readonly specs: LayerSpec[];
  readonly shape: Shape;
}

/** How many layers, in how many blocks around one another, of which kinds. */
interface RowOptions {
  readonly count: number;
  readonly depth: number;
  readonly isNormed: boolean;
}

function randomRow(random: Random, start: Shape, { count, ...options }: RowOptions): Row {
  const specs: LayerSpec[] = [];
  let shape = start;
  for (let trial = 0; trial < 4 * count && specs.length < count; trial++) {
    const spec = randomLayer(random, shape, options);
    try {
      shape = outputShapeOf(spec, shape);
      specs.push(spec);
    } catch (error) {
      // A window or groups that do not fit.
      if (!(error instanceof RangeError) && !options.isNormed) throw error;
    }
  }
  return { specs, shape };
}

type LayerOptions = Omit<RowOptions, "count">;

function randomLayer(random: Random, shape: Shape, options: LayerOptions): LayerSpec {
  const { depth, isNormed } = options;
  if (isNormed && random.below(2) === 0) return randomNormed(random, shape);
  const pair = (low: number, count: number) =>
    [low + random.below(count), low + random.below(count)] as const;
  const activation = () => [sigmoid, tanh, relu][random.below(3)]();
  const isVector = shape.length === 1;
  switch (random.below(isVector ? 4 : 6)) {
    case 0:
      return activation();
    case 1:
      return depth < MOST_DEPTH
        ? randomBlock(random, shape, { ...options, depth: depth + 1 })
        : activation();
    case 2:
      return random.below(3) === 0 ? flatten() : activation();
    case 3:
      if (isVector) return linear({ outFeatures: 1 + random.below(9) });
      return [avgPool2d, maxPool2d][random.below(2)]({ poolSize: pair(1, 3), stride: pair(1, 3) });
    default:
      return conv2d({
        outChannels: 1 + random.below(9),
        kernelSize: pair(1, 3),
        stride: pair(1, 3),
        padding: pair(0, 3),
      });
  }
}

/** One of the layers that LeNet has not. */
function randomNormed(random: Random, shape: Shape): LayerSpec {
  const isVector = shape.length === 1;
  const windows = { poolSize: [2, 3], stride: [1, 1 + random.below(2)], padding: [1, 1] } as const;
  const groups = 1 + random.below(3);
  const kernel = { kernelSize: [1 + random.below(3), 2], bias: random.below(2) > 0 } as const;
  switch (random.below(isVector ? 4 : 8)) {
    case 0:
      return leakyRelu([0.01, 0.25][random.below(2)]);
    case 1:
      return dropout([0, 0.1, 0.5][random.below(3)]);
    case 2:
      return isVector ? linear({ outFeatures: 1 + random.below(9), bias: false }) : batchNorm2d();
    case 3:
      return (isVector ? batchNorm1d : batchNorm2d)({ momentum: 0.03, eps: 1e-3 });
    case 4:
      return globalAvgPool2d();
    case 5:
      return [avgPool2d, maxPool2d][random.below(2)](windows);
    case 6:
      return conv2d({ ...kernel, outChannels: shape[0] * groups, groups: shape[0] });
    default:
      return conv2d({ ...kernel, outChannels: groups * (1 + random.below(3)), groups });
  }
}

/** A block around itself if its body gives its input's shape, or else two ways that meet in a vector. */
function randomBlock(random: Random, shape: Shape, options: LayerOptions): LayerSpec {
  const body = randomRow(random, shape, { ...options, count: 1 + random.below(3) });
  if (body.specs.length > 0 && `${body.shape}` === `${shape}`) return residual(body.specs);
  const around = randomRow(random, shape, { ...options, count: random.below(3) });
  const outFeatures = 1 + random.below(7);
  const ended = (
    { specs, shape }: Row,
  ): LayerSpec[] => [...specs, ...(shape.length > 1 ? [flatten()] : []), linear({ outFeatures })];
  return residual(ended(body), ended(around));
}
