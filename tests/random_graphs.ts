/** Random models whose layers stand in a row or in blocks around one another, for the engines. */

import {
  avgPool2d,
  conv2d,
  flatten,
  type LayerSpec,
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

/** Up to six layers of any kind that fit, oblong in all that can be, then one to three of logits. */
export function randomGraph(random: Random): Model {
  const inputShape = [1 + random.below(4), 6 + random.below(6), 6 + random.below(6)] as const;
  const { specs, shape } = randomRow(random, inputShape, { count: random.below(7), depth: 0 });
  if (shape.length > 1) specs.push(flatten());
  if (random.below(2) === 0) specs.push(linear({ outFeatures: 1 + random.below(20) }), tanh());
  specs.push(linear({ outFeatures: 2 + random.below(9) }));
  return sequential(specs, { name: "random", inputShape });
}

interface Row {
  readonly specs: LayerSpec[];
  readonly shape: Shape;
}

function randomRow(
  random: Random,
  start: Shape,
  { count, depth }: { readonly count: number; readonly depth: number },
): Row {
  const specs: LayerSpec[] = [];
  let shape = start;
  for (let trial = 0; trial < 4 * count && specs.length < count; trial++) {
    const spec = randomLayer(random, shape, depth);
    try {
      shape = outputShapeOf(spec, shape);
      specs.push(spec);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // a window that does not fit
    }
  }
  return { specs, shape };
}

function randomLayer(random: Random, shape: Shape, depth: number): LayerSpec {
  const pair = (low: number, count: number) =>
    [low + random.below(count), low + random.below(count)] as const;
  const activation = () => [sigmoid, tanh, relu][random.below(3)]();
  const isVector = shape.length === 1;
  switch (random.below(isVector ? 4 : 6)) {
    case 0:
      return activation();
    case 1:
      return depth < MOST_DEPTH ? randomBlock(random, shape, depth + 1) : activation();
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

/** A block around itself if its body gives its input's shape, or else two ways that meet in a vector. */
function randomBlock(random: Random, shape: Shape, depth: number): LayerSpec {
  const body = randomRow(random, shape, { count: 1 + random.below(3), depth });
  if (body.specs.length > 0 && `${body.shape}` === `${shape}`) return residual(body.specs);
  const around = randomRow(random, shape, { count: random.below(3), depth });
  const outFeatures = 1 + random.below(7);
  const ended = (
    { specs, shape }: Row,
  ): LayerSpec[] => [...specs, ...(shape.length > 1 ? [flatten()] : []), linear({ outFeatures })];
  return residual(ended(body), ended(around));
}
