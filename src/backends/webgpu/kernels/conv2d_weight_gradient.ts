/** Weight and bias gradients of a convolution: partial sums of a group of images. */

import {
  bindArray,
  bindTensor,
  divisorUpTo,
  imageKernel,
  type Kernel,
  range,
  repeat,
} from "../kernel.ts";
import { channelGroups, type ConvolveOperation, macsOf } from "../operations.ts";
import { type DeviceTensor, indexOf, roundUp } from "../tensors.ts";
import { MOST_ROUNDS, type Tuning } from "../tuning.ts";

/** The tensors of a layer's weight gradient, and where its sums go. */
export interface WeightGradientStage {
  readonly operation: ConvolveOperation;
  readonly input: DeviceTensor;
  /** Gradient of the layer's outputs, before activation and pooling. */
  readonly gradMaps: DeviceTensor;
  readonly place: PartialsPlace;
}

/** Where a layer's partial sums lie, in floats: copies of the layer's parameters. */
export interface PartialsPlace {
  readonly buffer: GPUBuffer;
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
  const { side, steps, inputs } = channelGroups(operation);
  const most = tuning.weightGradientSums;
  const kernelRows = divisorUpTo(kernelSize[0], Math.max(1, most / (4 * kernelSize[1])));
  const vectors = divisorUpTo(steps, Math.max(1, most / (4 * kernelSize[1] * kernelRows)));
  const outChannels = side === 1 ? 1 : groups === 1 && vectors === steps ? maps[0] : 4 * vectors;
  const perRow = Math.ceil(maps[0] / outChannels) * kernelSize[0] / kernelRows * inputs;
  const mostRows = Math.min(
    tuning.weightGradientRows,
    Math.floor(MOST_ROUNDS / (maps[2] + 1)),
    Math.ceil(maps[1] * perRow / tuning.weightGradientWorkgroups),
  );
  const rows = Math.max(1, Math.min(mostRows, maps[1]));
  const rowSplits = Math.ceil(maps[1] / rows);
  return { outChannels, kernelRows, rows: Math.ceil(maps[1] / rowSplits), rowSplits };
}

/** Floats of workgroup memory, at most. */
const MOST_SHARED = 256;

/** WGSL that adds up values over a workgroup's invocations, some at a time.
 *
 * @param store WGSL that stores `sum`, from WGSL of the number of its value.
 */
function addInvocations(
  values: readonly string[],
  invocations: number,
  store: (k: string) => string,
): string {
  const most = Math.floor(MOST_SHARED / invocations);
  // Invocations that share a value's sum, and lanes that each of them adds up first.
  const sharing = Math.max(1, Math.floor(invocations / most));
  return repeat(Math.ceil(values.length / most), (round) => {
    const part = values.slice(round * most, (round + 1) * most);
    const share = sharing === 1 ? "" : `if (local.x < ${part.length * sharing}u) {
    let place = local.x / ${sharing}u * ${invocations}u + local.x % ${sharing}u;
    var sum = 0.0;
    for (var lane = 0u; lane < ${invocations}u; lane += ${sharing}u) { sum += sums[place + lane]; }
    sums[place] = sum;
  }
  workgroupBarrier();`;
    return `${round > 0 ? "workgroupBarrier();" : ""}
  ${part.map((value, k) => `sums[${k * invocations}u + local.x] = ${value};`).join("\n")}
  workgroupBarrier();
  ${share}
  for (var k = local.x; k < ${part.length}u; k += ${invocations}u) {
    var sum = 0.0;
    for (var lane = 0u; lane < ${sharing === 1 ? invocations : sharing}u; lane++) {
      sum += sums[k * ${invocations}u + lane];
    }
    ${store(`(k + ${round * most}u)`)}
  }`;
  });
}

/** Equals the reference's `conv2dBackward`, the sums it adds to `gradients`, once added up.
 *
 * A workgroup takes a group of images and a range of output rows; its y is an input channel, a range of
 * kernel rows and a block of output channels. An invocation walks the outputs, keeping the inputs under
 * a window while it moves, so that an output costs a load for each channel and kernel row. Then the
 * workgroup adds its invocations' sums, in a fixed order, so that a run repeats bit for bit: some at a
 * time, since compilers take long over large arrays of workgroup memory.
 */
