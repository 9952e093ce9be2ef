/** Convolution of stride 1 with kernels of 3x3 and 5x5 by Winograd's method, forward and backward, for one
 * block of eight images: fewer multiplications, between transforms of tiles.
 *
 * A map is cut into tiles that overlap, six by six inputs for 4x4 or 2x2 outputs; a product of
 * channels is made at each of the 36 frequencies f of a tile, with the transposed transforms backward:
 *
 *     V = B^T d B, M[f] = U[f] V[f], y = A^T M A
 *     dM = A dy A^T, dU[f] += dM[f] V[f]^T, dV[f] = U[f]^T dM[f], dx += B dV B^T
 *
 * Rows of tiles go through it in bands; f = 6 i + j is row i, column j of a tile. Layout: V, M and their
 * gradients [band][f][tile][channel][8 images].
 */

import { product, productSums } from "./winograd_products";
import { outer } from "./outer";
import { sumGradients } from "./residual";
import { blockCount, blockStart, WinogradShape } from "./shapes";
import { ELEMENT_BYTES, VECTOR_BYTES } from "./simd";
import { strideOf } from "./winograd_weights";
import { transformInput, transformInputGradient, transformOutput } from "./winograd_transforms";

/** Rows and columns of a tile's frequencies. */
const SIDE: i32 = 6;

/** The row or column of the point 1: what both are is added to every output of a tile. */
const CONSTANT: i32 = 1;

/** output = bias + weight * input; equals the reference's conv2dForward to the tolerance that
 * `tests/unit/winograd_test.ts` states.
 *
 * Layout: as conv2dForward, but the zeros around the input reach as far as the last tile; weight as packed
 * by packWinograd. `values` keeps the transformed inputs for the backward pass, if shape says so; scratch
 * is anybody's between calls. Frequencies go six at a time, those of one row: their products stay in the
 * first-level cache.
 */
export function conv2dWinogradForward(
  shape: WinogradShape, input: usize, weight: usize, bias: usize, values: usize, scratch: usize,
  output: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels, tile = shape.tile;
  const tilesHigh = (shape.outHeight + tile - 1) / tile;
  const tilesWide = (shape.outWidth + tile - 1) / tile;
  const products = scratch + shape.productsAt, outputs = scratch + shape.outputsAt;
  const weightBytes = SIDE * strideOf(inChannels * outChannels * 4);
  for (let first = 0; first < tilesHigh; first += shape.bandRows) {
    const rows = min(shape.bandRows, tilesHigh - first), tiles = rows * tilesWide;
    const valuesBytes = shape.keepsValues ? SIDE * strideOf(tiles * inChannels * ELEMENT_BYTES) : 0;
    transformInputRows(shape, input, first, rows, tilesWide, scratch);
    for (let i = 0; i < SIDE; i++) {
      transformInputColumns(shape, scratch, i, rows, tilesWide, values);
      multiply(inChannels, outChannels, tiles, values, weight + i * weightBytes, products);
      if (i == CONSTANT) addBias(bias, outChannels, tiles, products);
      transformOutputColumns(false, shape, products, i, rows, tilesWide, outputs);
      values += valuesBytes;
    }
    transformOutputRows(false, shape, outputs, first, rows, output, shape.outRowBytes);
  }
}

/** Adds the block's share of the gradients of weight and bias to sums, see reduceWinograd, unless that is 0,
 * and, unless gradInput is 0, writes the input's gradient.
 *
 * Layout: gradients without border; weight as packed by packWinograd backward; values as the forward pass
 * left them; sums [f][inChannel][outChannel], then the bias's [outChannel][4 lanes].
 */
export function conv2dWinogradBackward(
  shape: WinogradShape, input: usize, gradOutput: usize, ones: usize, weight: usize, values: usize,
  scratch: usize, sums: usize, gradInput: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels, tile = shape.tile;
  const tilesHigh = (shape.outHeight + tile - 1) / tile;
  const tilesWide = (shape.outWidth + tile - 1) / tile;
  const products = scratch + shape.productsAt, outputs = scratch + shape.outputsAt;
  const gradients = scratch + shape.gradientsAt, inputs = scratch + shape.inputsAt;
  const weightBytes = SIDE * strideOf(inChannels * outChannels * 4);
  const biasSums = sums + SIDE * weightBytes;
  const gradientRowBytes = shape.outWidth * outChannels * ELEMENT_BYTES;
  for (let first = 0; first < tilesHigh; first += shape.bandRows) {
    const rows = min(shape.bandRows, tilesHigh - first), tiles = rows * tilesWide;
    const valuesBytes = shape.keepsValues ? SIDE * strideOf(tiles * inChannels * ELEMENT_BYTES) : 0;
    if (!shape.keepsValues && sums != 0) {
      transformInputRows(shape, input, first, rows, tilesWide, scratch);
    }
    transformOutputRows(true, shape, outputs, first, rows, gradOutput, gradientRowBytes);
    for (let i = 0; i < SIDE; i++) {
      transformOutputColumns(true, shape, products, i, rows, tilesWide, outputs);
      if (sums != 0) {
        if (!shape.keepsValues) transformInputColumns(shape, scratch, i, rows, tilesWide, values);
        sumWeightGradients(
          inChannels, outChannels, tiles, values, products, sums + i * weightBytes,
        );
        if (i == CONSTANT) sumBiasGradients(outChannels, tiles, products, ones, biasSums);
      }
      if (gradInput != 0) {
        multiply(outChannels, inChannels, tiles, products, weight + i * weightBytes, gradients);
        transformInputGradientColumns(shape, gradients, i, rows, tilesWide, inputs);
      }
      values += valuesBytes;
    }
    if (gradInput != 0) {
      transformInputGradientRows(shape, inputs, first, rows, tilesWide, scratch, gradInput);
    }
  }
}

