import { type TensorInfo, util } from "npm:@tensorflow/tfjs-core@4.22.0";
import type { Workspace } from "./workspace.ts";

/** What a fused kernel does to its product: y = activation(product + bias). */
export interface Fusion {
  bias?: TensorInfo;
  activation?: string;
  preluActivationWeights?: TensorInfo;
  leakyreluAlpha?: number;
}

const ACTIVATION_KERNELS: Record<string, string> = {
  elu: "Elu",
  leakyrelu: "LeakyRelu",
  prelu: "Prelu",
  relu6: "Relu6",
  sigmoid: "Sigmoid",
};

/** Tells whether the published fused kernels accept a bias: none, or one stored as a vector. */
export function isFusableBias(workspace: Workspace, bias: TensorInfo | undefined, size: number) {
  return bias === undefined || util.arraysEqual(workspace.storedShape(bias), [size]);
}

/** Adds a bias of any shape that broadcasts, and applies the activation, one kernel after another.
 *
 * The published fused kernels clamp to relu and relu6 with XNNPACK, which makes a number of NaN.
 */
export function addBiasAndActivate(
  workspace: Workspace,
  product: TensorInfo,
  { bias, activation = "linear", preluActivationWeights, leakyreluAlpha }: Fusion,
): TensorInfo {
  const x = bias === undefined ? product : workspace.run("Add", { a: product, b: bias });
  if (activation === "linear") return x;
  if (activation === "relu") return reluInPlace(workspace, x);
  if (!(activation in ACTIVATION_KERNELS)) {
    throw new RangeError(
      `Cannot fuse activation ${activation} on the wasm backend: expected linear, relu, ` +
        Object.keys(ACTIVATION_KERNELS).join(", "),
    );
  }
  const inputs = activation === "prelu" ? { x, alpha: preluActivationWeights } : { x };
  return workspace.run(ACTIVATION_KERNELS[activation], inputs, { alpha: leakyreluAlpha });
}

const NO_SIGN = 0x7fffffff;
const INFINITY = 0x7f800000;

/** Makes 0 of what is negative, on the bits: a branch on the sign of each value is many times slower. */
function reluInPlace(workspace: Workspace, x: TensorInfo): TensorInfo {
  const { buffer, byteOffset, length } = workspace.floats(x);
  const bits = new Int32Array(buffer, byteOffset, length);
  for (let i = 0; i < length; i++) {
    const value = bits[i];
    // Beyond infinity lies NaN, which stays.
    bits[i] = (value & NO_SIGN) > INFINITY ? value : value & ~(value >> 31);
  }
  return x;
}
