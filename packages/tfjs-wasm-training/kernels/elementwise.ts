import {
  broadcast_util,
  type ClipByValueAttrs,
  type DataType,
  type TensorInfo,
  upcastType,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import type { HeapView, Workspace, WorkspaceKernel } from "./workspace.ts";

/** Conversion to another type; every value but 0 is true, NaN as well.
 *
 * The published kernel keeps the lowest byte of a value as its truth.
 */
export const cast: WorkspaceKernel<"x", { dtype: DataType }> = (workspace, { x }, { dtype }) => {
  if (dtype !== "bool" || x.dtype === "bool") return workspace.convert(x, dtype);
  const truth = workspace.allocate(x.shape, "bool");
  const from = workspace.view(x);
  const to = workspace.view(truth);
  for (let i = 0; i < to.length; i++) to[i] = from[i] !== 0 ? 1 : 0;
  return truth;
};

/** An operation that cuts values off with XNNPACK, which makes its lower bound of NaN (Relu of those NaN
 * whose sign is set, such as Infinity - Infinity), and takes other types' bits for float32.
 */
export function clampKernel(
  kernelName: "ClipByValue" | "Relu" | "Relu6",
): WorkspaceKernel<"x", Partial<ClipByValueAttrs>> {
  return (workspace, { x }, attrs) => {
    if (util.sizeFromShape(x.shape) === 0) return x;
    const { clipValueMin: min = 0, clipValueMax: max = kernelName === "Relu6" ? 6 : Infinity } =
      attrs;
    const isFloat = x.dtype === "float32";
    const clamped = isFloat
      ? workspace.published(kernelName, { x }, attrs)[0]
      : workspace.allocate(x.shape, x.dtype);
    const from = workspace.view(x);
    const to = workspace.view(clamped);
    if (isFloat) { for (let i = 0; i < to.length; i++) if (from[i] !== from[i]) to[i] = NaN; }
    if (!isFloat) {
      for (let i = 0; i < to.length; i++) to[i] = Math.min(max, Math.max(min, from[i]));
    }
    return clamped;
  };
}

/** The larger or smaller of two values, NaN where one of them is. */
export function extremumKernel(
  kernelName: "Maximum" | "Minimum",
): WorkspaceKernel<"a" | "b", object> {
  const extremum = kernelName === "Maximum" ? Math.max : Math.min;
  return (workspace, { a, b }) => {
    const isSound = [a, b].every((x) => x.dtype !== "bool" && !hasNaN(workspace.view(x)));
    if (isSound) return workspace.published(kernelName, { a, b })[0];
    return combine(workspace, a, b, a.dtype, (x, y) => extremum(x, y));
  };
}

function hasNaN(values: HeapView): boolean {
  if (values instanceof Float32Array) {
    for (let i = 0; i < values.length; i++) if (values[i] !== values[i]) return true;
  }
  return false;
}

/** Tells whether no value is infinite or NaN. */
export function isAllFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (values[i] - values[i] !== 0) return false;
  return true;
}

/** -1, 0 or 1; the published kernel calls every small number 0. */
export const sign: WorkspaceKernel<"x", object> = (workspace, { x }) => {
  const signs = workspace.allocate(x.shape, x.dtype);
  const from = workspace.view(x);
  const to = workspace.view(signs);
  for (let i = 0; i < to.length; i++) to[i] = from[i] > 0 ? 1 : from[i] < 0 ? -1 : 0;
  return signs;
};

/** An operation that C++ computes for whole numbers so that a division by zero or an overflow ends the
 * program or gives any value; here they wrap as in JavaScript's arrays.
 */
export function integerKernel(
  kernelName: "Mod" | "Pow",
  compute: (a: number, b: number) => number,
): WorkspaceKernel<"a" | "b", object> {
  return (workspace, { a, b }) =>
    a.dtype === "float32"
      ? workspace.published(kernelName, { a, b })[0]
      : combine(workspace, a, b, a.dtype, compute);
}

/** The rounded quotient, int32 of whatever types, as on TensorFlow.js's other backends. */
export const floorDiv: WorkspaceKernel<"a" | "b", object> = (workspace, { a, b }) =>
  combine(workspace, a, b, "int32", (x, y) => Math.floor(x / y));

/** Negative values times alpha, of any shape that broadcasts. The published kernel repeats alpha
 * over the leading axes of x whatever its shape, and takes the bits of other types for float32.
 */
export const prelu: WorkspaceKernel<"x" | "alpha", object> = (workspace, { x, alpha }) => {
  const ownShape = alpha.shape.slice(alpha.shape.findIndex((size) => size !== 1) >>> 0);
  const repeats = alpha.shape.length <= x.shape.length &&
    util.arraysEqual(ownShape, x.shape.slice(x.shape.length - ownShape.length));
  const isFloat = x.dtype === "float32" && alpha.dtype === "float32";
  // XNNPACK multiplies alpha by 0 too, and so makes NaN of one that is not finite.
  const isSound = isFloat && repeats && isAllFinite(workspace.floats(alpha));
  if (isSound && util.sizeFromShape(x.shape) > 0) {
    return workspace.published("Prelu", { x, alpha })[0];
  }
  return combine(
    workspace,
    x,
    alpha,
    "float32",
    (value, slope) => value < 0 ? slope * value : value,
  );
};

