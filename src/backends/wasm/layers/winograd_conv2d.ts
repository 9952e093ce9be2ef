/** Convolution of stride 1 with kernels of 3x3 and 5x5 by Winograd's method: the same to within rounding,
 * with a quarter to a half of the multiplications. */

import type { Conv2dLayer } from "../../../nn/sequential.ts";
import { Arena, ELEMENT_BYTES, VECTOR_BYTES } from "../arena.ts";
import { locate } from "../tensors.ts";
import { biasOf, conv2d, convolutionSizes, gradBiasOf, locateCorner } from "./conv2d.ts";
import type { LayerCode } from "./layer.ts";

/** Rows and columns of a tile's inputs and frequencies. */
const SIDE = 6;
const FREQUENCIES = SIDE ** 2;

/** Bytes of a band's products at a row of frequencies, about: more do not stay in a core's caches, and fewer
 * rows of tiles make shorter sums.
 */
const BAND_BYTES = 80 * 1024;

/** Bytes of a layer's transformed inputs up to which they are kept for the backward pass. */
const KEPT_BYTES = 2 ** 20;

/** What lies between the numbers of two frequencies, see `strideOf` of the kernels. */
const GAP_BYTES = 64;

/** Vectors of scratch memory that weights need. */
const WEIGHT_VECTORS = 104;

/** How a layer is cut into tiles, and the memory of a thread that this takes. */
interface Tiling {
  /** Rows and columns of outputs of a tile. */
  readonly tile: number;
  readonly tiles: readonly [high: number, wide: number];
  /** Zeros around the input, enough for the last tile. */
  readonly border: readonly [height: number, width: number];
  /** Rows of tiles that go through the products together. */
  readonly bandRows: number;
  readonly keepsValues: boolean;
  readonly valuesBytes: number;
  /** Addresses within the scratch memory, see WinogradShape of the kernels. */
  readonly scratch: readonly number[];
  readonly scratchBytes: number;
}

/** Cuts a layer into tiles; undefined where the method does not apply. */
function tilingOf(layer: Conv2dLayer): Tiling | undefined {
  const { kernelSize: [size, width], stride, padding, groups, inputShape, outputShape } = layer;
  if (
    size !== width || (size !== 3 && size !== 5) || groups > 1 || stride.some((step) => step !== 1)
  ) {
    return undefined;
  }
  const [inChannels, ...inSize] = inputShape;
  const [outChannels, ...outSize] = outputShape;
  const tile = SIDE + 1 - size;
  const [high, wide] = outSize.map((length) => Math.ceil(length / tile));
  const border = [high, wide].map((tiles, axis) =>
    tiles * tile + SIDE - tile - inSize[axis] - padding[axis]
  );
  const productBytes = (channels: number, rows: number) =>
    SIDE * (rows * wide * channels * ELEMENT_BYTES + GAP_BYTES);
  const rowBytes = productBytes(Math.max(inChannels, outChannels), 1);
  const bands = Math.ceil(high / Math.max(1, Math.floor(BAND_BYTES / rowBytes)));
  const bandRows = Math.ceil(high / bands);
  const valuesBytes = SIDE * bands * productBytes(inChannels, bandRows);
  const keepsValues = valuesBytes <= KEPT_BYTES;
  const halfBytes = SIDE * bandRows * ELEMENT_BYTES;
  const inputsBytes = halfBytes * inChannels * (wide * tile + SIDE - tile);
  const scratch = new Arena(0);
  scratch.allocate(Math.max(inputsBytes, WEIGHT_VECTORS * VECTOR_BYTES));
  const outputsAt = scratch.allocate(halfBytes * outChannels * outSize[1]);
  const inputsAt = scratch.allocate(inputsBytes);
  const productsAt = scratch.allocate(productBytes(outChannels, bandRows));
  const gradientsAt = scratch.allocate(productBytes(inChannels, bandRows));
  return {
    tile,
    tiles: [high, wide],
    border: [border[0], border[1]],
    bandRows,
    keepsValues,
    valuesBytes: keepsValues ? valuesBytes : productBytes(inChannels, bandRows),
    scratch: [outputsAt, inputsAt, productsAt, gradientsAt],
    scratchBytes: scratch.end,
  };
}

