import type { backend_util, TensorInfo } from "npm:@tensorflow/tfjs-core@4.22.0";

/** How a window slides along one spatial axis: output `o` reads `o * stride + tap * dilation - padBefore`. */
export interface WindowAxis {
  inSize: number;
  outSize: number;
  filterSize: number;
  stride: number;
  dilation: number;
  /** Negative where the first inputs are skipped. */
  padBefore: number;
}

/** The rows and columns of a 2D convolution or pooling, as TensorFlow.js sizes them. */
export function rowsAndColumns(
  opName: string,
  info: backend_util.Conv2DInfo,
): [WindowAxis, WindowAxis] {
  const rows = {
    inSize: info.inHeight,
    outSize: info.outHeight,
    filterSize: info.filterHeight,
    stride: info.strideHeight,
    dilation: info.dilationHeight,
    padBefore: info.padInfo.top,
  };
  const columns = {
    inSize: info.inWidth,
    outSize: info.outWidth,
    filterSize: info.filterWidth,
    stride: info.strideWidth,
    dilation: info.dilationWidth,
    padBefore: info.padInfo.left,
  };
  return [checkAxis(opName, "rows", rows), checkAxis(opName, "columns", columns)];
}

/** The depth, rows and columns of a 3D pooling. */
export function depthRowsAndColumns(
  opName: string,
  info: backend_util.Conv3DInfo,
): [WindowAxis, WindowAxis, WindowAxis] {
  const depth = {
    inSize: info.inDepth,
    outSize: info.outDepth,
    filterSize: info.filterDepth,
    stride: info.strideDepth,
    dilation: info.dilationDepth,
    padBefore: info.padInfo.front,
  };
  const [rows, columns] = rowsAndColumns(opName, info as unknown as backend_util.Conv2DInfo);
  return [checkAxis(opName, "depth", depth), rows, columns];
}

/** The axis of a single position, which makes a 2D window a 3D one. */
export const SINGLE_POSITION: WindowAxis = {
  inSize: 1,
  outSize: 1,
  filterSize: 1,
  stride: 1,
  dilation: 1,
  padBefore: 0,
};

/** How far the last window reaches past the input; negative where the last inputs go unread. */
export function padAfter(axis: WindowAxis): number {
  const lastStart = (axis.outSize - 1) * axis.stride - axis.padBefore;
  return lastStart + (axis.filterSize - 1) * axis.dilation + 1 - axis.inSize;
}

/** First input index of each window, clamped to the input; dilation is 1. */
export function windowStarts(axis: WindowAxis): Int32Array {
  return Int32Array.from({ length: axis.outSize }, (_, o) => {
    return Math.min(axis.inSize, Math.max(0, o * axis.stride - axis.padBefore));
  });
}

/** One past the last input index of each window, clamped to the input; dilation is 1. */
export function windowEnds(axis: WindowAxis): Int32Array {
  return Int32Array.from({ length: axis.outSize }, (_, o) => {
    const end = o * axis.stride - axis.padBefore + axis.filterSize;
    return Math.min(axis.inSize, Math.max(0, end));
  });
}

/** Refuses a tensor that is not float32. */
export function requireFloat32(opName: string, tensors: Record<string, TensorInfo>): void {
  for (const [name, { dtype }] of Object.entries(tensors)) {
    if (dtype !== "float32") {
      throw new TypeError(
        `Cannot run ${opName} on the wasm backend as ${name} must be float32: found ${dtype}`,
      );
    }
  }
}

/** Refuses every data format but NHWC. */
export function requireChannelsLast(opName: string, dataFormat: string | undefined): void {
  if (dataFormat !== undefined && dataFormat !== "NHWC" && dataFormat !== "NDHWC") {
    throw new RangeError(
      `Cannot run ${opName} on the wasm backend as dataFormat must be NHWC: found ${dataFormat}`,
    );
  }
}

/** Refuses a dilated gradient, which TensorFlow.js defines on no backend. */
export function requireNoDilation(opName: string, axes: WindowAxis[]): void {
  const dilations = axes.map((axis) => axis.dilation);
  if (dilations.some((dilation) => dilation !== 1)) {
    throw new RangeError(
      `Cannot run ${opName} on the wasm backend as dilations must be 1: found [${dilations}]`,
    );
  }
}

function checkAxis(opName: string, name: string, axis: WindowAxis): WindowAxis {
  for (const [field, value] of Object.entries(axis)) {
    if (!Number.isInteger(value)) {
      throw new RangeError(
        `Cannot run ${opName} as ${field} of the ${name} must be an integer: found ${value}`,
      );
    }
  }
  if (axis.filterSize < 1 || axis.stride < 1 || axis.dilation < 1) {
    throw new RangeError(
      `Cannot run ${opName} as filter size, stride and dilation of the ${name} must be at least ` +
        `1: found ${axis.filterSize}, ${axis.stride} and ${axis.dilation}`,
    );
  }
  if (axis.outSize < 0) {
    throw new RangeError(
      `Cannot run ${opName} as the window must fit the padded input: found ${name} of ` +
        `${axis.inSize} padded by ${axis.padBefore} for a window of ` +
        `${(axis.filterSize - 1) * axis.dilation + 1}`,
    );
  }
  // Rounding a negative fraction up gives -0.
  return { ...axis, outSize: axis.outSize + 0 };
}
