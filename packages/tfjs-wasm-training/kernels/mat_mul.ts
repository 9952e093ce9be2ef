import {
  type _FusedMatMulAttrs,
  type BatchMatMulAttrs,
  broadcast_util,
  type TensorInfo,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { addBiasAndActivate, isFusableBias } from "./fused.ts";
import type { HeapView, Workspace, WorkspaceKernel } from "./workspace.ts";

/** Matrix product of the last two axes, broadcast over the others.
 *
 * The published kernel multiplies with a scalar loop where an operand is transposed; a transposed
 * copy and XNNPACK are many times faster. It refuses int32, which is multiplied here.
 */
export function batchMatMul(
  workspace: Workspace,
  { a, b }: { a: TensorInfo; b: TensorInfo },
  { transposeA, transposeB }: BatchMatMulAttrs,
): TensorInfo {
  const batchShape = broadcast_util.assertAndGetBroadcastShape(
    a.shape.slice(0, -2),
    b.shape.slice(0, -2),
  );
  const [rows, inner] = matrixShape(a, transposeA);
  const [innerOfB, columns] = matrixShape(b, transposeB);
  if (inner !== innerOfB) {
    throw new TypeError(
      `Cannot run BatchMatMul as the inner sizes must be equal: found [${a.shape}]` +
        `${transposeA ? " transposed" : ""} and [${b.shape}]${transposeB ? " transposed" : ""}`,
    );
  }
  const outShape = [...batchShape, rows, columns];
  if (util.sizeFromShape(outShape) === 0 || inner === 0) return workspace.zeros(outShape, a.dtype);
  if (a.dtype === "int32" && b.dtype === "int32") {
    return multiplyIntegers(
      workspace,
      repeatBatch(workspace, a, batchShape),
      repeatBatch(workspace, b, batchShape),
      { transposeA, transposeB, outShape },
    );
  }
  if (util.sizeFromShape(batchShape) > 1) {
    const batches = {
      a: repeatBatch(workspace, a, batchShape),
      b: repeatBatch(workspace, b, batchShape),
    };
    return workspace.published("BatchMatMul", batches, { transposeA, transposeB })[0];
  }
  const left = transposeA ? swapLastAxes(workspace, a) : a;
  const right = transposeB ? swapLastAxes(workspace, b) : withOwnPacking(workspace, b);
  const plain = { transposeA: false, transposeB: false };
  return workspace.published("BatchMatMul", { a: left, b: right }, plain)[0];
}

/** Matrix product with bias of any shape that broadcasts, then the activation. */
export const fusedMatMul: WorkspaceKernel<
  "a" | "b" | "bias" | "preluActivationWeights",
  _FusedMatMulAttrs
> = (workspace, inputs, attrs) => {
  const { a, b, bias } = inputs;
  const { transposeA, transposeB } = attrs;
  const isPlain = !transposeA && !transposeB && a.dtype === "float32" && b.dtype === "float32";
  const fusesBias = isPlain && isFusableBias(workspace, bias, b.shape[2]);
  const [product] = fusesBias
    ? workspace.published(
      "_FusedMatMul",
      { a, b: withOwnPacking(workspace, b), ...(bias && { bias }) },
      { ...attrs, activation: "linear" },
    )
    : [batchMatMul(workspace, { a, b }, { transposeA, transposeB })];
  return addBiasAndActivate(workspace, product, {
    ...inputs,
    ...attrs,
    bias: fusesBias ? undefined : bias,
  });
};

/** Shape that the values of b were first multiplied with, by the identity of their storage. */
const packedShapes = new WeakMap<object, string>();

/** Copies b where its storage was multiplied before in another shape.
 *
 * The published kernels keep the weights that XNNPACK packed, by storage alone; a reshaped tensor
 * shares its storage, and would be multiplied in its former shape.
 */
function withOwnPacking(workspace: Workspace, b: TensorInfo): TensorInfo {
  const shape = b.shape.slice(-2).join();
  const packedShape = packedShapes.get(b.dataId);
  if (packedShape === undefined) packedShapes.set(b.dataId, shape);
  return packedShape === undefined || packedShape === shape ? b : workspace.copy(b);
}

function matrixShape({ shape }: TensorInfo, transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2);
  return transposed ? [columns, rows] : [rows, columns];
}

function swapLastAxes(workspace: Workspace, matrix: TensorInfo): TensorInfo {
  const axes = [...matrix.shape.keys()];
  const last = axes.length - 1;
  return workspace.transpose(matrix, [...axes.slice(0, -2), last, last - 1]);
}

/** Repeats matrices to the whole batch, unless a single one serves all.
 *
 * The published kernel takes them in turns, as cpu does: the wrong ones, or from outside memory,
 * where both operands are broadcast.
 */
function repeatBatch(workspace: Workspace, x: TensorInfo, batchShape: number[]): TensorInfo {
  const ownBatch = x.shape.slice(0, -2);
  if (util.sizeFromShape(ownBatch) === 1 || util.arraysEqual(ownBatch, batchShape)) return x;
  const rank = batchShape.length + 2;
  const shape = [...Array(rank - x.shape.length).fill(1), ...x.shape];
  const reps = shape.map((size, axis) => axis < rank - 2 ? batchShape[axis] / size : 1);
  return workspace.run("Tile", { x: { ...x, shape } }, { reps });
}

function multiplyIntegers(
  workspace: Workspace,
  a: TensorInfo,
  b: TensorInfo,
  { transposeA, transposeB, outShape }: BatchMatMulAttrs & { outShape: number[] },
): TensorInfo {
  const left = transposeA ? swapLastAxes(workspace, a) : a;
  const right = transposeB ? b : swapLastAxes(workspace, b);
  const product = workspace.allocate(outShape, "int32");
  const [rows, columns] = outShape.slice(-2);
  const inner = left.shape[left.shape.length - 1];
  const from = workspace.view(left);
  const by = workspace.view(right);
  const to = workspace.view(product);
  for (let i = 0; i < to.length; i++) {
    const matrix = Math.floor(i / (rows * columns));
    // A batch of one is shared by all matrices of the other operand.
    const row = (matrix * rows + Math.floor(i / columns) % rows) * inner % from.length;
    const column = (matrix * columns + i % columns) * inner % by.length;
    to[i] = dotProduct(from, row, by, column, inner);
  }
  return product;
}

function dotProduct(a: HeapView, aStart: number, b: HeapView, bStart: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[aStart + i] * b[bStart + i];
  return sum;
}
