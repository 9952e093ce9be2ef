/** Pooling: joined to a convolution, or on its own where it comes first or its windows overlap. */

import type { Pool2dLayer } from "../../../nn/layers/pool2d.ts";
import { bindTensor, imageKernel } from "../kernel.ts";
import { storeGradient } from "../kernels/store_gradient.ts";
import type { ConvolveOperation, LayerPlan, PoolOperation, Window } from "../operations.ts";
import { indexOf } from "../tensors.ts";
import type { OperationKernels } from "./layer.ts";

/** Largest window whose elements an invocation can hold at once. */
const LARGEST_JOINED_WINDOW = 16;

/** See `avgPool2d` and `maxPool2d` of the reference. */
export const pool2d: LayerPlan<Pool2dLayer> = {
  operation(layer, base) {
    const window = windowOf(layer);
    // A mean counts the zeros around its input; a maximum takes none.
    const padding = window.type === "avgPool2d" ? layer.padding : base.padding;
    const rounds = 2 * window.size[0] * window.size[1];
    return { ...base, type: "pool", layer, window, padding, rounds };
  },
  join(layer, before) {
    if (before.type !== "convolve" || before.pool.type !== "none") return undefined;
    const pool = windowOf(layer);
    const isPadded = layer.padding.some((width) => width > 0);
    return !isPadded && canJoin(before, pool)
      ? { ...before, pool, output: layer.outputShape }
      : undefined;
  },
};

function windowOf({ type, poolSize: size, stride }: Pool2dLayer): Window {
  return { type: type === "maxPool2d" ? type : "avgPool2d", size, stride };
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
    const { layer, window: { type, size }, output: [channels, height, width] } = operation;
    const isMax = type === "maxPool2d";
    const main = `let out_y = group.y / ${width}u;
  let out_x = group.y % ${width}u;
  ${windowWgsl(operation)}
  let place = ${indexOf(input, ["group.z", "0u", "0u"])};
  var result = ${
      isMax
        ? `input[place + top * ${input.rowStride}u + left * ${input.columnStride}u]`
        : "Images(0.0)"
    };
  for (var y = top; y != bottom; y++) {
    for (var x = left; x != right; x++) {
      let value = input[place + y * ${input.rowStride}u + x * ${input.columnStride}u];
      result ${isMax ? "= larger(result, value)" : "+= value"};
    }
  }
  output[${indexOf(output, ["group.z", "out_y", "out_x"])}] = result${
      isMax ? "" : ` * ${1 / (size[0] * size[1])}`
    };`;
    return [imageKernel({
      label: `pool2d_forward ${layer.name}`,
      main,
      bindings: [bindTensor("input", input, "read"), bindTensor("output", output, "write")],
      workgroups: [height * width, channels],
    }, tuning)];
  },

  /** An invocation computes one pixel's gradient: it visits the windows that hold the pixel, in order,
   * and for a maximum finds again whose it was.
   */
  backward({ operation, inputs: [input], target }, [before], { tuning }) {
    const { gradient: gradOutput } = target!;
    const { layer, window: { type, size, stride } } = operation;
    const [channels, height, width] = operation.input;
    const [, outHeight, outWidth] = operation.output;
    const [aboveY, leftX] = layer.padding;
    const { code: storeCode, bindings, call } = storeGradient(before!);
    const isMax = type === "maxPool2d";
    const share = isMax
      ? `
      ${windowWgsl(operation)}
      var largest = input[place + top * ${input.rowStride}u + left * ${input.columnStride}u];
      var first = Images(f32(top * ${width}u + left));
      for (var i = top; i != bottom; i++) {
        for (var j = left; j != right; j++) {
          let value = input[place + i * ${input.rowStride}u + j * ${input.columnStride}u];
          first = select(first, Images(f32(i * ${width}u + j)), exceeds(value, largest));
          largest = larger(largest, value);
        }
      }
      sum += select(Images(0.0), g, first == Images(f32(group.y)));`
      : `
      sum += g * ${1 / (size[0] * size[1])};`;
    const firstOf = (place: string, axis: 0 | 1) =>
      `select(0u, (${place} - ${size[axis] - 1}u + ${stride[axis] - 1}u) / ${stride[axis]}u, ` +
      `${place} >= ${size[axis]}u)`;
    const main = `let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let padded_y = y + ${aboveY}u;
  let padded_x = x + ${leftX}u;
  var sum = Images(0.0);
  ${isMax ? `let place = ${indexOf(input, ["group.z", "0u", "0u"])};` : ""}
  let first_y = ${firstOf("padded_y", 0)};
  let first_x = ${firstOf("padded_x", 1)};
  for (var out_y = first_y; out_y <= min(padded_y / ${stride[0]}u, ${outHeight - 1}u); out_y++) {
    for (var out_x = first_x; out_x <= min(padded_x / ${stride[1]}u, ${outWidth - 1}u); out_x++) {
      let g = grad_output[${indexOf(gradOutput, ["group.z", "out_y", "out_x"])}];${share}
    }
  }
  ${call({ channel: "group.z", y: "y", x: "x", gradient: "sum" })}`;
    return [imageKernel({
      label: `pool2d_backward ${layer.name}`,
      functions: storeCode,
      main,
      bindings: [
        bindTensor("grad_output", gradOutput, "read"),
        ...(isMax ? [bindTensor("input", input, "read")] : []),
        ...bindings,
      ],
      workgroups: [height * width, channels],
    }, tuning)];
  },
};

/** WGSL for the rows and columns of window `out_y`, `out_x`: of a maximum's only those within the input;
 * of a mean's also the zeros around it, so that they wrap around, and back at the border. */
function windowWgsl({ input, layer: { padding }, window: { type, size, stride } }: PoolOperation) {
  const lines = (["y", "x"] as const).map((axis, n) => {
    const [start, end] = n === 0 ? ["top", "bottom"] : ["left", "right"];
    const first = `out_${axis} * ${stride[n]}u`;
    if (type === "avgPool2d" || padding[n] === 0) {
      return `let ${start} = ${first} - ${padding[n]}u; let ${end} = ${start} + ${size[n]}u;`;
    }
    return `let ${start} = max(${first}, ${padding[n]}u) - ${padding[n]}u;
  let ${end} = min(${first} + ${size[n]}u - ${padding[n]}u, ${input[n + 1]}u);`;
  });
  return lines.join("\n  ");
}
