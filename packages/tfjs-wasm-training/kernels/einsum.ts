import {
  backend_util,
  type EinsumAttrs,
  type Tensor,
  type TensorInfo,
  upcastType,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import type { Workspace, WorkspaceKernel } from "./workspace.ts";

/** Sum of products over named axes, such as "ij,jk->ik", of one or two tensors.
 *
 * Two tensors are made matrices [axes of both that stay, own axes, axes to sum] and multiplied.
 */
export const einsum: WorkspaceKernel<string, EinsumAttrs> = (workspace, inputs, { equation }) => {
  const tensors = Object.values(inputs);
  const { allDims, summedDims, idDims } = backend_util.decodeEinsumEquation(
    equation,
    tensors.length,
  );
  backend_util.checkEinsumDimSizes(allDims.length, idDims, tensors as Tensor[]);
  // Axes are numbered in the order of the output, those to sum after them.
  const sizes: number[] = [];
  idDims.forEach((dims, t) => dims.forEach((dim, axis) => sizes[dim] = tensors[t].shape[axis]));
  const stays = (dim: number) => dim < allDims.length - summedDims.length;
  const dtype = tensors.map((x) => x.dtype).reduce(upcastType, "int32");
  const [left, right] = idDims.map((dims, t) => {
    const others = idDims.length === 1 ? [] : idDims[1 - t];
    const x = workspace.convert(tensors[t], dtype);
    return sumOver(workspace, x, dims, (dim) => !stays(dim) && !others.includes(dim));
  });
  if (right === undefined) return inOrder(workspace, left.x, left.dims);
  const batch = left.dims.filter((dim) => stays(dim) && right.dims.includes(dim));
  const inner = left.dims.filter((dim) => !stays(dim));
  const rows = left.dims.filter((dim) => stays(dim) && !batch.includes(dim));
  const columns = right.dims.filter((dim) => stays(dim) && !batch.includes(dim));
  const matrices = [{ ...left, own: rows }, { ...right, own: columns }].map(({ x, dims, own }) => {
    const order = [...batch, ...own, ...inner].map((dim) => dims.indexOf(dim));
    const shape = [batch, own, inner].map((group) => sizeOf(group, sizes));
    return workspace.reshape(workspace.transpose(x, order), shape);
  });
  const product = workspace.run(
    "BatchMatMul",
    { a: matrices[0], b: matrices[1] },
    { transposeA: false, transposeB: true },
  );
  const found = [...batch, ...rows, ...columns];
  const output = workspace.reshape(product, found.map((dim) => sizes[dim]));
  return inOrder(workspace, output, found);
};

function inOrder(workspace: Workspace, x: TensorInfo, dims: number[]): TensorInfo {
  return workspace.transpose(x, dims.map((_, dim) => dims.indexOf(dim)));
}

interface Term {
  x: TensorInfo;
  /** The number of each axis. */
  dims: number[];
}

function sumOver(
  workspace: Workspace,
  x: TensorInfo,
  dims: number[],
  isSummed: (dim: number) => boolean,
): Term {
  const axis = dims.flatMap((dim, i) => isSummed(dim) ? [i] : []);
  if (axis.length === 0) return { x, dims };
  return {
    x: workspace.run("Sum", { x }, { axis, keepDims: false }),
    dims: dims.filter((dim) => !isSummed(dim)),
  };
}

function sizeOf(dims: number[], sizes: number[]): number {
  return util.sizeFromShape(dims.map((dim) => sizes[dim]));
}
