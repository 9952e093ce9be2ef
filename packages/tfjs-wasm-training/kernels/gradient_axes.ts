import { backend_util } from "npm:@tensorflow/tfjs-core@4.22.0";
import {
  depthRowsAndColumns,
  requireNoDilation,
  rowsAndColumns,
  type WindowAxis,
} from "./window.ts";

/** [batch, height, width, channels], or a filter's [height, width, in, out]. */
export type Shape4D = [number, number, number, number];

/** [batch, depth, height, width, channels]. */
export type Shape5D = [number, number, number, number, number];

type RoundingMode = "floor" | "round" | "ceil" | undefined;

/** What the forward op was called with; its gradient is asked for with the same values. */
interface ForwardOp<Spatial, Pad> {
  opName: string;
  strides: Spatial | number;
  pad: Pad;
  dimRoundingMode?: RoundingMode;
  /** Accept rows and columns of dy beyond the forward output; TensorFlow.js ignores them. */
  ignoreExcess?: boolean;
}

type Pad2D = "valid" | "same" | number | backend_util.ExplicitPadding;

/** Rows and columns of the convolution whose output gradient `dy` is.
 *
 * @throws {TypeError} If dy is not shaped as that convolution's output.
 */
export function convolutionGradientAxes(
  op: ForwardOp<[number, number], Pad2D> & {
    dilations?: [number, number] | number;
    depthwise: boolean;
  },
  inputShape: number[],
  filterShape: number[],
  dyShape: number[],
): [WindowAxis, WindowAxis] {
  const info = infoThatExplains(op, dyShape, (roundingMode) =>
    backend_util.computeConv2DInfo(
      inputShape as Shape4D,
      filterShape as Shape4D,
      op.strides,
      op.dilations ?? 1,
      op.pad,
      roundingMode,
      op.depthwise,
    ));
  const axes = rowsAndColumns(op.opName, info);
  requireNoDilation(op.opName, axes);
  return axes;
}

/** Rows and columns of the 2D pooling whose output gradient `dy` is.
 *
 * @throws {TypeError} If dy is not shaped as that pooling's output.
 */
export function poolGradientAxes(
  op: ForwardOp<[number, number], Pad2D> & { filterSize: [number, number] | number },
  inputShape: number[],
  dyShape: number[],
): [WindowAxis, WindowAxis] {
  const info = infoThatExplains(op, dyShape, (roundingMode) =>
    backend_util.computePool2DInfo(
      inputShape as Shape4D,
      op.filterSize,
      op.strides,
      1,
      op.pad,
      roundingMode,
    ));
  return rowsAndColumns(op.opName, info);
}

/** Depth, rows and columns of the 3D pooling whose output gradient `dy` is.
 *
 * @throws {TypeError} If dy is not shaped as that pooling's output.
 */
export function pool3dGradientAxes(
  op: ForwardOp<[number, number, number], "valid" | "same" | number> & {
    filterSize: [number, number, number] | number;
  },
  inputShape: number[],
  dyShape: number[],
): [WindowAxis, WindowAxis, WindowAxis] {
  const info = infoThatExplains(op, dyShape, (roundingMode) =>
    backend_util.computePool3DInfo(
      inputShape as Shape5D,
      op.filterSize,
      op.strides,
      1,
      op.pad,
      roundingMode,
    ));
  return depthRowsAndColumns(op.opName, info);
}

/** Finds the rounding mode that explains dy: the gradients of tfjs-core forget to pass it on. */
export function infoThatExplains<Info extends { outShape: number[] }>(
  { opName, dimRoundingMode, ignoreExcess }: Pick<
    ForwardOp<unknown, unknown>,
    "opName" | "dimRoundingMode" | "ignoreExcess"
  >,
  dyShape: number[],
  infoOf: (roundingMode: RoundingMode) => Info,
): Info {
  for (const roundingMode of [dimRoundingMode, "floor", "round", "ceil"] as const) {
    const info = infoOf(roundingMode);
    if (info.outShape.every((size, axis) => size === dyShape[axis])) return info;
  }
  const info = infoOf(dimRoundingMode);
  const { outShape } = info;
  const isCovered = (size: number, axis: number) => {
    const isSpatial = axis > 0 && axis < outShape.length - 1;
    return size === dyShape[axis] || (isSpatial && size < dyShape[axis]);
  };
  if (ignoreExcess && outShape.every(isCovered)) return info;
  throw new TypeError(
    `Cannot run ${opName} on the wasm backend as dy must be [${outShape}], the shape of the ` +
      `forward output: found [${dyShape}]`,
  );
}
