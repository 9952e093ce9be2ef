/** WGSL of the activations and their derivatives. */

import type { Activation } from "../operations.ts";

/** WGSL for the function's value at an expression of type `Images`.
 *
 * ReLU is a choice, not `max`, so that a NaN passes through where the driver lets it.
 */
export function activate(activation: Activation, x: string): string {
  switch (activation) {
    case "none":
      return x;
    case "sigmoid":
      return `1.0 / (1.0 + exp(-${x}))`;
    case "tanh":
      return `tanh(${x})`;
    case "relu":
      return `select(${x}, Images(0.0), ${x} <= Images(0.0))`;
  }
}

/** WGSL for the derivative times a gradient, from the function's value. */
export function derive(activation: Activation, y: string, gradient: string): string {
  switch (activation) {
    case "none":
      return gradient;
    case "sigmoid":
      return `${gradient} * (${y} * (1.0 - ${y}))`;
    case "tanh":
      return `${gradient} * (1.0 - ${y} * ${y})`;
    case "relu":
      return `select(Images(0.0), ${gradient}, ${y} > Images(0.0))`;
  }
}
