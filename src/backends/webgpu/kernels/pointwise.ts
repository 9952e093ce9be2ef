/** Kernels whose every output is made of the inputs at its place: sums, dropout, batch norm. */

import { type Binding, bindTensor, imageKernel, type Kernel } from "../kernel.ts";
import type { Placed } from "../placement.ts";
import { indexOf } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { activate } from "./activation.ts";
import { type GradientTarget, storeGradient } from "./store_gradient.ts";

/** What such a kernel computes. */
export interface Formula {
  readonly label: string;
  /** WGSL of functions that it calls. */
  readonly functions?: string;
  /** WGSL of what is the same for all elements of `channel`. */
  readonly before?: string;
  /** WGSL of a value, from `x0`, `x1`, ..., the inputs, or `g`, the output's gradient; it may name `n`,
   * the invocation's place among the images, and `unit`, the element's among an image's. */
  readonly value: string;
  /** What `functions` and `before` name. */
  readonly bindings?: readonly Binding[];
}

/** Computes an operation's output, with the activation that is joined to it. An invocation takes some
 * neighbouring elements of its images. */
export function pointwiseForward(
  { operation: { activation }, inputs, output }: Placed,
  formula: Formula,
  tuning: Tuning,
): Kernel {
  const loads = inputs.map((input, n) => `let x${n} = input${n}[${indexOf(input, PLACE)}];`);
  const store = `let value = ${formula.value};
    output[${indexOf(output, PLACE)}] = ${activate(activation, "value")};`;
  return pointwise(output, formula, tuning, {
    each: [...loads, store],
    bindings: [
      ...inputs.map((input, n) => bindTensor(`input${n}`, input, "read")),
      bindTensor("output", output, "write"),
    ],
  });
}

/** Gives each input its gradient, which is the same for all.
 *
 * @param targets The operations before it, of which some need none.
 */
export function pointwiseBackward(
  { operation, inputs: [input], target }: Placed,
  targets: readonly (GradientTarget | undefined)[],
  { readsInput = false, ...formula }: Formula & {
    /** Whether the formula names `x0` too. */
    readonly readsInput?: boolean;
  },
  tuning: Tuning,
): Kernel {
  const { gradient } = target!;
  const isVector = operation.layer.inputShape.length === 1;
  const element = { channel: "channel", y: "y", x: "x", gradient: "value" };
  const stores = targets.flatMap((target, index) => {
    if (target === undefined) return [];
    const [name, gradients, values] = ["store_gradient", "gradient", "values"].map((name) =>
      `${name}_${index}`
    );
    return [storeGradient(target, { isVector, name, gradients, values })];
  });
  const functions = stores.map(({ code }) => code).join("") + (formula.functions ?? "");
  return pointwise(gradient, { ...formula, functions }, tuning, {
    each: [
      `let g = grad_output[${indexOf(gradient, PLACE)}];`,
      ...(readsInput ? [`let x0 = input0[${indexOf(input, PLACE)}];`] : []),
      `let value = ${formula.value};`,
      ...stores.map(({ call }) => call(element)),
    ],
    bindings: [
      bindTensor("grad_output", gradient, "read"),
      ...(readsInput ? [bindTensor("input0", input, "read")] : []),
      ...stores.flatMap(({ bindings }) => bindings),
    ],
  });
}

const PLACE = ["channel", "y", "x"] as const;

function pointwise(
  { channels, height, width }: Placed["output"],
  { label, functions = "", before = "", bindings = [] }: Formula,
  tuning: Tuning,
  body: { readonly each: readonly string[]; readonly bindings: readonly Binding[] },
): Kernel {
  const area = height * width;
  const pixels = Math.min(tuning.pointwisePixels, area);
  return imageKernel({
    label,
    functions,
    main: `let channel = group.z;
  ${before}
  for (var pixel = group.y * ${pixels}u; pixel < min((group.y + 1u) * ${pixels}u, ${area}u); pixel++) {
    let y = pixel / ${width}u;
    let x = pixel % ${width}u;
    let unit = channel * ${area}u + pixel;
    ${body.each.join("\n    ")}
  }`,
    bindings: [...body.bindings, ...bindings],
    workgroups: [Math.ceil(area / pixels), channels],
  }, tuning);
}
