/** Convolution of stride 1 with kernels of 3x3 and 5x5 by Winograd's method, forward and backward, for one
 * block of eight images: fewer multiplications, between transforms of tiles.
 *
 * A map is cut into tiles that overlap, six by six inputs for 4x4 or 2x2 outputs; a product of
 * channels is made at each of the 36 frequencies f of a tile, with the transposed transforms backward:
 *
 *     V = B^T d B, M[f] = U[f] V[f], y = A^T M A
 *     dM = A dy A^T, dU[f] += dM[f] V[f]^T, dV[f] = U[f]^T dM[f], dx += B dV B^T
 *
 * Layout: V, M and their gradients [band of rows of tiles][f][tile][channel][8 images].
 */

import { product, productSums } from "./winograd_products";
import { outer } from "./outer";
import { sumGradients } from "./residual";
import { blockCount, blockStart, WinogradShape } from "./shapes";
import { ELEMENT_BYTES } from "./simd";
import { strideOf } from "./winograd_weights";
import {
  transformInput, transformInputGradient, transformOutput, transformOutputGradient,
} from "./winograd_transforms";

/** Rows and columns of a tile's frequencies. */
const SIDE: i32 = 6;
const FREQUENCIES: i32 = 36;

/** The frequency of the point 1 along both axes, whose value is added to every output of a tile. */
const CONSTANT: i32 = 7;

/** output = bias + weight * input; equals the reference's conv2dForward to the tolerance of `tests/unit/winograd_test.ts`.
 *
 * Layout: as conv2dForward, but the zeros around the input reach as far as the last tile; weight as packed by packWinograd. `values` keeps
 * the transformed inputs for the backward pass, if shape says so; scratch is anybody's between calls.
 */
export function conv2dWinogradForward(
  shape: WinogradShape, input: usize, weight: usize, bias: usize, values: usize, scratch: usize,
  output: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels, tile = shape.tile;
  const tilesHigh = (shape.outHeight + tile - 1) / tile;
  const tilesWide = (shape.outWidth + tile - 1) / tile;
  const products = scratch + shape.productsAt;
  for (let first = 0; first < tilesHigh; first += shape.bandRows) {
    const rows = min(shape.bandRows, tilesHigh - first);
    transformInputs(shape, input, first, rows, tilesWide, values, scratch);
    multiply(inChannels, outChannels, rows * tilesWide, values, weight, bias, products);
    transformOutputs(shape, products, first, rows, tilesWide, scratch, output);
    if (shape.keepsValues) {
      values += FREQUENCIES * strideOf(rows * tilesWide * inChannels * ELEMENT_BYTES);
    }
  }
}

/** Adds the block's share of the gradients of weight and bias to sums, see reduceWinograd, and, unless
 * gradInput is 0, writes the input's gradient.
 *
 * Layout: gradients without border; weight as packed by packWinograd backward; values as the forward pass left them; sums
 * [f][inChannel][outChannel], then the bias's [outChannel][4 lanes].
 */
export function conv2dWinogradBackward(
  shape: WinogradShape, input: usize, gradOutput: usize, ones: usize, weight: usize, values: usize,
  scratch: usize, sums: usize, gradInput: usize,
): void {
  const inChannels = shape.inChannels, outChannels = shape.outChannels, tile = shape.tile;
  const tilesHigh = (shape.outHeight + tile - 1) / tile;
  const tilesWide = (shape.outWidth + tile - 1) / tile;
  const products = scratch + shape.productsAt, gradients = scratch + shape.gradientsAt;
  for (let first = 0; first < tilesHigh; first += shape.bandRows) {
    const rows = min(shape.bandRows, tilesHigh - first);
    const tiles = rows * tilesWide;
    if (!shape.keepsValues) {
      transformInputs(shape, input, first, rows, tilesWide, values, scratch);
    }
    transformOutputGradients(shape, gradOutput, first, rows, tilesWide, products, scratch);
    sumWeightGradients(inChannels, outChannels, tiles, values, products, ones, sums);
    if (gradInput != 0) {
      multiply(outChannels, inChannels, tiles, products, weight, 0, gradients);
      transformInputGradients(shape, gradients, first, rows, tilesWide, scratch, products, gradInput);
    }
    if (shape.keepsValues) values += FREQUENCIES * strideOf(tiles * inChannels * ELEMENT_BYTES);
  }
}

