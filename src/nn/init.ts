/** Initial parameters, drawn on the host so that every backend starts from the same bits. */

import { checkModelArgument, checkName, checkNumber, checkObject, checkSeed } from "../check.ts";
import { createRandom, type Random } from "../random.ts";
import type { Model, Parameter } from "./sequential.ts";

/** How weights are drawn; biases are always PyTorch's default, uniform in +-1/sqrt(fanIn), scales of a
 * batch norm 1 and its shifts 0.
 *
 * - `xavierUniform`: uniform in +-sqrt(6 / (fanIn + fanOut)); Glorot and Bengio 2010.
 * - `xavierNormal`: normal with variance 2 / (fanIn + fanOut).
 * - `normal`: normal with the given standard deviation.
 * - `torchDefault`: uniform in +-1/sqrt(fanIn), what `nn.Conv2d` and `nn.Linear` do by themselves.
 */
export type WeightInit =
  | { readonly type: "xavierUniform" | "xavierNormal" | "torchDefault" }
  | { readonly type: "normal"; readonly standardDeviation: number };

const INITS: readonly WeightInit["type"][] = [
  "xavierUniform",
  "xavierNormal",
  "normal",
  "torchDefault",
];

/** Draws a model's initial parameters: a flat vector in the layout of `model.parameters`.
 *
 * @param seed An integer in 0 .. 2^53 - 1; equal seeds give equal parameters on every machine.
 * @throws {TypeError} If the model is none, or the way to draw is none of those.
 * @throws {RangeError} If the seed or the standard deviation is out of range.
 * @example Equal seeds give equal parameters
 * ```ts
 * import { initialParameters, lenet } from "@lenet/lenet";
 *
 * const [one, other] = [1, 1].map((seed) => initialParameters(lenet(), seed));
 * if (one.some((value, index) => value !== other[index])) throw new Error("expected the same");
 * ```
 */
export function initialParameters(
  model: Model,
  seed: number,
  init: WeightInit = { type: "xavierUniform" },
): Float32Array<ArrayBuffer> {
  checkModelArgument(model);
  checkSeed(seed);
  checkObject("init", init);
  checkName("init", init.type, INITS);
  if (init.type === "normal") {
    checkNumber("standardDeviation", init.standardDeviation, { min: 0 });
  }
  const random = createRandom(seed, "parameters");
  const values = new Float32Array(model.parameterCount);
  for (const parameter of model.parameters) {
    const draw = DRAWS[parameter.kind](parameter, random, init);
    for (let index = 0; index < parameter.size; index++) {
      values[parameter.offset + index] = draw();
    }
  }
  return values;
}

/** What a model's running statistics begin as: means 0 and variances 1, in the layout of
 * `model.statistics`.
 *
 * @throws {TypeError} If the model is none.
 * @example A model without batch norm has none
 * ```ts
 * import { initialStatistics, lenet } from "@lenet/lenet";
 *
 * if (initialStatistics(lenet()).length !== 0) throw new Error("expected none");
 * ```
 */
export function initialStatistics(model: Model): Float32Array<ArrayBuffer> {
  checkModelArgument(model);
  const values = new Float32Array(model.statisticCount);
  for (const { initial, offset, size } of model.statistics) {
    values.fill(initial, offset, offset + size);
  }
  return values;
}

/** What draws each number of a tensor. */
type Draw = (parameter: Parameter, random: Random, init: WeightInit) => () => number;

const DRAWS: { readonly [Kind in Parameter["kind"]]: Draw } = {
  weight: weightDraw,
  bias: torchDefault,
  scale: () => () => 1,
  shift: () => () => 0,
};

function weightDraw(parameter: Parameter, random: Random, init: WeightInit): () => number {
  const { fanIn, fanOut } = parameter;
  switch (init.type) {
    case "xavierUniform": {
      const bound = Math.sqrt(6 / (fanIn + fanOut));
      return () => random.uniform(-bound, bound);
    }
    case "xavierNormal":
      return () => random.normal(Math.sqrt(2 / (fanIn + fanOut)));
    case "normal":
      return () => random.normal(init.standardDeviation);
    case "torchDefault":
      return torchDefault(parameter, random);
  }
}

function torchDefault({ fanIn }: Parameter, random: Random): () => number {
  const bound = 1 / Math.sqrt(fanIn);
  return () => random.uniform(-bound, bound);
}
