/** Input gradient of a convolution with any stride, and of a linear layer. */

import { bindTensor, divisorUpTo, imageKernel, type Kernel, repeat } from "../kernel.ts";
import { channelGroups, type ConvolveOperation, macsOf } from "../operations.ts";
import { indexOf, roundUp } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import {
  channelInGroup,
  type InputGradientBuffers,
  walkOutputs,
  weightAt,
} from "./conv2d_input_gradient.ts";
import { storeGradient } from "./store_gradient.ts";

/** Most input channels of one invocation. */
const CHANNELS = 8;

/** Equals the reference's `conv2dBackward` or `linearBackward`, its return value.
 *
 * A workgroup takes a group of images; its y is an input pixel, its z a block of input channels. An
 * invocation walks output channels, four at a time, and the kernel's elements; it skips those that
 * the stride or the edge leaves without an output.
 */
export function conv2dStridedInputGradient(
  operation: ConvolveOperation,
  { gradMaps, weights, target }: InputGradientBuffers,
  tuning: Tuning,
): Kernel {
  const { layer, kernelSize: [kernelHeight, kernelWidth], stride, padding, maps } = operation;
  const [inChannels, height, width] = operation.input;
  const columns = roundUp(maps[0], 4) / 4;
  const { side, inputs } = channelGroups(operation);
  // All of one group.
  const channels = operation.groups === 1
    ? Math.min(CHANNELS, inChannels)
    : divisorUpTo(inputs, CHANNELS);
  const blocks = Math.ceil(inChannels / channels);
  const isVector = kernelHeight * kernelWidth * height * width === 1;
  const { code, bindings, call } = storeGradient(target, { isVector: height * width === 1 });
  const sums = `
        let d0 = grad_maps[base];
        ${
    repeat(
      side - 1,
      (o) => `let d${o + 1} = grad_maps[base + ${(o + 1) * gradMaps.channelStride}u];`,
    )
  }
        ${
    repeat(channels, (c) => {
      const element = isVector ? "0u" : `i * ${kernelWidth}u + j`;
      return `{
          let w = ${
        weightAt(
          side,
          `(${channelInGroup(operation, `c${c}`)} * ${
            kernelHeight * kernelWidth
          }u + ${element}) * ` +
            `${columns}u + o${side === 1 ? " / 4u" : ""}`,
        )
      };
          ${repeat(side, (o) => `g${c} += w[${o}] * d${o};`)}
        }`;
    })
  }`;
  const walk = isVector
    ? `let base = ${indexOf(gradMaps, [`o * ${side}u`, "0u", "0u"])}; ${sums}`
    : `
    for (var i = 0u; i < ${kernelHeight}u; i++) {
      let top = in_y - i; // wraps around if negative, and is then too large
      let out_y = top / ${stride[0]}u;
      if (top % ${stride[0]}u != 0u || out_y >= ${maps[1]}u) { continue; }
      for (var j = 0u; j < ${kernelWidth}u; j++) {
        let left = in_x - j;
        let out_x = left / ${stride[1]}u;
        if (left % ${stride[1]}u != 0u || out_x >= ${maps[2]}u) { continue; }
        let base = ${indexOf(gradMaps, [`o * ${side}u`, "out_y", "out_x"])};
        ${sums}
      }
    }`;
  return imageKernel({
    label: `conv2d_strided_input_gradient ${layer.name}`,
    functions: code,
    main: `let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let in_y = y + ${padding[0]}u;
  let in_x = x + ${padding[1]}u;
  let first = group.z * ${channels}u;
  ${
      repeat(channels, (c) =>
        `let c${c} = min(first + ${c}u, ${inChannels - 1}u);
  var g${c} = Images(0.0);`)
    }
  ${walkOutputs(operation, "first")} {
    ${walk}
  }
  ${
      repeat(channels, (c) => {
        const element = { channel: `c${c}`, y: "y", x: "x", gradient: `g${c}` };
        const store = call(element);
        return blocks * channels === inChannels
          ? store
          : `if (first + ${c}u < ${inChannels}u) { ${store} }`;
      })
    }`,
    bindings: [bindTensor("grad_maps", gradMaps, "read"), weights, ...bindings],
    macs: macsOf(operation),
    workgroups: [height * width, blocks],
  }, tuning);
}
