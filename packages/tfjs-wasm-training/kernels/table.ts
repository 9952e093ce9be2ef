import * as tf from "npm:@tensorflow/tfjs-core@4.22.0";
import { convolutionKernel } from "./conv2d.ts";
import { conv2dBackpropFilter, conv2dBackpropInput } from "./conv2d_backprop.ts";
import { conv3dBackpropFilter, conv3dBackpropInput } from "./conv3d_backprop.ts";
import { depthwiseBackpropFilter, depthwiseBackpropInput } from "./depthwise_backprop.ts";
import { dilation2d, dilationGradient } from "./dilation.ts";
import { einsum } from "./einsum.ts";
import {
  cast,
  clampKernel,
  comparisonKernel,
  convertingKernel,
  extremumKernel,
  floorDiv,
  integerKernel,
  prelu,
  select,
  sign,
} from "./elementwise.ts";
import { bincount, gatherV2, moveKernel, slice } from "./indexing.ts";
import { eitherLayout } from "./layout.ts";
import { batchMatMul, fusedMatMul } from "./mat_mul.ts";
import { maxPool3d, maxPoolWithArgmax, poolKernel } from "./pool.ts";
import { avgPoolGrad, maxPool3dGrad, maxPoolGrad } from "./pool_gradient.ts";
import { unsortedSegmentSum } from "./unsorted_segment_sum.ts";
import { toKernelFunc, type WorkspaceKernel } from "./workspace.ts";

