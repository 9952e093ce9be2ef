/** Convolution, activation and pooling, forward; a linear layer is a 1x1 convolution of one pixel. */

import {
  type Binding,
  bindTensor,
  divisorUpTo,
  imageKernel,
  type Kernel,
  repeat,
} from "../kernel.ts";
import { channelGroups, type ConvolveOperation, macsOf } from "../operations.ts";
import { type DeviceTensor, indexOf, roundUp } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { activate } from "./activation.ts";
import { runningWgsl } from "./batch_norm.ts";

/** The buffers of {@linkcode conv2dPoolForward}. */
export interface ForwardBuffers {
  readonly input: DeviceTensor;
  /** The activation's output before pooling, where training needs it. */
  readonly activated?: DeviceTensor;
  readonly output: DeviceTensor;
  /** `weights` and, if it has any, `biases`, four output channels in a vec4f; of a batch norm that is
   * joined to it `scales`, `shifts` and `statistics`. */
  readonly parameters: readonly Binding[];
}

/** Equals the reference's `conv2dForward` or `linearForward`, `activationForward`, `pool2dForward`.
 *
 * A workgroup takes a group of images; its y is a pooling window, its z a block of output channels. An
 * invocation keeps the sums of a block for every element of the window, and walks input channels and
 * kernel rows, one or some at a time; it holds the rows that the window's elements share, so that each input
 * is read once.
 */
export function conv2dPoolForward(
  operation: ConvolveOperation,
  { input, activated, output, parameters }: ForwardBuffers,
  tuning: Tuning,
): Kernel {
  const { kernelSize: [kernelHeight, kernelWidth], stride: [strideY, strideX], pool } = operation;
  const { layer, padding, maps: [outChannels], activation, norm } = operation;
  const [poolHeight, poolWidth] = pool.size;
  const area = poolHeight * poolWidth;
  const columns = roundUp(outChannels, 4) / 4;
  const { side, steps, inputs, outputs } = channelGroups(operation);
  const vectors = side === 1 ? 1 : divisorUpTo(steps, Math.max(1, tuning.forwardSums / (4 * area)));
  const blocks = Math.ceil(outChannels / (side * vectors));
  const channels = blocks === 1 ? outChannels : side * vectors; // computes no rounded-up channel if alone
  const part = (o: number) => side === 1 ? "channel % 4u" : `${o & 3}`;
  const heldRows = (poolHeight - 1) * strideY + 1;
  const patchWidth = (poolWidth - 1) * strideX + kernelWidth;
  const maps = pool.type === "none" ? undefined : activated;
  // Kernel rows that are taken at once.
  const rows = divisorUpTo(kernelHeight, Math.max(1, tuning.forwardLoads / patchWidth));
  const sum = (o: number, tap: number) => `s${o}_${tap}`;
  const each = (line: (o: number, tap: number) => string) =>
    repeat(channels, (o) => repeat(area, (tap) => line(o, tap)));
  const loadRow = (row: number, rowOffset: string) =>
    repeat(
      patchWidth,
      (x) => `r${row}_${x} = input[base + ${rowOffset} + ${x * input.columnStride}u];`,
    );
  const walkKernel = rows === kernelHeight
    ? "let i = 0u;"
    : `for (var i = 0u; i < ${kernelHeight}u; i += ${rows}u)`;
  const main = `let out_y = group.y / ${output.width}u;
  let out_x = group.y % ${output.width}u;
  let channel = group.z * ${side * vectors}u;
  let block = channel / 4u;
  ${
    repeat(
      Math.ceil(channels / 4),
      (v) => `let b${v} = ${layer.bias ? `biases[block + ${v}u]` : "vec4f()"};`,
    )
  }
  ${each((o, tap) => `var ${sum(o, tap)} = Images(b${o >> 2}[${part(o)}]);`)}
  ${repeat(heldRows + rows - 1, (row) => repeat(patchWidth, (x) => `var r${row}_${x}: Images;`))}
  var base = ${
    indexOf(input, [
      operation.groups === 1 ? "0u" : `channel / ${outputs}u * ${inputs}u`,
      `out_y * ${pool.stride[0] * strideY}u - ${padding[0]}u`, // wraps around, and back at the border
      `out_x * ${pool.stride[1] * strideX}u - ${padding[1]}u`,
    ])
  };
  var weight = block;
  for (var c = 0u; c < ${inputs}u; c++) {
    ${repeat(heldRows - 1, (row) => loadRow(row, `${row * input.rowStride}u`))}
    ${walkKernel} {
      ${
    repeat(
      rows,
      (i) => loadRow(heldRows - 1 + i, `(i + ${heldRows - 1 + i}u) * ${input.rowStride}u`),
    )
  }
      ${
    repeat(rows * kernelWidth, (tap) =>
      repeat(Math.ceil(channels / 4), (v) =>
        `{
        let w = weights[weight + ${tap * columns + v}u];
        ${
          repeat(Math.min(4, channels - 4 * v), (o) =>
            repeat(area, (place) => {
              const row = Math.floor(place / poolWidth) * strideY + Math.floor(tap / kernelWidth);
              const x = (place % poolWidth) * strideX + tap % kernelWidth;
              return `${sum(4 * v + o, place)} += w[${part(o)}] * r${row}_${x};`;
            }))
        }
      }`))
  }
      weight += ${rows * kernelWidth * columns}u;
      ${
    repeat(
      heldRows - 1,
      (row) => repeat(patchWidth, (x) => `r${row}_${x} = r${row + rows}_${x};`),
    )
  }
    }
    base += ${input.channelStride}u;
  }
  ${
    norm === undefined ? "" : repeat(channels, (o) =>
      `{
    let place = channel + ${o}u;
    ${runningWgsl(norm, "place")}
    ${repeat(area, (tap) => `${sum(o, tap)} = (${sum(o, tap)} - mean) * scale + shift;`)}
  }`)
  }
  ${each((o, tap) => `let y${o}_${tap} = ${activate(activation, sum(o, tap))};`)}
  ${
    maps === undefined ? "" : each((o, tap) => {
      const y = `out_y * ${pool.stride[0]}u + ${Math.floor(tap / poolWidth)}u`;
      const x = `out_x * ${pool.stride[1]}u + ${tap % poolWidth}u`;
      return `activated[${indexOf(maps, [`channel + ${o}u`, y, x])}] = y${o}_${tap};`;
    })
  }
  ${
    repeat(channels, (o) => {
      const values = Array.from({ length: area }, (_, tap) => `y${o}_${tap}`);
      return `output[${indexOf(output, [`channel + ${o}u`, "out_y", "out_x"])}] = ${
        pooled(pool.type, values)
      };`;
    })
  }`;
  return imageKernel({
    label: `conv2d_pool_forward ${layer.name}`,
    main,
    bindings: [
      bindTensor("input", input, "read"),
      ...parameters,
      ...(maps === undefined ? [] : [bindTensor("activated", maps, "write")]),
      bindTensor("output", output, "write"),
    ],
    macs: macsOf(operation),
    workgroups: [output.height * output.width, blocks],
  }, tuning);
}

/** WGSL for a window's mean or maximum. */
function pooled(
  type: ConvolveOperation["pool"]["type"],
  values: readonly string[],
): string {
  if (type === "avgPool2d") return `(${values.join(" + ")}) * ${1 / values.length}`;
  return values.reduce((largest, value) => `larger(${largest}, ${value})`);
}