/** Rows of tiles first..first + rows of the input, transformed. */
function transformInputs(
  shape: WinogradShape, input: usize, first: i32, rows: i32, tilesWide: i32, values: usize,
  scratch: usize,
): void {
  const tile = shape.tile, columnBytes = shape.inChannels * ELEMENT_BYTES;
  const rowBytes = (tilesWide * tile + SIDE - tile) * columnBytes;
  const frequencyBytes = strideOf(rows * tilesWide * columnBytes);
  input += first * tile * shape.inRowBytes;
  for (let row = 0; row < rows; row++) {
    transformInput(input, shape.inRowBytes, 0, scratch, rowBytes, rowBytes, 1);
    for (let i = 0; i < SIDE; i++) {
      transformInput(
        scratch + i * rowBytes, columnBytes, (tile - 1) * columnBytes,
        values + i * SIDE * frequencyBytes, frequencyBytes, columnBytes, tilesWide,
      );
    }
    input += tile * shape.inRowBytes;
    values += tilesWide * columnBytes;
  }
}

/** At every frequency, output[tile] = weight * input[tile]. The bias joins those that all outputs of a tile
 * get; 0 stands for none.
 */
function multiply(
  inChannels: i32, outChannels: i32, tiles: i32, input: usize, weight: usize, bias: usize,
  output: usize,
): void {
  const inBytes = inChannels * ELEMENT_BYTES, outBytes = outChannels * ELEMENT_BYTES;
  const blocks = blockCount(outChannels);
  for (let f = 0; f < FREQUENCIES; f++) {
    for (let block = 0; block < blocks; block++) {
      const first = blockStart(block, blocks, outChannels);
      product(
        blockStart(block + 1, blocks, outChannels) - first, input, inBytes, tiles,
        weight + first * inChannels * 4, output + first * ELEMENT_BYTES, outBytes,
      );
    }
    if (f == CONSTANT && bias != 0) addBias(bias, outChannels, tiles, output);
    input += strideOf(tiles * inBytes);
    output += strideOf(tiles * outBytes);
    weight += strideOf(inChannels * outChannels * 4);
  }
}

/** Adds the bias of its channel to every number. */
function addBias(bias: usize, channels: i32, tiles: i32, output: usize): void {
  for (; tiles > 0; tiles--) {
    for (let channel = 0; channel < channels; channel++) {
      const value = v128.load32_splat(bias + channel * 4);
      v128.store(output, f32x4.add(v128.load(output), value));
      v128.store(output, f32x4.add(v128.load(output, 16), value), 16);
      output += ELEMENT_BYTES;
    }
  }
}

/** Products of rows of tiles back to outputs, as far as these exist. */
function transformOutputs(
  shape: WinogradShape, products: usize, first: i32, rows: i32, tilesWide: i32, scratch: usize,
  output: usize,
): void {
  const tile = shape.tile, columnBytes = shape.outChannels * ELEMENT_BYTES;
  const rowBytes = shape.outWidth * columnBytes;
  const frequencyBytes = strideOf(rows * tilesWide * columnBytes);
  const whole = shape.outWidth / tile, rest = shape.outWidth % tile;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < SIDE; i++) {
      const from = products + i * SIDE * frequencyBytes, to = scratch + i * rowBytes;
      transformOutput(
        tile, tile, from, frequencyBytes, to, columnBytes, (tile - 1) * columnBytes, columnBytes,
        whole,
      );
      if (rest > 0) {
        transformOutput(
          tile, rest, from + whole * columnBytes, frequencyBytes, to + whole * tile * columnBytes,
          columnBytes, 0, columnBytes, 1,
        );
      }
    }
    const y = (first + row) * tile;
    transformOutput(
      tile, min(tile, shape.outHeight - y), scratch, rowBytes, output + y * shape.outRowBytes,
      shape.outRowBytes, 0, rowBytes, 1,
    );
    products += tilesWide * columnBytes;
  }
}

