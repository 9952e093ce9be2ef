/** Weight and bias gradients of a convolution: partial sums of a group of images. */

import {
  A_GROUP,
  bindTensor,
  divisorUpTo,
  entryPoint,
  imagesWgsl,
  type Kernel,
  MOST_ROUNDS,
  repeat,
} from "../kernel.ts";
import { channelGroups, type ConvolveOperation } from "../operations.ts";
import { indexOf, roundUp, type Tensor } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";

/** The buffers of the weight gradient kernels, and where their sums go. */
export interface WeightGradientBuffers {
  readonly input: Tensor;
  /** Gradient of the convolution's maps. */
  readonly gradMaps: Tensor;
  readonly partials: GPUBuffer;
  readonly place: PartialsPlace;
}

/** Where a layer's partial sums lie, in floats: `splits` copies of the layer's parameters. */
export interface PartialsPlace {
  readonly start: number;
  /** Distance between copies. */
  readonly stride: number;
  /** The bias within a copy, if there is one; the weights come first. */
  readonly bias: number;
}

/** How a convolution's weight gradient is cut. */
export interface WeightGradientTiles {
  readonly outChannels: number;
  readonly kernelRows: number;
  readonly rows: number;
  /** Ranges of output rows; each gives copies of its own. */
  readonly rowSplits: number;
}

/** Chooses the tiles of a convolution. */
export function weightGradientTiles(
  operation: ConvolveOperation,
  tuning: Tuning,
): WeightGradientTiles {
  const { kernelSize, maps, groups } = operation;
  const { side, steps } = channelGroups(operation);
  // 16 KiB of workgroup memory hold every invocation's sums; a device has at least that.
  const most = Math.min(tuning.weightGradientSums, 4096 / (tuning.invocations + 1) - 8);
  const kernelRows = divisorUpTo(kernelSize[0], Math.max(1, most / (4 * kernelSize[1])));
  const vectors = divisorUpTo(steps, Math.max(1, most / (4 * kernelSize[1] * kernelRows)));
  const outChannels = side === 1 ? 1 : groups === 1 && vectors === steps ? maps[0] : 4 * vectors;
  const mostRows = Math.min(tuning.weightGradientRows, Math.floor(MOST_ROUNDS / (maps[2] + 1)));
  const rowSplits = Math.ceil(maps[1] / Math.max(1, mostRows));
  return { outChannels, kernelRows, rows: Math.ceil(maps[1] / rowSplits), rowSplits };
}

/** Equals the reference's `conv2dBackward`, the sums it adds to `gradients`, once added up.
 *
 * A workgroup takes a group of images and a range of output rows; its y is an input channel, a range of
 * kernel rows and a block of output channels. An invocation walks the outputs, keeping the inputs under
 * a window while it moves, so that an output costs a load for each channel and kernel row. Then the
 * workgroup adds its invocations' sums, in order, so that a run repeats bit for bit.
 */
