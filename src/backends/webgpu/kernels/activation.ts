/** WGSL of the activations and their derivatives. */

import type { Activation } from "../operations.ts";

interface Formulas {
  /** WGSL for the function's value at an expression of type `Images`. */
  value(x: string, slope: number): string;
  /** WGSL for the derivative times a gradient, from the function's value. */
  derivative(y: string, gradient: string, slope: number): string;
}

/** ReLU is a choice, not `max`, so that a NaN passes through where the driver lets it. */
const FORMULAS: { readonly [Type in Activation["type"]]: Formulas } = {
  sigmoid: {
    value: (x) => `1.0 / (1.0 + exp(-${x}))`,
    derivative: (y, gradient) => `${gradient} * (${y} * (1.0 - ${y}))`,
  },
  tanh: {
    // Fast mathematics has no tanh of a large number, and a clamp may have no NaN.
    value: (x) => `select(tanh(clamp(${x}, Images(-15.0), Images(15.0))), ${x}, is_nan(${x}))`,
    derivative: (y, gradient) => `${gradient} * (1.0 - ${y} * ${y})`,
  },
  relu: {
    value: (x) => `select(${x}, Images(0.0), ${x} <= Images(0.0))`,
    derivative: (y, gradient) => `select(Images(0.0), ${gradient}, ${y} > Images(0.0))`,
  },
  leakyRelu: {
    value: (x, slope) => `select(${x}, ${x} * f32(${slope}), ${x} <= Images(0.0))`,
    derivative: (y, gradient, slope) =>
      `select(${gradient} * f32(${slope}), ${gradient}, ${y} > Images(0.0))`,
  },
};

/** WGSL for the function's value at an expression of type `Images`; for the value itself without one. */
export function activate(activation: Activation | undefined, x: string): string {
  return activation ? FORMULAS[activation.type].value(x, slopeOf(activation)) : x;
}

/** WGSL for the derivative times a gradient, from the function's value. */
export function derive(activation: Activation | undefined, y: string, gradient: string): string {
  if (activation === undefined) return gradient;
  return FORMULAS[activation.type].derivative(y, gradient, slopeOf(activation));
}

function slopeOf(activation: Activation): number {
  return "negativeSlope" in activation ? Math.fround(activation.negativeSlope) : 0;
}
