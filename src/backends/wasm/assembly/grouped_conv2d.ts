/** Convolution in groups of channels, a depthwise one among them, for one block of eight images: few
 * products for each value, so that memory decides and plain loops do. Weights lie as PyTorch's do.
 */

import { Conv2dShape } from "./shapes";
import { ELEMENT_BYTES, multiplyAdd } from "./simd";

/** output = bias + weight * input; equals the reference's conv2d to 1e-6 relative.
 *
 * Layout: [y][x][channel][8 images], input at the corner of its border of zeros.
 */
export function groupedConv2dForward(
  shape: Conv2dShape, groups: i32, input: usize, weight: usize, bias: usize, output: usize,
): void {
  const inChannels = shape.inChannels / groups, outChannels = shape.outChannels / groups;
  const inStep = shape.inChannels * ELEMENT_BYTES;
  const kernelArea = shape.kernelHeight * shape.kernelWidth;
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const corner = input + y * shape.strideHeight * shape.inRowBytes +
        x * shape.strideWidth * inStep;
      let to = output + y * shape.outRowBytes + x * shape.outChannels * ELEMENT_BYTES;
      for (let o = 0; o < shape.outChannels; o++) {
        let a = v128.load32_splat(bias + o * 4), b = a;
        let tap = weight + o * inChannels * kernelArea * 4;
        const first = corner + o / outChannels * inChannels * ELEMENT_BYTES;
        for (let c = 0; c < inChannels; c++) {
          for (let row = 0; row < shape.kernelHeight; row++) {
            let from = first + c * ELEMENT_BYTES + row * shape.inRowBytes;
            for (let column = 0; column < shape.kernelWidth; column++) {
              const w = v128.load32_splat(tap);
              a = multiplyAdd(v128.load(from), w, a);
              b = multiplyAdd(v128.load(from, 16), w, b);
              tap += 4;
              from += inStep;
            }
          }
        }
        v128.store(to, a);
        v128.store(to, b, 16);
        to += ELEMENT_BYTES;
      }
    }
  }
}

/** Adds to `sums` the block's gradients of the weights, each as four lanes, and behind them of the biases.
 */
export function groupedConv2dWeightGradient(
  shape: Conv2dShape, groups: i32, input: usize, gradOutput: usize, sums: usize,
): void {
  const inChannels = shape.inChannels / groups, outChannels = shape.outChannels / groups;
  const inStep = shape.inChannels * ELEMENT_BYTES, outStep = shape.outChannels * ELEMENT_BYTES;
  const biases = sums + shape.outChannels * inChannels * shape.kernelHeight * shape.kernelWidth * 16;
  for (let o = 0; o < shape.outChannels; o++) {
    const first = input + o / outChannels * inChannels * ELEMENT_BYTES;
    for (let c = 0; c < inChannels; c++) {
      for (let row = 0; row < shape.kernelHeight; row++) {
        for (let column = 0; column < shape.kernelWidth; column++) {
          let sum = v128.load(sums);
          let gradient = gradOutput + o * ELEMENT_BYTES;
          for (let y = 0; y < shape.outHeight; y++) {
            let from = first + c * ELEMENT_BYTES +
              (y * shape.strideHeight + row) * shape.inRowBytes + column * inStep;
            for (let x = 0; x < shape.outWidth; x++) {
              sum = multiplyAdd(v128.load(gradient), v128.load(from), sum);
              sum = multiplyAdd(v128.load(gradient, 16), v128.load(from, 16), sum);
              gradient += outStep;
              from += shape.strideWidth * inStep;
            }
          }
          v128.store(sums, sum);
          sums += 16;
        }
      }
    }
    let sum = v128.load(biases + o * 16);
    let gradient = gradOutput + o * ELEMENT_BYTES;
    for (let pixel = shape.outHeight * shape.outWidth; pixel > 0; pixel--) {
      sum = f32x4.add(sum, f32x4.add(v128.load(gradient), v128.load(gradient, 16)));
      gradient += outStep;
    }
    v128.store(biases + o * 16, sum);
  }
}

/** gradInput = transposed weight * gradOutput; both gradients are without borders. */
export function groupedConv2dInputGradient(
  shape: Conv2dShape, groups: i32, gradOutput: usize, weight: usize, gradInput: usize,
): void {
  const inChannels = shape.inChannels / groups, outChannels = shape.outChannels / groups;
  const inStep = shape.inChannels * ELEMENT_BYTES;
  const rowBytes = shape.inWidth * inStep;
  memory.fill(gradInput, 0, shape.inHeight * rowBytes);
  for (let y = 0; y < shape.outHeight; y++) {
    for (let x = 0; x < shape.outWidth; x++) {
      const top = y * shape.strideHeight - shape.paddingHeight;
      const left = x * shape.strideWidth - shape.paddingWidth;
      let tap = weight;
      for (let o = 0; o < shape.outChannels; o++) {
        const a = v128.load(gradOutput), b = v128.load(gradOutput, 16);
        const first = gradInput + o / outChannels * inChannels * ELEMENT_BYTES;
        for (let c = 0; c < inChannels; c++) {
          for (let row = top; row < top + shape.kernelHeight; row++) {
            for (let column = left; column < left + shape.kernelWidth; column++) {
              if (<u32> row < <u32> shape.inHeight && <u32> column < <u32> shape.inWidth) {
                const to = first + row * rowBytes + column * inStep + c * ELEMENT_BYTES;
                const w = v128.load32_splat(tap);
                v128.store(to, multiplyAdd(a, w, v128.load(to)));
                v128.store(to, multiplyAdd(b, w, v128.load(to, 16)), 16);
              }
              tap += 4;
            }
          }
        }
        gradOutput += ELEMENT_BYTES;
      }
    }
  }
}

/** gradients[first..last) = sums over groups of blocks, and over the four lanes. */
export function reduceLanes(
  sums: usize, groupBytes: usize, blocks: i32, first: i32, last: i32, gradients: usize,
): void {
  for (let i = first; i < last; i++) {
    let sum = f32x4.splat(0);
    for (let block = 0; block < blocks; block++) {
      sum = f32x4.add(sum, v128.load(sums + block * groupBytes + i * 16));
    }
    const total = f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) +
      f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3);
    store<f32>(gradients + i * 4, total);
  }
}
