/** The last part of every kernel that computes an operation's output gradient. */

import { type Binding, bindTensor, repeat } from "../kernel.ts";
import type { Operation } from "../operations.ts";
import { type DeviceTensor, indexOf } from "../tensors.ts";
import { derive } from "./activation.ts";

/** Where an operation's output gradient goes. */
export interface GradientTarget {
  readonly operation: Operation;
  /** Before the joined activation and pooling. */
  readonly gradient: DeviceTensor;
  /** Output of the joined activation, before pooling. */
  readonly activated: DeviceTensor;
  /** Whether it is added to what is there: another operation that reads the output was first. */
  readonly adds?: boolean;
}

/** How {@linkcode storeGradient} is called. */
export interface StoreOptions {
  /** Whether the kernel's channels are elements of a vector, to which the operation's maps were flattened. */
  readonly isVector?: boolean;
  /** Names in WGSL, for kernels that store several operations' gradients. */
  readonly name?: string;
  readonly gradients?: string;
  readonly values?: string;
}

/** WGSL for an element, and for its gradient. */
type Element = Readonly<Record<"channel" | "gradient", string>> & { y?: string; x?: string };

/** WGSL of `store_gradient(channel, y, x, n, g)`, the buffers it names, and WGSL of a call.
 *
 * It carries the gradient of an operation's output back through the operation's pooling and activation
 * and stores what reaches its own layer, so that neither is a dispatch of its own. Windows do not
 * overlap, so that every element is written by one invocation; elements between windows stay zero.
 * Equals the reference's `pool2dBackward` and `activationBackward`.
 */
export function storeGradient(
  { operation, gradient, activated, adds = false }: GradientTarget,
  { isVector = false, name = "store_gradient", gradients = "gradient", values = "activated" }:
    StoreOptions = {},
): {
  readonly code: string;
  readonly bindings: readonly Binding[];
  call(element: Element): string;
} {
  const { activation, pool: { type, size, stride }, output: [, height, width] } = operation;
  const mapArea = height * width;
  const area = size[0] * size[1];
  const needsValues = activation !== undefined || type === "maxPool2d";
  const place = (tensor: DeviceTensor, tap: number) => {
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
    call({ channel: c, y = "0u", x = "0u", gradient }) {
      const place = isVector && mapArea > 1
        ? `${c} / ${mapArea}u, ${c} % ${mapArea}u / ${width}u, ${c} % ${width}u`
        : `${c}, ${y}, ${x}`;
      return `${name}(${place}, n, ${gradient});`;
    },
  };
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
