/** The last part of every kernel that computes an operation's output gradient. */

import { type Binding, bindTensor, repeat } from "../kernel.ts";
import type { Operation } from "../operations.ts";
import { indexOf, type Tensor } from "../tensors.ts";
import { derive } from "./activation.ts";

/** Where an operation's output gradient goes. */
export interface GradientTarget {
  readonly operation: Operation;
  /** Before the joined activation and pooling. */
  readonly gradient: Tensor;
  /** Output of the joined activation, before pooling. */
  readonly activated: Tensor;
  /** Whether it is added to what is there: another operation that reads the output was first. */
  readonly adds?: boolean;
}

/** Names in WGSL, for kernels that store several operations' gradients. */
export interface StoreNames {
  readonly name?: string;
  readonly gradients?: string;
  readonly values?: string;
}

/** WGSL of `store_gradient(channel, y, x, n, g)`, and the buffers it names.
 *
 * It carries the gradient of an operation's output back through the operation's pooling and activation
 * and stores what reaches its own layer, so that neither is a dispatch of its own. Windows do not
 * overlap, so that every element is written by one invocation; elements between windows stay zero.
 * Equals the reference's `pool2dBackward` and `activationBackward`.
 */
export function storeGradient(
  { operation, gradient, activated, adds = false }: GradientTarget,
  { name = "store_gradient", gradients = "gradient", values = "activated" }: StoreNames = {},
): { readonly code: string; readonly bindings: readonly Binding[] } {
  const { activation, pool: { type, size, stride } } = operation;
  const area = size[0] * size[1];
  const needsValues = activation !== undefined || type === "maxPool2d";
  const place = (tensor: Tensor, tap: number) => {
    const y = `y * ${stride[0]}u + ${Math.floor(tap / size[1])}u`;
    const x = `x * ${stride[1]}u + ${tap % size[1]}u`;
    return indexOf(tensor, ["channel", y, x]);
  };
  const share = type === "avgPool2d" ? `(g * ${1 / area})` : "g";
  const code = `fn ${name}(channel: u32, y: u32, x: u32, n: u32, g: Images) {
${needsValues ? repeat(area, (tap) => `let y${tap} = ${values}[${place(activated, tap)}];`) : ""}
${type === "maxPool2d" ? firstMaximum(area) : ""}
${
    repeat(area, (tap) => {
      const value = derive(activation, `y${tap}`, share);
      const chosen = type === "maxPool2d"
        ? `select(Images(0.0), ${value}, first == Images(${tap}.0))`
        : value;
      return `${gradients}[${place(gradient, tap)}] ${adds ? "+=" : "="} ${chosen};`;
    })
  }
}
`;
  return {
    code,
    bindings: [
      bindTensor(gradients, gradient, "write"),
      ...(needsValues ? [bindTensor(values, activated, "read")] : []),
    ],
  };
}

/** WGSL of a call of `store_gradient` for an element of the input of the operation after it, which sees
 * a vector where the operation's maps were flattened. */
export function callStoreGradient(
  { operation: { output: [, height, width] } }: GradientTarget,
  { channel, y, x, gradient }: Readonly<Record<"channel" | "y" | "x" | "gradient", string>>,
  isVector: boolean,
  name = "store_gradient",
): string {
  return isVector && height * width > 1
    ? `${name}(${channel} / ${height * width}u, ${channel} % ${height * width}u / ${width}u, ` +
      `${channel} % ${width}u, n, ${gradient});`
    : `${name}(${channel}, ${y}, ${x}, n, ${gradient});`;
}

/** WGSL for the number of the first largest of y0, y1, ..., in row order, a NaN being largest. */
function firstMaximum(area: number): string {
  return `var largest = y0;
var first = Images(0.0);
${
    repeat(area - 1, (previous) => {
      const tap = `y${previous + 1}`;
      return `first = select(first, Images(${previous + 1}.0), exceeds(${tap}, largest));
largest = larger(largest, ${tap});`;
    })
  }`;
}
