/** Pooling: joined to a convolution, or on its own where it comes first or its windows overlap. */

import type { Pool2dLayer } from "../../../nn/layers/pool2d.ts";
import { A_GROUP, bindTensor, entryPoint, imagesWgsl } from "../kernel.ts";
import { callStoreGradient, storeGradient } from "../kernels/store_gradient.ts";
import type { ConvolveOperation, LayerPlan, PoolOperation, Window } from "../operations.ts";
import { indexOf } from "../tensors.ts";
import type { OperationKernels } from "./layer.ts";

/** Largest window whose elements an invocation can hold at once. */
const LARGEST_JOINED_WINDOW = 16;

/** See `avgPool2d` and `maxPool2d` of the reference. */
export const pool2d: LayerPlan<Pool2dLayer> = {
  operation: (layer, base) => ({ ...base, type: "pool", window: windowOf(layer) }),
  join(layer, before) {
    if (before.type !== "convolve" || before.pool.type !== "none") return undefined;
    const pool = windowOf(layer);
    return canJoin(before, pool) ? { ...before, pool, output: layer.outputShape } : undefined;
  },
};

function windowOf({ type, poolSize: size, stride }: Pool2dLayer): Window {
  return { type, size, stride };
}

/** Whether no element is in two windows, and an invocation can hold what a window needs. */
function canJoin(
  { stride, kernelSize }: ConvolveOperation,
  { size, stride: step }: Window,
): boolean {
  const apart = step[0] >= size[0] && step[1] >= size[1];
  const heldRows = (size[0] - 1) * stride[0] + 1;
  const patchWidth = (size[1] - 1) * stride[1] + kernelSize[1];
  return apart && size[0] * size[1] <= LARGEST_JOINED_WINDOW && heldRows * patchWidth <= 64;
}

/** Pooling by itself. */
export const pool: OperationKernels<PoolOperation> = {
  /** An invocation computes one output of its images. */
  forward({ operation, inputs: [input], output }, { tuning }) {
    const { layer, window: { type, size, stride }, output: [channels, height, width] } = operation;
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
  },

  /** An invocation computes one pixel's gradient: it visits the windows that hold the pixel, in order,
   * and for a maximum finds again whose it was.
   */
  inputGradient({ operation, inputs: [input], target }, [before], { tuning }) {
    const { gradient: gradOutput } = target;
    const { layer, window: { type, size, stride } } = operation;
    const [channels, height, width] = operation.input;
    const [, outHeight, outWidth] = operation.output;
    const { code: storeCode, bindings } = storeGradient(before!);
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
  ${callStoreGradient(before!, { channel: "group.z", y: "y", x: "x", gradient: "sum" }, false)}
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
  },
};
