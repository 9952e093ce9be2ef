/** Residual blocks: the one kind of layer that reads two others. */

import { type LayerDefinition, type Named, type Placed, type Shape, showShape } from "./layer.ts";

/** Layers and a way around them, added; see {@linkcode residual}. */
export interface ResidualSpec<Spec = unknown> extends Named<"residual"> {
  /** One layer or more, in a row. */
  readonly body: readonly Spec[];
  /** Layers of the way around; none: the block's input itself. */
  readonly shortcut?: readonly Spec[];
}

/** The sum at a residual block's end; it reads the end of the body, and of the shortcut. */
export type ResidualLayer = Placed<Shape, Shape> & Pick<ResidualSpec, "type">;

/** Options of {@linkcode residual}. */
export interface ResidualOptions {
  /** Name of the block and prefix of its parameters; default: its index in the model. */
  readonly name?: string;
}

/** A residual block: body(x) + shortcut(x), where a shortcut that is left out is x itself.
 *
 * In `model.layers` come the body's layers, the shortcut's, and then the sum. Parameters have
 * PyTorch's names of modules `body` and `shortcut`, each an `nn.Sequential`: `3.body.0.weight`.
 * Source: He et al. 2016, figure 2.
 *
 * @example Two convolutions and a way around them
 * ```ts
 * import { conv2d, flatten, linear, relu, residual, sequential } from "@lenet/lenet";
 *
 * const convolution = conv2d({ outChannels: 1, kernelSize: 3, padding: 1 });
 * const block = residual([convolution, relu(), convolution]);
 * const model = sequential([block, relu(), flatten(), linear({ outFeatures: 10 })]);
 * if (model.parameters[2].name !== "0.body.2.weight") throw new Error("expected 0.body.2.weight");
 * ```
 */
export function residual<Body, Shortcut = never>(
  body: readonly Body[],
  shortcut: readonly Shortcut[] = [],
  { name }: ResidualOptions = {},
): ResidualSpec<Body | Shortcut> {
  return {
    type: "residual",
    ...(name !== undefined && { name }),
    body,
    ...(shortcut.length > 0 && { shortcut }),
  };
}

/** See {@linkcode residual}. */
export const RESIDUAL: LayerDefinition<ResidualSpec, ResidualLayer> = {
  fields: {
    body: { type: "layers", minimum: 1 },
    shortcut: { type: "layers", minimum: 0, optional: true },
  },
  place({ type, body, shortcut = [] }, at) {
    const { name } = at;
    const [main, around] = [at.branch("body", body), at.branch("shortcut", shortcut)];
    if (showShape(main.shape) !== showShape(around.shape)) {
      throw new TypeError(
        `Cannot add residual "${name}": its body gives ${showShape(main.shape)} and its shortcut ` +
          `${
            showShape(around.shape)
          }; give it a shortcut, such as a 1x1 convolution, to that shape`,
      );
    }
    const [inputShape, outputShape] = [main.shape, main.shape];
    return { type, name, inputs: [main.end, around.end], inputShape, outputShape, parameters: [] };
  },
  cost: () => ({ macs: 0 }),
};