/** The kernels that the published wasm backend lacks, gets wrong, or runs as a scalar loop. */
export const KERNELS: Readonly<Record<string, tf.KernelFunc>> = {
  // Missing
  [tf.Conv2DBackpropFilter]: toKernelFunc(eitherLayout(conv2dBackpropFilter, ["x", "dy"], false)),
  [tf.DepthwiseConv2dNativeBackpropFilter]: toKernelFunc(depthwiseBackpropFilter),
  [tf.DepthwiseConv2dNativeBackpropInput]: toKernelFunc(depthwiseBackpropInput),
  [tf.Einsum]: toKernelFunc(einsum),
  [tf.UnsortedSegmentSum]: toKernelFunc(unsortedSegmentSum),
  // Wrong for some shapes, layouts, types or values
  [tf._FusedMatMul]: toKernelFunc(fusedMatMul),
  [tf.AvgPool]: toKernelFunc(poolKernel("AvgPool")),
  [tf.Bincount]: toKernelFunc(bincount),
  [tf.Cast]: toKernelFunc(cast),
  [tf.ClipByValue]: toKernelFunc(clampKernel("ClipByValue")),
  [tf.Conv2D]: convolution("Conv2D"),
  [tf.Conv3DBackpropFilterV2]: toKernelFunc(conv3dBackpropFilter),
  [tf.Conv3DBackpropInputV2]: toKernelFunc(conv3dBackpropInput),
  [tf.DepthwiseConv2dNative]: convolution("DepthwiseConv2dNative"),
  [tf.Dilation2D]: toKernelFunc(dilation2d),
  [tf.Dilation2DBackpropFilter]: toKernelFunc(dilationGradient("filter")),
  [tf.Dilation2DBackpropInput]: toKernelFunc(dilationGradient("x")),
  [tf.Equal]: toKernelFunc(comparisonKernel("Equal", (a, b) => a === b)),
  [tf.FloorDiv]: toKernelFunc(floorDiv),
  [tf.FusedConv2D]: convolution("FusedConv2D"),
  [tf.FusedDepthwiseConv2D]: convolution("FusedDepthwiseConv2D"),
  [tf.GatherV2]: toKernelFunc(gatherV2),
  [tf.Greater]: toKernelFunc(comparisonKernel("Greater", (a, b) => a > b)),
  [tf.GreaterEqual]: toKernelFunc(comparisonKernel("GreaterEqual", (a, b) => a >= b)),
  [tf.Less]: toKernelFunc(comparisonKernel("Less", (a, b) => a < b)),
  [tf.LessEqual]: toKernelFunc(comparisonKernel("LessEqual", (a, b) => a <= b)),
  [tf.Maximum]: toKernelFunc(extremumKernel("Maximum")),
  [tf.MaxPool]: toKernelFunc(poolKernel("MaxPool")),
  [tf.MaxPool3D]: toKernelFunc(maxPool3d),
  [tf.MaxPool3DGrad]: toKernelFunc(maxPool3dGrad),
  [tf.MaxPoolGrad]: toKernelFunc(maxPoolGrad),
  [tf.MaxPoolWithArgmax]: toKernelFunc(maxPoolWithArgmax),
  [tf.Minimum]: toKernelFunc(extremumKernel("Minimum")),
  [tf.Mod]: toKernelFunc(integerKernel("Mod", modulo)),
  [tf.NotEqual]: toKernelFunc(comparisonKernel("NotEqual", (a, b) => a !== b)),
  [tf.Pow]: toKernelFunc(integerKernel("Pow", Math.pow)),
  [tf.Prelu]: toKernelFunc(prelu),
  [tf.Relu]: toKernelFunc(clampKernel("Relu")),
  [tf.Relu6]: toKernelFunc(clampKernel("Relu6")),
  [tf.ResizeNearestNeighbor]: toKernelFunc(moveKernel("ResizeNearestNeighbor", "images")),
  [tf.Select]: toKernelFunc(select),
  [tf.Sign]: toKernelFunc(sign),
  [tf.Slice]: toKernelFunc(slice),
  [tf.StridedSlice]: toKernelFunc(moveKernel("StridedSlice", "x")),
  // Right for float32 only: other values' bytes are taken for float32
  ...converting([
    tf.Acos,
    tf.Acosh,
    tf.Asin,
    tf.Asinh,
    tf.Atanh,
    tf.Expm1,
    tf.Log1p,
    tf.RealDiv,
    tf.Reciprocal,
    tf.Sinh,
  ], ["float32"]),
  ...converting([tf.IsFinite, tf.IsInf, tf.IsNan], ["float32"], "bool"),
  // Wrong for booleans, which are one byte each
  ...converting([
    tf.Abs,
    tf.Atan,
    tf.Atan2,
    tf.Neg,
    tf.Reverse,
    tf.Round,
    tf.Selu,
    tf.Softplus,
    tf.Square,
    tf.Step,
    tf.TopK,
  ], ["int32", "float32"]),
  ...converting([tf.Cumprod, tf.Cumsum], ["int32", "float32"], "as computed"),
  ...converting([tf.Exp, tf.LeakyRelu], ["int32", "float32"], "float32"),
  // Slow
  [tf.AvgPoolGrad]: toKernelFunc(avgPoolGrad),
  [tf.BatchMatMul]: toKernelFunc(batchMatMul),
  [tf.Conv2DBackpropInput]: toKernelFunc(eitherLayout(conv2dBackpropInput, ["dy"])),
  // TensorFlow.js clones every tensor that a gradient needs later; the published kernel copies it.
  [tf.Identity]: toKernelFunc<"x", object>((workspace, { x }) => workspace.share(x)),
};

function convolution(kernelName: Parameters<typeof convolutionKernel>[0]): tf.KernelFunc {
  return toKernelFunc(eitherLayout(convolutionKernel(kernelName), ["x"]));
}

function converting(
  names: readonly string[],
  soundDtypes: readonly tf.DataType[],
  outDtype?: Parameters<typeof convertingKernel>[2],
): Record<string, tf.KernelFunc> {
  return Object.fromEntries(names.map((name) => {
    const kernel: WorkspaceKernel<string, object> = convertingKernel(name, soundDtypes, outDtype);
    return [name, toKernelFunc(kernel)];
  }));
}

/** The remainder with the sign of the divisor. */
function modulo(a: number, b: number): number {
  const remainder = a % b;
  return (a < 0) === (b < 0) ? remainder : (remainder + b) % b;
}