export function conv2dWeightGradient(
  { operation, input, gradMaps, place }: WeightGradientStage,
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
  const invocations = tuning.invocations;
  const sums = range(kernelRows).flatMap((i) =>
    range(kernelWidth).flatMap((j) => range(outChannels).map((o) => `s${o}_${i}_${j}`))
  );
  const count = sums.length;
  const values = [...sums, ...(hasBias ? range(outChannels).map((o) => `b${o}`) : [])];
  // Neighbouring outputs that are taken at once, so that all their loads are under way together.
  const neighbours = divisorUpTo(maps[2], tuning.columnsAtOnce);
  const columnOf = (n: number, j: number) => n * stride[1] + j;
  const needed = new Set(
    range(neighbours).flatMap((n) => range(kernelWidth).map((j) => columnOf(n, j))),
  );
  const loadColumns = (isWanted: (column: number) => boolean) =>
    repeat(
      kernelRows,
      (i) =>
        [...needed].filter(isWanted).map((x) =>
          `p${i}_${x} = input[base + ${i * input.rowStride + x * input.columnStride}u];`
        ).join("\n"),
    );
  const loadGradient = (o: number, n: number) =>
    `let d${o}_${n} = grad_maps[place + ${
      o * gradMaps.channelStride + n * gradMaps.columnStride
    }u];`;
  const main = `let block = group.y % ${blocks}u * ${pitchOut}u;
  let kernel_y = group.y / ${blocks}u % ${kernelBlocks}u * ${kernelRows}u;
  let c = group.y / ${blocks * kernelBlocks}u;
  ${values.map((value) => `var ${value} = Images(0.0);`).join("\n")}
  ${repeat(kernelRows, (i) => [...needed].map((x) => `var p${i}_${x}: Images;`).join("\n"))}
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
    ${loadColumns((x) => x < held)}
    for (var x = 0u; x < ${maps[2]}u; x += ${neighbours}u) {
      ${loadColumns((x) => x >= held)}
      ${
    neighbours > 1 ? repeat(neighbours, (n) => repeat(outChannels, (o) => loadGradient(o, n))) : ""
  }
      ${
    repeat(neighbours, (n) =>
      repeat(outChannels, (o) =>
        `{
        ${neighbours > 1 ? "" : loadGradient(o, n)}
        ${hasBias ? `b${o} += d${o}_${n};` : ""}
        ${
          repeat(kernelRows, (i) =>
            repeat(kernelWidth, (j) =>
              `s${o}_${i}_${j} += d${o}_${n} * p${i}_${columnOf(n, j)};`))
        }
      }`))
  }
      ${
    repeat(kernelRows, (i) => repeat(held, (j) => `p${i}_${j} = p${i}_${columnOf(neighbours, j)};`))
  }
      base += ${neighbours * stride[1] * input.columnStride}u;
      place += ${neighbours * gradMaps.columnStride}u;
    }
  }
  let copy = ${place.start}u + (group.x * ${rowSplits}u + group.z) * ${place.stride}u + block;
  let row = (c * ${kernelHeight}u + kernel_y) * ${kernelWidth}u;
  let has_bias = c == 0u && kernel_y == 0u;
  ${
    addInvocations(values.map((value) => `total(${value})`), invocations, (k) =>
      `if (${k} < ${count}u) {
      partials[copy + (row + ${k} / ${outChannels}u) * ${columns}u + ${k} % ${outChannels}u] = sum;
    } ${
        hasBias
          ? `else if (has_bias) { partials[copy + ${place.bias}u + ${k} - ${count}u] = sum; }`
          : ""
      }`)
  }`;
  return imageKernel({
    label: `conv2d_weight_gradient ${layer.name}`,
    functions: `var<workgroup> sums: array<f32, ${MOST_SHARED}>;`,
    main,
    bindings: [
      bindTensor("input", input, "read"),
      bindTensor("grad_maps", gradMaps, "read"),
      bindArray("partials", place.buffer, "f32", "write"),
    ],
    macs: macsOf(operation),
    workgroups: [blocks * kernelBlocks * inputs, rowSplits],
  }, tuning);
}
