/** Sizes of layers, written to memory once by `layout.ts` in the order of the fields here. */

/** A convolution; a linear layer is one with a 1x1 kernel over a 1x1 image of inFeatures channels.
 *
 * Row bytes are distances between rows of activations, which may have a border of zeros for
 * padding; gradients have none.
 */
@unmanaged
export class Conv2dShape {
  inChannels: i32;
  inHeight: i32;
  inWidth: i32;
  inRowBytes: i32;
  outChannels: i32;
  outHeight: i32;
  outWidth: i32;
  outRowBytes: i32;
  kernelHeight: i32;
  kernelWidth: i32;
  strideHeight: i32;
  strideWidth: i32;
  paddingHeight: i32;
  paddingWidth: i32;
}

/** A convolution by Winograd's method: kernels of 3x3 or 5x5, stride 1. */
@unmanaged
export class WinogradShape extends Conv2dShape {
  /** Rows and columns of outputs of a tile: 4 or 2. */
  tile: i32;
  /** Rows of tiles that go through the products together. */
  bandRows: i32;
  /** Whether the transformed inputs of all bands are kept for the backward pass. */
  keepsValues: i32;
  /** Where it keeps in scratch memory, in bytes: half-transformed outputs of a band, and inputs' gradients;
   * products of a row of frequencies, and their inputs' gradients. Half-transformed inputs lie at 0.
   */
  outputsAt: i32;
  inputsAt: i32;
  productsAt: i32;
  gradientsAt: i32;
}

/** A pooling layer. */
@unmanaged
export class Pool2dShape {
  channels: i32;
  inHeight: i32;
  inWidth: i32;
  inRowBytes: i32;
  outHeight: i32;
  outWidth: i32;
  outRowBytes: i32;
  poolHeight: i32;
  poolWidth: i32;
  strideHeight: i32;
  strideWidth: i32;
  paddingHeight: i32;
  paddingWidth: i32;
}

/** Number of blocks that `count` channels are cut into: five wide if possible, else four or six. */
// @ts-ignore: decorator
@inline
export function blockCount(count: i32): i32 {
  return max((2 * count + 5) / 10, (count + 5) / 6);
}

/** First channel of a block; blocks differ in width by one at most. */
// @ts-ignore: decorator
@inline
export function blockStart(block: i32, blocks: i32, count: i32): i32 {
  return <i32> (<i64> block * count / blocks);
}
