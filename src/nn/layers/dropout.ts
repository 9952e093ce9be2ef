/** Dropout. */

import type { LayerDefinition, Named, Placed, Shape } from "./layer.ts";

/** Sets values to 0 by chance, in training; see {@linkcode dropout}. */
export interface DropoutSpec extends Named<"dropout"> {
  /** Probability that a value is dropped, in [0, 0.99]. */
  readonly p: number;
}

/** A dropout that knows its input. */
export type DropoutLayer = Placed<Shape, Shape> & Pick<DropoutSpec, "type" | "p">;

/** Sets each value to 0 with probability `p`, and multiplies the others by 1 / (1 - p); outside training
 * it does nothing.
 *
 * Which values are dropped follows from the session's seed, the step, the image and the value's place,
 * so that all backends drop the same; see {@linkcode dropoutRule}.
 * Source: Srivastava et al. 2014; PyTorch `nn.Dropout`.
 *
 * @param p Probability of being dropped, 0 to 0.99; default 0.5.
 * @example Before the last layer
 * ```ts
 * import { dropout, flatten, linear, relu, sequential } from "@lenet/lenet";
 *
 * const hidden = [flatten(), linear({ outFeatures: 64 }), relu(), dropout(0.2)];
 * const model = sequential([...hidden, linear({ outFeatures: 10 })]);
 * if (`${model.layers[3].outputShape}` !== "64") throw new Error("expected 64 features");
 * ```
 */
export function dropout(p = 0.5): DropoutSpec {
  return { type: "dropout", p };
}

/** What of a dropout engines share: a value is kept if `drawAt`, of the layer's stream and of the step,
 * the image's index and the value's place in [channels][height][width], is `threshold` or more; it is
 * multiplied by `scale` then, a float32. */
export function dropoutRule(
  { p }: Pick<DropoutLayer, "p">,
  index: number,
): { readonly stream: string; readonly threshold: number; readonly scale: number } {
  return {
    stream: `dropout ${index}`,
    threshold: Math.floor(p * 2 ** 32),
    scale: Math.fround(1 / (1 - p)),
  };
}

/** See {@linkcode dropout}. */
export const DROPOUT: LayerDefinition<DropoutSpec, DropoutLayer> = {
  fields: { p: { type: "number", minimum: 0, maximum: 0.99 } },
  place: ({ type, p }, { name, inputs, inputShape }) => (
    { type, name, inputs, inputShape, outputShape: inputShape, parameters: [], p }
  ),
  cost: () => ({ macs: 0 }),
  effect: "passes",
};
