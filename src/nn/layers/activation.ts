/** Elementwise functions. */

import type { LayerDefinition, Named, Placed, Shape } from "./layer.ts";

/** An elementwise function; see {@linkcode sigmoid}, {@linkcode tanh}, {@linkcode relu}. */
export type ActivationSpec = Named<"sigmoid" | "tanh" | "relu">;

/** An activation that knows its input. */
export type ActivationLayer = Placed<Shape, Shape> & Pick<ActivationSpec, "type">;

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

/** See {@linkcode sigmoid}, {@linkcode tanh} and {@linkcode relu}. */
export const ACTIVATION: LayerDefinition<ActivationSpec, ActivationLayer> = {
  fields: {},
  place: ({ type }, { name, inputs, inputShape }) => (
    { type, name, inputs, inputShape, outputShape: inputShape, parameters: [] }
  ),
  cost: () => ({ macs: 0 }),
};
