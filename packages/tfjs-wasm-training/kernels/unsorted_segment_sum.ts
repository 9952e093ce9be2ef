import { type UnsortedSegmentSumAttrs, util } from "npm:@tensorflow/tfjs-core@4.22.0";
import type { WorkspaceKernel } from "./workspace.ts";

/** Sums the slices of x that share a segment; the gradient of gather and of embeddings.
 *
 * Shapes: x [n, ...rest], segmentIds [n] -> float32 [numSegments, ...rest]. As on TensorFlow.js's
 * `cpu` a slice whose segment is not in [0, numSegments) is left out.
 */
export const unsortedSegmentSum: WorkspaceKernel<"x" | "segmentIds", UnsortedSegmentSumAttrs> = (
  workspace,
  { x, segmentIds },
  { numSegments },
) => {
  const opName = "UnsortedSegmentSum";
  if (segmentIds.dtype !== "int32") {
    throw new TypeError(
      `Cannot run ${opName} as segmentIds must be int32: found ${segmentIds.dtype}`,
    );
  }
  if (x.dtype !== "float32" && x.dtype !== "int32" && x.dtype !== "bool") {
    throw new TypeError(`Cannot run ${opName} as x must be numeric: found ${x.dtype}`);
  }
  const [count, ...sliceShape] = x.shape;
  if (segmentIds.shape.length !== 1 || segmentIds.shape[0] !== count) {
    throw new TypeError(
      `Cannot run ${opName} as segmentIds must be [${count}], one for each slice of x: found ` +
        `[${segmentIds.shape}]`,
    );
  }
  if (!Number.isInteger(numSegments) || numSegments < 0) {
    throw new RangeError(
      `Cannot run ${opName} as numSegments must be a whole number: found ${numSegments}`,
    );
  }
  const sliceSize = util.sizeFromShape(sliceShape);
  const sums = workspace.zeros([numSegments, ...sliceShape]);
  const segments = workspace.view(segmentIds);
  const from = workspace.view(x);
  const to = workspace.floats(sums);
  for (let slice = 0; slice < count; slice++) {
    const segment = segments[slice];
    if (segment < 0 || segment >= numSegments) continue;
    const source = slice * sliceSize;
    const target = segment * sliceSize;
    for (let i = 0; i < sliceSize; i++) to[target + i] += from[source + i];
  }
  return sums;
};