export function conv2dWeightGradient(
  operation: ConvolveOperation,
  { input, gradMaps, partials, place }: WeightGradientBuffers,
  tuning: Tuning,
): Kernel {
  const { layer, padding, kernelSize: [kernelHeight, kernelWidth], stride, maps } = operation;
  const { outChannels, kernelRows, rows, rowSplits } = weightGradientTiles(operation, tuning);
  const columns = roundUp(maps[0], 4);
  const { side, inputs, outputs } = channelGroups(operation);
  const pitchOut = roundUp(outChannels, side);
  const blocks = Math.ceil(maps[0] / pitchOut);
  const hasBias = layer.bias !== undefined;
  const kernelBlocks = kernelHeight / kernelRows;
  const held = Math.max(0, kernelWidth - stride[1]);
  const count = outChannels * kernelRows * kernelWidth;
  const invocations = tuning.invocations;
  const pitch = invocations + 1; // so that neighbours adding up read different banks
  const each = (line: (o: number, i: number, j: number) => string) =>
    repeat(
      kernelRows,
      (i) => repeat(kernelWidth, (j) => repeat(outChannels, (o) => line(o, i, j))),
    );
  const load = (i: number, j: number) =>
    `p${i}_${j} = input[base + ${i * input.rowStride + j * input.columnStride}u];`;
  const code = `${imagesWgsl(tuning)}
var<workgroup> sums: array<f32, ${(count + outChannels) * pitch}>;
${entryPoint(tuning)}
  let block = group.y % ${blocks}u * ${pitchOut}u;
  let kernel_y = group.y / ${blocks}u % ${kernelBlocks}u * ${kernelRows}u;
  let c = group.y / ${blocks * kernelBlocks}u;
  ${each((o, i, j) => `var s${o}_${i}_${j} = Images(0.0);`)}
  ${hasBias ? repeat(outChannels, (o) => `var b${o} = Images(0.0);`) : ""}
  ${repeat(kernelRows, (i) => repeat(kernelWidth, (j) => `var p${i}_${j}: Images;`))}
  let end = min((group.z + 1u) * ${rows}u, ${maps[1]}u);
  for (var y = group.z * ${rows}u; y < end; y++) {
    var base = ${
    indexOf(input, [
      operation.groups === 1 ? "c" : `block / ${outputs}u * ${inputs}u + c`,
      `y * ${stride[0]}u + kernel_y - ${padding[0]}u`,
      `0u - ${padding[1]}u`,
    ])
  };
    var place = ${indexOf(gradMaps, ["block", "y", "0u"])};
    ${repeat(kernelRows, (i) => repeat(held, (j) => load(i, j)))}
    for (var x = 0u; x < ${maps[2]}u; x++) {
      ${repeat(kernelRows, (i) => repeat(kernelWidth - held, (j) => load(i, held + j)))}
      ${
    repeat(outChannels, (o) =>
      `{
        let d = grad_maps[place + ${o * gradMaps.channelStride}u];
        ${hasBias ? `b${o} += d;` : ""}
        ${
        repeat(kernelRows, (i) => repeat(kernelWidth, (j) => `s${o}_${i}_${j} += d * p${i}_${j};`))
      }
      }`)
  }
      ${repeat(kernelRows, (i) => repeat(held, (j) => `p${i}_${j} = p${i}_${j + stride[1]};`))}
      base += ${stride[1] * input.columnStride}u;
      place += ${gradMaps.columnStride}u;
    }
  }
  ${
    each((o, i, j) =>
      `sums[${((i * kernelWidth + j) * outChannels + o) * pitch}u + local.x] = ` +
      `total(s${o}_${i}_${j});`
    )
  }
  ${
    hasBias
      ? repeat(outChannels, (o) => `sums[${(count + o) * pitch}u + local.x] = total(b${o});`)
      : ""
  }
  workgroupBarrier();
  let copy = ${place.start}u + (group.x * ${rowSplits}u + group.z) * ${place.stride}u + block;
  let row = (c * ${kernelHeight}u + kernel_y) * ${kernelWidth}u;
  let has_bias = c == 0u && kernel_y == 0u;
  for (var k = local.x; k < ${hasBias ? count + outChannels : count}u; k += ${invocations}u) {
    var sum = 0.0;
    for (var lane = 0u; lane < ${invocations}u; lane++) { sum += sums[k * ${pitch}u + lane]; }
    if (k < ${count}u) {
      partials[copy + (row + k / ${outChannels}u) * ${columns}u + k % ${outChannels}u] = sum;
    } ${
    hasBias ? `else if (has_bias) { partials[copy + ${place.bias}u + k - ${count}u] = sum; }` : ""
  }
  }
}
`;
  return {
    label: `conv2d_weight_gradient ${layer.name}`,
    code,
    bindings: [
      bindTensor("input", input, "read"),
      bindTensor("grad_maps", gradMaps, "read"),
      { name: "partials", type: "array<f32>", access: "write", buffer: partials },
    ],
    workgroups: [A_GROUP, blocks * kernelBlocks * inputs, rowSplits],
  };
}
