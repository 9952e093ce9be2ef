/** Where parameters lie on the device, and the way there and back. */

import type { Parameter } from "../../nn/sequential.ts";
import type { ConvolveOperation, Operation } from "./operations.ts";
import { roundUp } from "./tensors.ts";

/** Tensors start here, because uniform bindings must: 256 bytes. */
const ALIGNMENT = 64;

/** A layer's parameters on the device, in floats.
 *
 * Weights lie as [inChannels][kernelHeight][kernelWidth][outChannels rounded up to 4], so that one
 * vec4f holds the weights of four output channels; what rounding adds is zero and stays zero, since
 * its gradients are.
 */
export interface LayerPlace {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelArea: number;
  /** Output channels, rounded up to 4. */
  readonly columns: number;
  readonly weightOffset: number;
  readonly weightLength: number;
  readonly biasOffset: number;
  /** End of the layer's parameters and start of the next one's. */
  readonly end: number;
}

/** All layers' places, in order, and the length of the whole. */
export interface ParameterLayout {
  readonly places: ReadonlyMap<ConvolveOperation["layer"], LayerPlace>;
  readonly length: number;
}

/** Lays out the parameters of a model's operations. */
export function layParameters(operations: readonly Operation[]): ParameterLayout {
  const places = new Map<ConvolveOperation["layer"], LayerPlace>();
  let offset = 0;
  for (const operation of operations) {
    if (operation.type !== "convolve") continue;
    const { layer: { weight, bias }, kernelSize, input, maps } = operation;
    const columns = roundUp(maps[0], 4);
    const kernelArea = kernelSize[0] * kernelSize[1];
    const weightLength = input[0] * kernelArea * columns;
    const biasOffset = roundUp(offset + weightLength, ALIGNMENT);
    const end = roundUp(biasOffset + columns, ALIGNMENT);
    places.set(operation.layer, {
      weight,
      bias: bias!,
      inChannels: input[0],
      outChannels: maps[0],
      kernelArea,
      columns,
      weightOffset: offset,
      weightLength,
      biasOffset,
      end,
    });
    offset = end;
  }
  return { places, length: offset };
}

/** From PyTorch's layout to the device's. */
export function packParameters(layout: ParameterLayout, flat: Float32Array): Float32Array {
  const packed = new Float32Array(layout.length);
  forEachParameter(layout, (flatIndex, packedIndex) => {
    packed[packedIndex] = flat[flatIndex];
  });
  return packed;
}

/** From the device's layout to PyTorch's. */
export function unpackParameters(
  layout: ParameterLayout,
  packed: Float32Array,
  parameterCount: number,
): Float32Array {
  const flat = new Float32Array(parameterCount);
  forEachParameter(layout, (flatIndex, packedIndex) => {
    flat[flatIndex] = packed[packedIndex];
  });
  return flat;
}

function forEachParameter(
  { places }: ParameterLayout,
  visit: (flatIndex: number, packedIndex: number) => void,
): void {
  for (const place of places.values()) {
    const { weight, bias, inChannels, outChannels, kernelArea, columns } = place;
    const rows = inChannels * kernelArea;
    for (let o = 0; o < outChannels; o++) {
      visit(bias.offset + o, place.biasOffset + o);
      for (let row = 0; row < rows; row++) {
        visit(weight.offset + o * rows + row, place.weightOffset + row * columns + o);
      }
    }
  }
}
