/** Kernels that let TensorFlow.js train on its wasm backend; the one entry that loads TensorFlow.js.
 *
 * @module
 */

import {
  _FusedMatMul,
  AvgPool,
  AvgPoolGrad,
  BatchMatMul,
  Conv2D,
  Conv2DBackpropFilter,
  Conv2DBackpropInput,
  Conv3DBackpropFilterV2,
  Conv3DBackpropInputV2,
  DepthwiseConv2dNative,
  DepthwiseConv2dNativeBackpropFilter,
  DepthwiseConv2dNativeBackpropInput,
  FusedConv2D,
  FusedDepthwiseConv2D,
  getKernel,
  Identity,
  type KernelFunc,
  MaxPool,
  MaxPool3D,
  MaxPool3DGrad,
  MaxPoolGrad,
  MaxPoolWithArgmax,
  registerKernel,
  unregisterKernel,
  UnsortedSegmentSum,
} from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-wasm";
import { avgPoolGrad, maxPool3dGrad, maxPoolGrad } from "./kernels/pool_gradient.ts";
import { convolutionKernel } from "./kernels/conv2d.ts";
import { conv2dBackpropFilter, conv2dBackpropInput } from "./kernels/conv2d_backprop.ts";
import { conv3dBackpropFilter, conv3dBackpropInput } from "./kernels/conv3d_backprop.ts";
import { depthwiseBackpropFilter, depthwiseBackpropInput } from "./kernels/depthwise_backprop.ts";
import { batchMatMul, fusedMatMul } from "./kernels/mat_mul.ts";
import { maxPool3d, maxPoolWithArgmax, poolKernel } from "./kernels/pool.ts";
import { unsortedSegmentSum } from "./kernels/unsorted_segment_sum.ts";
import { keepPublishedKernel, toKernelFunc } from "./kernels/workspace.ts";

/** The kernels the published wasm backend lacks, gets wrong, or runs as a scalar loop. */
const TRAINING_KERNELS: Record<string, KernelFunc> = {
  // Missing
  [Conv2DBackpropFilter]: toKernelFunc(conv2dBackpropFilter),
  [DepthwiseConv2dNativeBackpropFilter]: toKernelFunc(depthwiseBackpropFilter),
  [DepthwiseConv2dNativeBackpropInput]: toKernelFunc(depthwiseBackpropInput),
  [UnsortedSegmentSum]: toKernelFunc(unsortedSegmentSum),
  // Wrong for some shapes or values
  [_FusedMatMul]: toKernelFunc(fusedMatMul),
  [AvgPool]: toKernelFunc(poolKernel(AvgPool)),
  [Conv2D]: toKernelFunc(convolutionKernel(Conv2D)),
  [Conv3DBackpropFilterV2]: toKernelFunc(conv3dBackpropFilter),
  [Conv3DBackpropInputV2]: toKernelFunc(conv3dBackpropInput),
  [DepthwiseConv2dNative]: toKernelFunc(convolutionKernel(DepthwiseConv2dNative)),
  [FusedConv2D]: toKernelFunc(convolutionKernel(FusedConv2D)),
  [FusedDepthwiseConv2D]: toKernelFunc(convolutionKernel(FusedDepthwiseConv2D)),
  [MaxPool]: toKernelFunc(poolKernel(MaxPool)),
  [MaxPool3D]: toKernelFunc(maxPool3d),
  [MaxPool3DGrad]: toKernelFunc(maxPool3dGrad),
  [MaxPoolGrad]: toKernelFunc(maxPoolGrad),
  [MaxPoolWithArgmax]: toKernelFunc(maxPoolWithArgmax),
  // Slow
  [AvgPoolGrad]: toKernelFunc(avgPoolGrad),
  [BatchMatMul]: toKernelFunc(batchMatMul),
  [Conv2DBackpropInput]: toKernelFunc(conv2dBackpropInput),
  // TensorFlow.js clones every tensor that a gradient needs later; the published kernel copies it.
  [Identity]: toKernelFunc<"x", object>((workspace, { x }) => workspace.share(x)),
};

/** Makes TensorFlow.js's wasm backend able to train convolutional networks.
 *
 * Registers, for the backend named "wasm", the kernels that gradients need and that
 * `@tensorflow/tfjs-backend-wasm` lacks, and right or faster ones for some that it has. Call it
 * once, before or after the backend is set; a second call changes nothing.
 *
 * @example Train on wasm
 * ```ts ignore
 * import * as tf from "@tensorflow/tfjs-core";
 * import { registerWasmTrainingKernels } from "@lenet/lenet/tfjs";
 *
 * registerWasmTrainingKernels();
 * await tf.setBackend("wasm");
 * ```
 */
export function registerWasmTrainingKernels(): void {
  for (const [kernelName, kernelFunc] of Object.entries(TRAINING_KERNELS)) {
    const published = getKernel(kernelName, "wasm");
    if (published?.kernelFunc === kernelFunc) continue;
    if (published) {
      keepPublishedKernel(published);
      unregisterKernel(kernelName, "wasm");
    }
    // The published set-up binds the compiled function that the replacement still calls.
    registerKernel({ ...published, kernelName, backendName: "wasm", kernelFunc });
  }
}