/** Bytes of a row of `channels` over all columns that tiles read. */
// @ts-ignore: decorator
@inline
function inputRowBytes(shape: WinogradShape, tilesWide: i32): i32 {
  return (tilesWide * shape.tile + SIDE - shape.tile) * shape.inChannels * ELEMENT_BYTES;
}

/** Rows of tiles first..first + rows of the input, transformed along y: [row of tiles][i][x][channel]. */
function transformInputRows(
  shape: WinogradShape, input: usize, first: i32, rows: i32, tilesWide: i32, inputs: usize,
): void {
  const rowBytes = inputRowBytes(shape, tilesWide), stepBytes = shape.tile * shape.inRowBytes;
  input += first * stepBytes;
  for (; rows > 0; rows--) {
    transformInput(input, shape.inRowBytes, 0, inputs, rowBytes, rowBytes, 1);
    input += stepBytes;
    inputs += SIDE * rowBytes;
  }
}

/** Row i of the frequencies of rows of tiles: the rest of their transform, along x. */
function transformInputColumns(
  shape: WinogradShape, inputs: usize, i: i32, rows: i32, tilesWide: i32, values: usize,
): void {
  const tile = shape.tile, columnBytes = shape.inChannels * ELEMENT_BYTES;
  const rowBytes = inputRowBytes(shape, tilesWide);
  const frequencyBytes = strideOf(rows * tilesWide * columnBytes);
  inputs += i * rowBytes;
  for (; rows > 0; rows--) {
    transformInput(
      inputs, columnBytes, (tile - 1) * columnBytes, values, frequencyBytes, columnBytes, tilesWide,
    );
    inputs += SIDE * rowBytes;
    values += tilesWide * columnBytes;
  }
}

/** At each of a row's frequencies, output[tile] = weight * input[tile]. */
function multiply(
  inChannels: i32, outChannels: i32, tiles: i32, input: usize, weight: usize, output: usize,
): void {
  const inBytes = inChannels * ELEMENT_BYTES, outBytes = outChannels * ELEMENT_BYTES;
  const blocks = blockCount(outChannels);
  for (let j = 0; j < SIDE; j++) {
    for (let block = 0; block < blocks; block++) {
      const first = blockStart(block, blocks, outChannels);
      product(
        blockStart(block + 1, blocks, outChannels) - first, input, inBytes, tiles,
        weight + first * inChannels * 4, output + first * ELEMENT_BYTES, outBytes,
      );
    }
    input += strideOf(tiles * inBytes);
    output += strideOf(tiles * outBytes);
    weight += strideOf(inChannels * outChannels * 4);
  }
}

/** Adds the bias of its channel to the products at the points 1 and 1, which all outputs of a tile get. */
function addBias(bias: usize, channels: i32, tiles: i32, products: usize): void {
  products += CONSTANT * strideOf(tiles * channels * ELEMENT_BYTES);
  for (; tiles > 0; tiles--) {
    for (let channel = 0; channel < channels; channel++) {
      const value = v128.load32_splat(bias + channel * 4);
      v128.store(products, f32x4.add(v128.load(products), value));
      v128.store(products, f32x4.add(v128.load(products, 16), value), 16);
      products += ELEMENT_BYTES;
    }
  }
}

/** Products of row i of the frequencies, along x, as far as columns exist: [row of tiles][i][x][channel]; or
 * `back`, from the gradients of these.
 */
function transformOutputColumns(
  back: bool, shape: WinogradShape, products: usize, i: i32, rows: i32, tilesWide: i32,
  outputs: usize,
): void {
  const tile = shape.tile, columnBytes = shape.outChannels * ELEMENT_BYTES;
  const rowBytes = shape.outWidth * columnBytes;
  const frequencyBytes = strideOf(rows * tilesWide * columnBytes);
  const whole = shape.outWidth / tile, rest = shape.outWidth % tile;
  outputs += i * rowBytes;
  for (; rows > 0; rows--) {
    transformOutput(
      back, tile, tile, outputs, columnBytes, (tile - 1) * columnBytes, products, frequencyBytes,
      columnBytes, whole,
    );
    if (rest > 0) {
      transformOutput(
        back, tile, rest, outputs + whole * tile * columnBytes, columnBytes, 0,
        products + whole * columnBytes, frequencyBytes, columnBytes, 1,
      );
    }
    products += tilesWide * columnBytes;
    outputs += SIDE * rowBytes;
  }
}