/** Values of t where the condition holds, of e elsewhere; the three have one shape, or the condition
 * chooses among whole slices. The published kernel writes 4 bytes for each value of 1.
 */
export const select: WorkspaceKernel<"condition" | "t" | "e", object> = (
  workspace,
  { condition, t, e },
) => {
  const dtype = upcastType(t.dtype, e.dtype);
  const selected = workspace.allocate(t.shape, dtype);
  const conditions = workspace.view(condition);
  const [ofTrue, ofFalse, to] = [t, e, selected].map((x) => workspace.view(x));
  const isEach = condition.shape.length !== 1 || t.shape.length === 1;
  const sliceSize = isEach ? 1 : util.sizeFromShape(t.shape.slice(1));
  for (let i = 0; i < to.length; i++) {
    const holds = conditions[sliceSize === 1 ? i : Math.floor(i / sliceSize)] !== 0;
    to[i] = holds ? ofTrue[i] : ofFalse[i];
  }
  return selected;
};

/** A comparison, also of strings, of which the published kernel compares what stands at other places. */
export function comparisonKernel(
  kernelName: "Equal" | "Greater" | "GreaterEqual" | "Less" | "LessEqual" | "NotEqual",
  holds: (a: string, b: string) => boolean,
): WorkspaceKernel<"a" | "b", object> {
  return (workspace, { a, b }) => {
    if (a.dtype !== "string") return workspace.published(kernelName, { a, b })[0];
    const read = (x: TensorInfo) => workspace.strings(x);
    return combine(workspace, a, b, "bool", (x: string, y: string) => holds(x, y) ? 1 : 0, read);
  };
}

/** Applies a function to all pairs of values of two tensors, broadcast. */
export function combine<Value = number>(
  workspace: Workspace,
  a: TensorInfo,
  b: TensorInfo,
  dtype: DataType,
  compute: (a: Value, b: Value) => number,
  read = (x: TensorInfo) => workspace.view(x) as ArrayLike<unknown> as ArrayLike<Value>,
): TensorInfo {
  const shape = broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
  const combined = workspace.allocate(shape, dtype);
  const [left, right] = [a, b].map(read);
  const to = workspace.view(combined);
  const [leftSteps, rightSteps] = [a, b].map((x) => broadcastSteps(x.shape, shape));
  // The place of the next output, axis by axis, and of its operands.
  const place = shape.map(() => 0);
  let [i, j] = [0, 0];
  for (let output = 0; output < to.length; output++) {
    to[output] = compute(left[i], right[j]);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      i += leftSteps[axis];
      j += rightSteps[axis];
      if (++place[axis] < shape[axis]) break;
      i -= leftSteps[axis] * shape[axis];
      j -= rightSteps[axis] * shape[axis];
      place[axis] = 0;
    }
  }
  return combined;
}

/** How far a step along each axis of the broadcast shape goes in a tensor; 0 where it is repeated. */
function broadcastSteps(own: number[], shape: number[]): number[] {
  const strides = [...util.computeStrides(own), 1];
  return shape.map((_, axis) => {
    const ownAxis = axis - (shape.length - own.length);
    return ownAxis < 0 || own[ownAxis] === 1 ? 0 : strides[ownAxis];
  });
}

/** The type of what a converting kernel returns: the first operand's, or that in which it is computed. */
type OutDtype = DataType | "as given" | "as computed";

/** A published kernel that is right for some types of its operands, made right for all others.
 *
 * Of other operands it takes the bytes for values of its own type, and writes 4 bytes for each value
 * of 1. They are converted before, and the result after.
 */
export function convertingKernel(
  kernelName: string,
  soundDtypes: readonly DataType[],
  outDtype: OutDtype = "as given",
): WorkspaceKernel<string, object> {
  return (workspace, inputs, attrs) => {
    const names = Object.keys(inputs);
    const isSound = (x: TensorInfo) => soundDtypes.includes(x.dtype);
    if (names.every((name) => isSound(inputs[name]))) {
      const outputs = workspace.published(kernelName, inputs, attrs);
      return outputs.length === 1 ? outputs[0] : outputs;
    }
    const converted = Object.fromEntries(
      names.map((name) => [name, workspace.convert(inputs[name], soundDtypes[0])]),
    );
    const [first, ...others] = workspace.published(kernelName, converted, attrs);
    const dtypes = { "as given": inputs[names[0]].dtype, "as computed": first.dtype };
    const dtype = dtypes[outDtype as keyof typeof dtypes] ?? outDtype;
    const output = workspace.convert(first, dtype);
    return others.length === 0 ? output : [output, ...others];
  };
}
