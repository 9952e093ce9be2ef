/** Fully connected layers. */

import {
  type LayerDefinition,
  type Named,
  type Placed,
  showShape,
  weightAndBias,
  type Weighted,
} from "./layer.ts";

/** A fully connected layer; see {@linkcode linear}. */
export interface LinearSpec extends Named<"linear"> {
  /** Checked against the input if given. */
  readonly inFeatures?: number;
  /** Length of the output. */
  readonly outFeatures: number;
  /** False if nothing is added to the products. */
  readonly bias?: boolean;
}

/** A linear layer that knows its input. */
export type LinearLayer =
  & Placed<readonly [number], readonly [number]>
  & Weighted
  & Pick<LinearSpec, "type">;

/** Options of {@linkcode linear}. */
export interface LinearOptions {
  /** Name of the layer and prefix of its parameters; default: its index in the model. */
  readonly name?: string;
  /** Length of the output vector, 1 or more. */
  readonly outFeatures: number;
  /** Length of the input vector; default: whatever the layer before gives. */
  readonly inFeatures?: number;
  /** Whether a number per output is added; default true. */
  readonly bias?: boolean;
}

/** A fully connected layer: weight [outFeatures, inFeatures] times the input, plus bias [outFeatures] unless
 * `bias` is false.
 *
 * @example Ten logits
 * ```ts
 * import { flatten, linear, sequential } from "@lenet/lenet";
 *
 * const model = sequential([flatten(), linear({ name: "fc", outFeatures: 10 })]);
 * if (model.parameters[0].name !== "fc.weight") throw new Error("expected fc.weight");
 * ```
 */
export function linear(options: LinearOptions): LinearSpec {
  const { name, inFeatures, outFeatures, bias } = options;
  return {
    type: "linear",
    ...(name !== undefined && { name }),
    ...(inFeatures !== undefined && { inFeatures }),
    outFeatures,
    ...(bias === false && { bias }),
  };
}

/** See {@linkcode linear}. */
export const LINEAR: LayerDefinition<LinearSpec, LinearLayer> = {
  fields: {
    outFeatures: { type: "whole", minimum: 1 },
    inFeatures: { type: "whole", minimum: 1, optional: true },
    bias: { type: "flag", minimum: 0, optional: true },
  },
  outputs: "outFeatures",
  place({ type, inFeatures, outFeatures, bias }, at) {
    const { name, inputs, inputShape } = at;
    if (inputShape.length !== 1) {
      throw new TypeError(
        `Cannot add ${type} "${name}": its input must be a vector, ` +
          `found ${showShape(inputShape)}; add flatten() before it`,
      );
    }
    const [features] = inputShape;
    if (inFeatures !== undefined && inFeatures !== features) {
      throw new TypeError(
        `Cannot add ${type} "${name}": expected ${inFeatures} input features, found ${features}`,
      );
    }
    const shapes = { inputShape: [features], outputShape: [outFeatures] } as const;
    return { type, name, inputs, ...shapes, ...weightAndBias(at, [outFeatures, features], bias) };
  },
  cost: ({ weight }) => ({ macs: weight.size, sees: "everything" }),
};