/** The rest of their transform, along y, as far as rows exist; or `back`, its beginning, from a map's. */
function transformOutputRows(
  back: bool, shape: WinogradShape, outputs: usize, first: i32, rows: i32, map: usize,
  mapRowBytes: usize,
): void {
  const tile = shape.tile, rowBytes = shape.outWidth * shape.outChannels * ELEMENT_BYTES;
  for (let row = first; row < first + rows; row++) {
    const y = row * tile;
    transformOutput(
      back, tile, min(tile, shape.outHeight - y), map + y * mapRowBytes, mapRowBytes, 0, outputs,
      rowBytes, rowBytes, 1,
    );
    outputs += SIDE * rowBytes;
  }
}

/** Products of the gradients with the transformed inputs at each of a row's frequencies, summed over tiles
 * and images.
 */
function sumWeightGradients(
  inChannels: i32, outChannels: i32, tiles: i32, values: usize, gradients: usize, sums: usize,
): void {
  const inBytes = inChannels * ELEMENT_BYTES, outBytes = outChannels * ELEMENT_BYTES;
  const blocks = blockCount(outChannels), rowBytes = outChannels * 4, last = inChannels - 1;
  for (let j = 0; j < SIDE; j++) {
    for (let block = 0; block < blocks; block++) {
      const first = blockStart(block, blocks, outChannels);
      const width = blockStart(block + 1, blocks, outChannels) - first;
      const gradient = gradients + first * ELEMENT_BYTES, sum = sums + first * 4;
      productSums(
        width, gradient, outBytes, values, inBytes, ELEMENT_BYTES, tiles, inChannels / 2, sum,
        rowBytes,
      );
      if (inChannels % 2 == 1) {
        productSums(
          width, gradient, outBytes, values + last * ELEMENT_BYTES, inBytes, 0, tiles, 1,
          sum + last * rowBytes, 0,
        );
      }
    }
    values += strideOf(tiles * inBytes);
    gradients += strideOf(tiles * outBytes);
    sums += strideOf(inChannels * outChannels * 4);
  }
}

/** Adds up the gradients at the points 1 and 1: each is the sum of those of a tile's outputs. */
function sumBiasGradients(
  channels: i32, tiles: i32, gradients: usize, ones: usize, sums: usize,
): void {
  gradients += CONSTANT * strideOf(tiles * channels * ELEMENT_BYTES);
  const blocks = blockCount(channels);
  for (let block = 0; block < blocks; block++) {
    const first = blockStart(block, blocks, channels);
    const sum = sums + first * VECTOR_BYTES;
    outer(
      blockStart(block + 1, blocks, channels) - first, 1, tiles, gradients + first * ELEMENT_BYTES,
      channels * ELEMENT_BYTES, 0, ones, 0, 0, 0, sum, sum,
    );
  }
}

/** Gradients at row i of the frequencies back along x: [row of tiles][i][x][channel]. */
function transformInputGradientColumns(
  shape: WinogradShape, gradients: usize, i: i32, rows: i32, tilesWide: i32, inputs: usize,
): void {
  const tile = shape.tile, columnBytes = shape.inChannels * ELEMENT_BYTES;
  const rowBytes = inputRowBytes(shape, tilesWide);
  const frequencyBytes = strideOf(rows * tilesWide * columnBytes);
  inputs += i * rowBytes;
  for (; rows > 0; rows--) {
    transformInputGradient(0, gradients, frequencyBytes, inputs, columnBytes, 0, columnBytes, 1);
    transformInputGradient(
      SIDE - tile, gradients + columnBytes, frequencyBytes, inputs + tile * columnBytes,
      columnBytes, (tile - 1) * columnBytes, columnBytes, tilesWide - 1,
    );
    gradients += tilesWide * columnBytes;
    inputs += SIDE * rowBytes;
  }
}

/** The rest of their transform, along y, to the rows and columns that are not padding. */
function transformInputGradientRows(
  shape: WinogradShape, inputs: usize, first: i32, rows: i32, tilesWide: i32, spare: usize,
  gradInput: usize,
): void {
  const tile = shape.tile, columnBytes = shape.inChannels * ELEMENT_BYTES;
  const rowBytes = inputRowBytes(shape, tilesWide), inputBytes = shape.inWidth * columnBytes;
  inputs += shape.paddingWidth * columnBytes;
  for (let row = first; row < first + rows; row++) {
    const y = row * tile - shape.paddingHeight, seen = row > 0 ? SIDE - tile : 0;
    const output = gradInput + y * inputBytes;
    if (y >= 0 && y + SIDE <= shape.inHeight) {
      transformInputGradient(seen, inputs, rowBytes, output, inputBytes, 0, inputBytes, 1);
    } else {
      transformInputGradient(0, inputs, rowBytes, spare, inputBytes, 0, inputBytes, 1);
      for (let k = max(0, -y); k < min(SIDE, shape.inHeight - y); k++) {
        sumGradients(spare + k * inputBytes, output + k * inputBytes, inputBytes, k < seen);
      }
    }
    inputs += SIDE * rowBytes;
  }
}
