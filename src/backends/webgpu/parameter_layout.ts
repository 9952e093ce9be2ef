/** Where parameters lie on the device, and the way there and back. */

import type { Model, Parameter } from "../../nn/sequential.ts";
import { roundUp } from "./tensors.ts";

/** Tensors start here, because uniform bindings must: 256 bytes. */
const ALIGNMENT = 64;

/** A parameter on the device, in floats.
 *
 * It lies as [everything else][outputs rounded up to 4], such as [inChannels][kernelHeight][kernelWidth]
 * [outChannels], so that one vec4f holds the weights of four output channels; what rounding adds is zero
 * and stays zero, since its gradients are.
 */
export interface ParameterPlace {
  readonly offset: number;
  readonly rows: number;
  /** Outputs, rounded up to 4. */
  readonly columns: number;
  /** Where the next one starts. */
  readonly end: number;
}

/** All parameters' places, in order, and the length of the whole. */
export interface ParameterLayout {
  readonly places: ReadonlyMap<Parameter, ParameterPlace>;
  readonly length: number;
}

/** Lays out the parameters of a model. */
export function layParameters({ parameters }: Model): ParameterLayout {
  const places = new Map<Parameter, ParameterPlace>();
  let offset = 0;
  for (const parameter of parameters) {
    const rows = parameter.size / parameter.shape[0];
    const columns = roundUp(parameter.shape[0], 4);
    const end = roundUp(offset + rows * columns, ALIGNMENT);
    places.set(parameter, { offset, rows, columns, end });
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
  for (const [parameter, { offset, rows, columns }] of places) {
    for (let o = 0; o < parameter.shape[0]; o++) {
      for (let row = 0; row < rows; row++) {
        visit(parameter.offset + o * rows + row, offset + row * columns + o);
      }
    }
  }
}