/** Gradients of rows of outputs, transformed; those beyond the map's edges count as zero. */
function transformOutputGradients(
  shape: WinogradShape, gradOutput: usize, first: i32, rows: i32, tilesWide: i32, products: usize,
  scratch: usize,
): void {
  const tile = shape.tile, columnBytes = shape.outChannels * ELEMENT_BYTES;
  const rowBytes = shape.outWidth * columnBytes;
  const frequencyBytes = strideOf(rows * tilesWide * columnBytes);
  const whole = shape.outWidth / tile, rest = shape.outWidth % tile;
  for (let row = 0; row < rows; row++) {
    const y = (first + row) * tile;
    transformOutputGradient(
      tile, min(tile, shape.outHeight - y), gradOutput + y * rowBytes, rowBytes, 0, scratch,
      rowBytes, rowBytes, 1,
    );
    for (let i = 0; i < SIDE; i++) {
      const from = scratch + i * rowBytes, to = products + i * SIDE * frequencyBytes;
      transformOutputGradient(
        tile, tile, from, columnBytes, (tile - 1) * columnBytes, to, frequencyBytes, columnBytes,
        whole,
      );
      if (rest > 0) {
        transformOutputGradient(
          tile, rest, from + whole * tile * columnBytes, columnBytes, 0, to + whole * columnBytes,
          frequencyBytes, columnBytes, 1,
        );
      }
    }
    products += tilesWide * columnBytes;
  }
}

/** Products of the gradients with the transformed inputs, summed over tiles and images. */
function sumWeightGradients(
  inChannels: i32, outChannels: i32, tiles: i32, values: usize, gradients: usize, ones: usize,
  sums: usize,
): void {
  const inBytes = inChannels * ELEMENT_BYTES, outBytes = outChannels * ELEMENT_BYTES;
  const blocks = blockCount(outChannels);
  const biasSums = sums + FREQUENCIES * strideOf(inChannels * outChannels * 4);
  for (let f = 0; f < FREQUENCIES; f++) {
    for (let block = 0; block < blocks; block++) {
      const first = blockStart(block, blocks, outChannels);
      const width = blockStart(block + 1, blocks, outChannels) - first;
      const gradient = gradients + first * ELEMENT_BYTES;
      const sum = sums + first * 4, rowBytes = outChannels * 4, last = inChannels - 1;
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
      if (f == CONSTANT) {
        const biasSum = biasSums + first * 16;
        outer(width, 1, tiles, gradient, outBytes, 0, ones, 0, 0, 0, biasSum, biasSum);
      }
    }
    values += strideOf(tiles * inBytes);
    gradients += strideOf(tiles * outBytes);
    sums += strideOf(inChannels * outChannels * 4);
  }
}

/** Gradients of rows of tiles back to those of the inputs that exist. */
function transformInputGradients(
  shape: WinogradShape, gradients: usize, first: i32, rows: i32, tilesWide: i32, scratch: usize,
  spare: usize, gradInput: usize,
): void {
  const tile = shape.tile, columnBytes = shape.inChannels * ELEMENT_BYTES;
  const rowBytes = (tilesWide * tile + SIDE - tile) * columnBytes;
  const frequencyBytes = strideOf(rows * tilesWide * columnBytes);
  const inputBytes = shape.inWidth * columnBytes;
  const inputs = scratch + shape.paddingWidth * columnBytes;
  const overlap = SIDE - tile;
  for (let row = first; row < first + rows; row++) {
    for (let i = 0; i < SIDE; i++) {
      const from = gradients + i * SIDE * frequencyBytes, to = scratch + i * rowBytes;
      transformInputGradient(0, from, frequencyBytes, to, columnBytes, 0, columnBytes, 1);
      transformInputGradient(
        overlap, from + columnBytes, frequencyBytes, to + tile * columnBytes, columnBytes,
        (tile - 1) * columnBytes, columnBytes, tilesWide - 1,
      );
    }
    const y = row * tile - shape.paddingHeight;
    const seen = row > 0 ? overlap : 0;
    if (y >= 0 && y + SIDE <= shape.inHeight) {
      transformInputGradient(seen, inputs, rowBytes, gradInput + y * inputBytes, inputBytes, 0, inputBytes, 1);
    } else {
      transformInputGradient(0, inputs, rowBytes, spare, inputBytes, 0, inputBytes, 1);
      for (let k = max(0, -y); k < min(SIDE, shape.inHeight - y); k++) {
        sumGradients(spare + k * inputBytes, gradInput + (y + k) * inputBytes, inputBytes, k < seen);
      }
    }
    gradients += tilesWide * columnBytes;
  }
}
