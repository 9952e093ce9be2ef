/** Pooling on its own: where it comes first, or its windows overlap. */

import { A_GROUP, bindTensor, entryPoint, imagesWgsl, type Kernel } from "../kernel.ts";
import type { PoolOperation } from "../operations.ts";
import { indexOf, type Tensor } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { callStoreGradient, type GradientTarget, storeGradient } from "./store_gradient.ts";

/** Equals the reference's `pool2dForward`. An invocation computes one output of its images. */
export function pool2dForward(
  { layer, pool: { type, size, stride }, output: [channels, height, width] }: PoolOperation,
  { input, output }: { readonly input: Tensor; readonly output: Tensor },
  tuning: Tuning,
): Kernel {
  const isMax = type === "maxPool2d";
  const code = `${imagesWgsl(tuning)}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let corner = ${indexOf(input, ["group.z", `y * ${stride[0]}u`, `x * ${stride[1]}u`])};
  var result = ${isMax ? "input[corner]" : "Images(0.0)"};
  for (var i = 0u; i < ${size[0]}u; i++) {
    for (var j = 0u; j < ${size[1]}u; j++) {
      let value = input[corner + i * ${input.rowStride}u + j * ${input.columnStride}u];
      ${isMax ? "result = select(result, value, value > result);" : "result += value;"}
    }
  }
  output[${indexOf(output, ["group.z", "y", "x"])}] = result${
    isMax ? "" : ` * ${1 / (size[0] * size[1])}`
  };
}
`;
  return {
    label: `pool2d_forward ${layer.name}`,
    code,
    bindings: [bindTensor("input", input, "read"), bindTensor("output", output, "write")],
    workgroups: [A_GROUP, height * width, channels],
  };
}

/** The buffers of {@linkcode pool2dBackward}. */
export interface PoolGradientBuffers {
  readonly input: Tensor;
  readonly gradOutput: Tensor;
  /** The operation before, which gets the input's gradient. */
  readonly target: GradientTarget;
}

/** Equals the reference's `pool2dBackward`.
 *
 * An invocation computes one pixel's gradient: it visits the windows that hold the pixel, in order, and
 * for a maximum finds again whose it was.
 */
export function pool2dBackward(
  operation: PoolOperation,
  { input, gradOutput, target }: PoolGradientBuffers,
  tuning: Tuning,
): Kernel {
  const { layer, pool: { type, size, stride } } = operation;
  const [channels, height, width] = operation.input;
  const [, outHeight, outWidth] = operation.output;
  const { code: storeCode, bindings } = storeGradient(target);
  const isMax = type === "maxPool2d";
  const share = isMax
    ? `
      let corner = ${indexOf(input, ["group.z", `out_y * ${stride[0]}u`, `out_x * ${stride[1]}u`])};
      var largest = input[corner];
      var first = Images(0.0);
      for (var k = 1u; k < ${size[0] * size[1]}u; k++) {
        let value = input[corner + k / ${size[1]}u * ${input.rowStride}u + k % ${
      size[1]
    }u * ${input.columnStride}u];
        first = select(first, Images(f32(k)), value > largest);
        largest = select(largest, value, value > largest);
      }
      let tap = (y - out_y * ${stride[0]}u) * ${size[1]}u + x - out_x * ${stride[1]}u;
      sum += select(Images(0.0), g, first == Images(f32(tap)));`
    : `
      sum += g * ${1 / (size[0] * size[1])};`;
  const code = `${imagesWgsl(tuning)}
${storeCode}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  var sum = Images(0.0);
  let first_y = select(0u, (y - ${size[0] - 1}u + ${stride[0] - 1}u) / ${stride[0]}u, y >= ${
    size[0]
  }u);
  let first_x = select(0u, (x - ${size[1] - 1}u + ${stride[1] - 1}u) / ${stride[1]}u, x >= ${
    size[1]
  }u);
  for (var out_y = first_y; out_y <= min(y / ${stride[0]}u, ${outHeight - 1}u); out_y++) {
    for (var out_x = first_x; out_x <= min(x / ${stride[1]}u, ${outWidth - 1}u); out_x++) {
      let g = grad_output[${indexOf(gradOutput, ["group.z", "out_y", "out_x"])}];${share}
    }
  }
  ${callStoreGradient(target, { channel: "group.z", y: "y", x: "x", gradient: "sum" }, false)}
}
`;
  return {
    label: `pool2d_backward ${layer.name}`,
    code,
    bindings: [
      bindTensor("grad_output", gradOutput, "read"),
      ...(isMax ? [bindTensor("input", input, "read")] : []),
      ...bindings,
    ],
    workgroups: [A_GROUP, height * width, channels],
  };
}
