/** Elementwise functions. */

import type { LayerDefinition, Named, Placed, Shape } from "./layer.ts";

/** An elementwise function; see {@linkcode sigmoid}, {@linkcode tanh}, {@linkcode relu}. */
export type ActivationSpec = Named<"sigmoid" | "tanh" | "relu">;

/** A ReLU with a slope below 0; see {@linkcode leakyRelu}. */
export interface LeakyReluSpec extends Named<"leakyRelu"> {
  /** Slope below 0, in [0, 1]. */
  readonly negativeSlope: number;
}

/** An activation that knows its input. */
export type ActivationLayer = Placed<Shape, Shape> & Pick<ActivationSpec, "type">;

/** A leaky ReLU that knows its input. */
export type LeakyReluLayer = Placed<Shape, Shape> & Omit<LeakyReluSpec, "name">;

/** The logistic function 1 / (1 + e^-x), elementwise.
 *
 * @example After a hidden layer
 * ```ts
 * import { flatten, linear, sigmoid, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), sigmoid()];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.layers[2].type !== "sigmoid") throw new Error("expected sigmoid");
 * ```
 */
export function sigmoid(): ActivationSpec {
  return { type: "sigmoid" };
}

/** The hyperbolic tangent, elementwise.
 *
 * @example After a hidden layer
 * ```ts
 * import { flatten, linear, tanh, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), tanh()];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.layers[2].type !== "tanh") throw new Error("expected tanh");
 * ```
 */
export function tanh(): ActivationSpec {
  return { type: "tanh" };
}

/** max(0, x), elementwise; its gradient at 0 is 0.
 *
 * @example After a hidden layer
 * ```ts
 * import { flatten, linear, relu, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), relu()];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.layers[2].type !== "relu") throw new Error("expected relu");
 * ```
 */
export function relu(): ActivationSpec {
  return { type: "relu" };
}

/** x above 0, else x times a slope, elementwise; its gradient at 0 is the slope.
 *
 * Source: Maas et al. 2013; PyTorch `nn.LeakyReLU`.
 *
 * @param negativeSlope Slope below 0, 0 to 1; default 0.01.
 * @example After a hidden layer
 * ```ts
 * import { flatten, leakyRelu, linear, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), leakyRelu(0.1)];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (model.layers[2].type !== "leakyRelu") throw new Error("expected leakyRelu");
 * ```
 */
export function leakyRelu(negativeSlope = 0.01): LeakyReluSpec {
  return { type: "leakyRelu", negativeSlope };
}

/** See {@linkcode leakyRelu}. */
export const LEAKY_RELU: LayerDefinition<LeakyReluSpec, LeakyReluLayer> = {
  fields: { negativeSlope: { type: "number", minimum: 0, maximum: 1 } },
  isActivation: true,
  place: ({ type, negativeSlope }, { name, inputs, inputShape }) => (
    { type, name, inputs, inputShape, outputShape: inputShape, parameters: [], negativeSlope }
  ),
  cost: () => ({ macs: 0 }),
};

/** See {@linkcode tanh}. */
export const TANH: LayerDefinition<ActivationSpec, ActivationLayer> = {
  fields: {},
  isActivation: true,
  place: ({ type }, { name, inputs, inputShape }) => (
    { type, name, inputs, inputShape, outputShape: inputShape, parameters: [] }
  ),
  cost: () => ({ macs: 0 }),
};

/** See {@linkcode sigmoid}. */
export const SIGMOID: typeof TANH = { ...TANH, effect: "squashes" };

/** See {@linkcode relu}. */
export const RELU: typeof TANH = { ...TANH, effect: "clamps" };
