import {
  backend_util,
  type BincountAttrs,
  type GatherV2Attrs,
  slice_util,
  type SliceAttrs,
  type Tensor,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import type { WorkspaceKernel } from "./workspace.ts";

/** Takes the slices of x that the indices name, for each element of the first `batchDims` axes.
 *
 * The published kernel takes all of them from the first elements, or from outside memory.
 */
export const gatherV2: WorkspaceKernel<"x" | "indices", GatherV2Attrs> = (
  workspace,
  { x, indices },
  attrs,
) => {
  if (!attrs.batchDims) return workspace.published("GatherV2", { x, indices }, attrs)[0];
  const [axis] = util.parseAxisParam(attrs.axis, x.shape);
  const { batchSize, outerSize, dimSize, sliceSize, outputShape } = backend_util.segment_util
    .collectGatherOpShapeInfo(x as Tensor, indices as Tensor, axis, attrs.batchDims);
  const gathered = workspace.allocate(outputShape, x.dtype);
  const places = workspace.view(indices);
  const from = workspace.view(x);
  const to = workspace.view(gathered);
  const count = places.length / batchSize;
  let target = 0;
  for (let batch = 0; batch < batchSize; batch++) {
    for (let outer = 0; outer < outerSize; outer++) {
      for (let i = 0; i < count; i++, target += sliceSize) {
        const index = places[batch * count + i];
        if (index < 0 || index >= dimSize) {
          throw new RangeError(
            `Cannot run GatherV2 as indices must be in [0, ${dimSize - 1}]: found ${index}`,
          );
        }
        const source = ((batch * outerSize + outer) * dimSize + index) * sliceSize;
        to.set(from.subarray(source, source + sliceSize), target);
      }
    }
  }
  return gathered;
};

/** A box of a tensor; the published kernel reads outside memory where it does not lie inside. */
export const slice: WorkspaceKernel<"x", SliceAttrs> = (workspace, { x }, { begin, size }) => {
  const [first, sizes] = slice_util.parseSliceParams(x as Tensor, begin, size);
  slice_util.assertParamsValid(x as Tensor, first, sizes);
  return workspace.published("Slice", { x }, { begin: first, size: sizes })[0];
};

/** A kernel that only moves values, 4 bytes each, and calls them float32 whatever they are, or turns them
 * into float32 and so rounds whole numbers.
 */
export function moveKernel(
  kernelName: "ResizeNearestNeighbor" | "StridedSlice",
  input: "images" | "x",
): WorkspaceKernel<string, object> {
  return (workspace, inputs, attrs) => {
    const { [input]: x } = inputs;
    if (x.dtype === "bool") {
      const numbers = { [input]: workspace.convert(x, "int32") };
      return workspace.convert(workspace.run(kernelName, numbers, attrs), "bool");
    }
    // The one rounds what is not called float32; the other reads some slices by their stored type.
    const called = kernelName === "StridedSlice" ? x : { ...x, dtype: "float32" as const };
    const [moved] = workspace.published(kernelName, { [input]: called }, attrs);
    return workspace.rename(moved, x.dtype);
  };
}

/** How often each number occurs in a tensor of any shape, or the sum of its weights. */
export const bincount: WorkspaceKernel<"x" | "weights", BincountAttrs> = (
  workspace,
  { x, weights },
  attrs,
) => {
  const flat = workspace.reshape(x, [util.sizeFromShape(x.shape)]);
  return workspace.published("Bincount", { x: flat, weights }, attrs)[0];
};