/** Whether a layer is faster this way: forward and, more so, backward, which uses the transforms again.
 *
 * In multiply-adds of the direct way, for each pair of channels and frequency: one in each tile, the more
 * the shorter the runs of channels are; five for each number that is transformed, and those of one tile
 * more where tiles are few; three for the weights, which a step transforms even for a batch of one.
 * Fitted to 220 layers of 1 to 16 channels on maps of 4x4 to 28x28, see bench/NOTES.md.
 */
function isFaster(layer: Conv2dLayer, { tiles: [high, wide] }: Tiling): boolean {
  const { weight, inputShape: [inputs], outputShape: [outputs, height, width] } = layer;
  const shortRuns = 1 / inputs + 1 / outputs;
  const tiles = high * wide;
  const cost = tiles * (1 + shortRuns) + 5 * (tiles + 1) * shortRuns + 3;
  return FREQUENCIES * cost * inputs * outputs < 0.95 * weight.size * height * width;
}

/** The other way to compute a layer; undefined where the method does not apply. */
export function winogradVariant(
  layer: Conv2dLayer,
): ReturnType<NonNullable<LayerCode<Conv2dLayer>["variant"]>> {
  const tiling = tilingOf(layer);
  return tiling && { code: winogradConv2d, pays: isFaster(layer, tiling) };
}

/** See `conv2d` of the reference; only for layers that {@linkcode tilingOf} can cut. */
const winogradConv2d: LayerCode<Conv2dLayer> = {
  isLinear: true,
  memory: (layer) => ({ ...conv2d.memory(layer), padding: tilingOf(layer)!.border }),
  sizes(layer, place) {
    const { tile, bandRows, keepsValues, scratch } = tilingOf(layer)!;
    const sizes = convolutionSizes(layer, place);
    return [...sizes, tile, bandRows, Number(keepsValues && place.turns), ...scratch];
  },
  packedBytes: ({ weight: { shape: [rows, columns] } }) =>
    FREQUENCIES * (4 * rows * columns + GAP_BYTES),
  sumsBytes: ({ weight: { shape: [rows, columns] } }) =>
    FREQUENCIES * (4 * rows * columns + GAP_BYTES) + VECTOR_BYTES * rows,
  keptBytes: (layer) => tilingOf(layer)!.valuesBytes,
  scratchBytes: (layer) => tilingOf(layer)!.scratchBytes,
  forward(thread, stage) {
    const { kernels, own, scratch } = thread;
    const { layer, inputs: [input], output, shape, packedForward, kept } = stage;
    const bias = biasOf(thread, layer);
    return (block) =>
      kernels.conv2dWinogradForward(
        shape,
        locateCorner(input, layer.padding, { own, block }),
        packedForward,
        bias,
        own + kept,
        scratch,
        locate(output, own, block),
      );
  },
  backward({ kernels, own, ones, groupBytes, scratch }, stage) {
    const { layer, inputs: [input], gradOutput, gradInputs: [target], shape, kept } = stage;
    const { trained } = layer.weight;
    if (!trained && target === undefined) return [];
    return [(block, group) =>
      kernels.conv2dWinogradBackward(
        shape,
        locateCorner(input, layer.padding, { own, block }),
        locate(gradOutput!, own, block),
        ones,
        stage.packedBackward,
        own + kept,
        scratch,
        trained ? stage.sums + group * groupBytes : 0,
        target ? locate(target.tensor, own, block) : 0,
      )];
  },
  weights(thread, stage, { firstRow, lastRow }) {
    const { kernels, parameters, gradients, groupBytes, scratch } = thread;
    const { layer, shape, sums, packedForward, packedBackward } = stage;
    const { offset, trained } = layer.weight;
    const gradBias = gradBiasOf(thread, layer);
    return {
      reduce: trained
        ? (groups) =>
          kernels.reduceWinograd(
            shape,
            sums,
            groupBytes,
            groups,
            firstRow,
            lastRow,
            gradients + 4 * offset,
            gradBias,
            scratch,
          )
        : undefined,
      pack: () =>
        kernels.packWinograd(
          shape,
          parameters + 4 * offset,
          firstRow,
          lastRow,
          packedForward,
          packedBackward,
          scratch,
        ),
    };
  },
};
