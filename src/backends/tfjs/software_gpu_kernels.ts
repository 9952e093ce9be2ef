/** TensorFlow.js WebGPU kernels that a GPU emulated by the CPU gets wrong, in smaller pieces. */

import {
  Add,
  Conv2DBackpropFilter,
  getKernel,
  type KernelFunc,
  type NamedAttrMap,
  registerKernel,
  Slice,
  type TensorInfo,
  unregisterKernel,
} from "./tfjs.ts";

/** llvmpipe leaves a shader's loop after this many rounds, without an error. */
const MAX_LOOP_ROUNDS = 65_535;

interface Releasing {
  disposeData(dataId: TensorInfo["dataId"]): boolean;
}

/** Makes the filter gradient of convolutions right on llvmpipe; call it once, for that device only.
 *
 * The published kernel sums over all output positions of the batch in one loop, which llvmpipe cuts
 * short: the gradient of LeNet's first layer is wrong from a batch of about 80 on. Here a batch that is too
 * large is cut into parts whose gradients are added.
 */
export function registerSoftwareGpuKernels(): void {
  const published = getKernel(Conv2DBackpropFilter, "webgpu");
  unregisterKernel(Conv2DBackpropFilter, "webgpu");
  registerKernel({ ...published, kernelFunc: inParts(published.kernelFunc) });
}

function inParts(whole: KernelFunc): KernelFunc {
  return ({ inputs, backend, attrs }) => {
    const { x, dy } = inputs as { x: TensorInfo; dy: TensorInfo };
    const run = (kernel: KernelFunc, tensors: Record<string, TensorInfo>, options?: NamedAttrMap) =>
      kernel({ inputs: tensors, backend, attrs: options }) as TensorInfo;
    const release = (...tensors: TensorInfo[]) => {
      for (const { dataId } of tensors) (backend as unknown as Releasing).disposeData(dataId);
    };
    const [batchSize, outHeight, outWidth] = dy.shape;
    // Rounds of all three nested loops count, and the last test of each.
    const partSize = Math.floor(MAX_LOOP_ROUNDS / ((outHeight + 1) * (outWidth + 1) + 1));
    if (batchSize <= partSize) return run(whole, { x, dy }, attrs);
    if (partSize === 0) {
      throw new RangeError(
        `Cannot train a convolution on this software GPU as its output must have at most ` +
          `${MAX_LOOP_ROUNDS} positions: found ${outHeight}x${outWidth}; use another backend`,
      );
    }
    const slice = getKernel(Slice, "webgpu").kernelFunc;
    const rows = (tensor: TensorInfo, start: number) => {
      const size = [Math.min(partSize, batchSize - start), ...tensor.shape.slice(1)];
      return run(slice, { x: tensor }, { begin: [start, 0, 0, 0], size });
    };
    let sum: TensorInfo | undefined;
    for (let start = 0; start < batchSize; start += partSize) {
      const [images, gradients] = [rows(x, start), rows(dy, start)];
      const part = run(whole, { x: images, dy: gradients }, attrs);
      release(images, gradients);
      if (sum === undefined) {
        sum = part;
        continue;
      }
      const added = run(getKernel(Add, "webgpu").kernelFunc, { a: sum, b: part });
      release(sum, part);
      sum = added;
    }
    return sum!;
  };
}
