/** Input gradient of a convolution whose stride is 1. */

import {
  type Binding,
  bindTensor,
  divisorUpTo,
  imageKernel,
  type Kernel,
  repeat,
} from "../kernel.ts";
import {
  type ChannelGroups,
  channelGroups,
  type ConvolveOperation,
  macsOf,
} from "../operations.ts";
import { type DeviceTensor, indexOf, roundUp } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { type GradientTarget, storeGradient } from "./store_gradient.ts";

/** The buffers of the input gradient kernels. */
export interface InputGradientBuffers {
  /** Gradient of the convolution's maps. */
  readonly gradMaps: DeviceTensor;
  /** `weights`, four output channels in a vec4f. */
  readonly weights: Binding;
  /** The operation before, which gets the input's gradient. */
  readonly target: GradientTarget;
}

/** Rows and columns of the block of pixels that an invocation takes. */
const SIDE = 2;

/** Zeros that {@linkcode conv2dInputGradient} wants around the maps' gradient. */
export function gradientBorder(
  { kernelSize, padding }: Pick<ConvolveOperation, "kernelSize" | "padding">,
): readonly [y: number, x: number] {
  return [
    Math.max(0, kernelSize[0] - 1 - padding[0]),
    Math.max(0, kernelSize[1] - 1 - padding[1]),
  ];
}

/** Equals the reference's `conv2dBackward`, its return value, for a stride of 1.
 *
 * A convolution of the maps' gradient, inside a border of zeros, with the kernels turned around. A
 * workgroup takes a group of images; its y is a block of 2x2 input pixels, its z a block of input
 * channels. An invocation walks output channels, four at a time, and kernel rows; it holds the rows that
 * its pixels share, so that each gradient is read once.
 */
export function conv2dInputGradient(
  operation: ConvolveOperation,
  { gradMaps, weights, target }: InputGradientBuffers,
  tuning: Tuning,
): Kernel {
  const { layer, kernelSize: [kernelHeight, kernelWidth], padding, maps } = operation;
  const [inChannels, height, width] = operation.input;
  const columns = roundUp(maps[0], 4) / 4;
  const { side, inputs } = channelGroups(operation);
  const channels = divisorUpTo(inputs, Math.max(1, tuning.inputGradientSums / SIDE ** 2));
  const [rows, cells] = [Math.ceil(height / SIDE), Math.ceil(width / SIDE)];
  const patchWidth = SIDE - 1 + kernelWidth;
  const taps = Array.from({ length: SIDE ** 2 }, (_, tap) => [Math.floor(tap / SIDE), tap % SIDE]);
  const { code, bindings, call } = storeGradient(target);
  const loadRow = (row: number, offset: string) =>
    repeat(side, (o) =>
      repeat(patchWidth, (x) => {
        const place = o * gradMaps.channelStride + x * gradMaps.columnStride;
        return `d${o}_${row}_${x} = grad_maps[base + ${offset} * ${gradMaps.rowStride}u + ${place}u];`;
      }));
  const sums = repeat(kernelWidth, (j) =>
    repeat(channels, (c) =>
      `{
        let w = ${weightAt(side, `weight + ${(c * kernelHeight * kernelWidth + j) * columns}u`)};
        ${
        taps.map(([dy, dx]) => {
          const d = (o: number) => `w[${o}] * d${o}_${dy}_${dx + kernelWidth - 1 - j}`;
          return repeat(side, (o) => `g${c}_${dy}_${dx} += ${d(o)};`);
        }).join("\n")
      }
      }`));
  return imageKernel({
    label: `conv2d_input_gradient ${layer.name}`,
    functions: code,
    main: `let y = group.y / ${cells}u * ${SIDE}u;
  let x = group.y % ${cells}u * ${SIDE}u;
  let channel = group.z * ${channels}u;
  ${
      repeat(channels, (c) =>
        taps.map(([dy, dx]) => `var g${c}_${dy}_${dx} = Images(0.0);`).join(" "))
    }
  ${
      repeat(side, (o) =>
        repeat(SIDE, (row) => repeat(patchWidth, (x) => `var d${o}_${row}_${x}: Images;`)))
    }
  // Kernel rows, from the last, that meet a row of the maps.
  let first = u32(max(0, ${kernelHeight - 1 - padding[0] - (SIDE - 1)} - i32(y)));
  let end = u32(min(${kernelHeight}, ${maps[1] + kernelHeight - 1 - padding[0]} - i32(y)));
  ${walkOutputs(operation, "channel")} {
    let base = ${
      indexOf(gradMaps, [
        `o * ${side}u`,
        `y + ${padding[0]}u - ${kernelHeight - 1}u`, // wraps around, and back at the border
        `x + ${padding[1]}u - ${kernelWidth - 1}u`,
      ])
    };
    ${repeat(SIDE - 1, (row) => loadRow(row, `(first + ${row}u)`))}
    for (var i = first; i < end; i++) {
      ${loadRow(SIDE - 1, `(i + ${SIDE - 1}u)`)}
      let weight = ((${channelInGroup(operation, "channel")} * ${kernelHeight}u + ${
      kernelHeight - 1
    }u - i) * ${kernelWidth * columns}u) + o${side === 1 ? " / 4u" : ""};
      ${sums}
      ${
      repeat(side, (o) =>
        repeat(SIDE - 1, (row) =>
          repeat(patchWidth, (x) =>
            `d${o}_${row}_${x} = d${o}_${row + 1}_${x};`)))
    }
    }
  }
  ${
      taps.map(([dy, dx]) => {
        const place = { y: `y + ${dy}u`, x: `x + ${dx}u` };
        const store = repeat(channels, (c) => {
          const element = { ...place, channel: `channel + ${c}u`, gradient: `g${c}_${dy}_${dx}` };
          return call(element);
        });
        const inside = [
          ...(dy > 0 && height % SIDE > 0 ? [`${place.y} < ${height}u`] : []),
          ...(dx > 0 && width % SIDE > 0 ? [`${place.x} < ${width}u`] : []),
        ];
        return inside.length === 0 ? store : `if (${inside.join(" && ")}) { ${store} }`;
      }).join("\n")
    }`,
    bindings: [bindTensor("grad_maps", gradMaps, "read"), weights, ...bindings],
    macs: macsOf(operation),
    workgroups: [rows * cells, inChannels / channels],
  }, tuning);
}

/** WGSL of a loop over the output channels of an input channel's group: `o` counts them in steps. */
export function walkOutputs(operation: ConvolveOperation, channel: string): string {
  const { inputs, steps } = channelGroups(operation);
  if (operation.groups === 1) return `for (var o = 0u; o < ${steps}u; o++)`;
  const first = `${channel} / ${inputs}u * ${steps}u`;
  return `for (var o = ${first}; o < ${first} + ${steps}u; o++)`;
}

/** WGSL for an input channel's number in its group. */
export function channelInGroup(operation: ConvolveOperation, channel: string): string {
  return operation.groups === 1 ? channel : `(${channel} % ${channelGroups(operation).inputs}u)`;
}

/** WGSL for the weights of a step, a vec4f or, as its first and only element, the one of `o`. */
export function weightAt(side: ChannelGroups["side"], index: string): string {
  return side === 4 ? `weights[${index}]` : `array<f32, 1>(weights[${index}][o % 4u])`;
}
