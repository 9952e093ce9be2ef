/** Tile sizes: what a discrete GPU and a GPU emulated by the CPU want differently. */

/** Most rounds of an invocation's loops together: llvmpipe leaves a loop, without a word, after 65,535.
 *
 * Kernels whose rounds grow with a model are cut, or refused, well before.
 */
export const MOST_ROUNDS = 30_000;

/** How kernels cut their work; every value changes speed only, never what is computed. */
export interface Tuning {
  /** Images that one invocation carries side by side, as an f32 or a vec4f. */
  readonly imagesPerInvocation: 1 | 4;
  /** Invocations of a workgroup of the kernels that put images side by side. */
  readonly invocations: number;
  /** Most sums that an invocation of a convolution's forward kernel keeps. */
  readonly forwardSums: number;
  /** Inputs that it takes at once, about; at least those of a kernel's row. */
  readonly forwardLoads: number;
  /** Most sums that an invocation of a convolution's input gradient keeps. */
  readonly inputGradientSums: number;
  /** Most sums that an invocation of a convolution's weight gradient keeps. */
  readonly weightGradientSums: number;
  /** Output rows that an invocation of a convolution's weight gradient walks, at most. */
  readonly weightGradientRows: number;
  /** Workgroups that it should have for each group of images, about; rows are cut for it. */
  readonly weightGradientWorkgroups: number;
  /** Neighbours in a row whose loads are under way together, in sums over maps: of weight gradients and batch
   * norms. */
  readonly columnsAtOnce: number;
  /** Pixels that an invocation adds up for a batch norm, about, at most. */
  readonly normPixels: number;
  /** Neighbouring elements that an invocation takes of what is computed place by place, at most. */
  readonly pointwisePixels: number;
  /** Whether linear layers are products of tiles in workgroup memory, but for the small ones at the end that
   * one kernel carries out together; only for one image an invocation. */
  readonly linearTiles: boolean;
  /** Rounds of loads, each of which waits for the one before, that those may take together. */
  readonly linearRounds: number;
  /** Invocations side by side, and rows of them, of their kernel. */
  readonly linearLanes: number;
  readonly linearRows: number;
  /** Most sums that an invocation of that kernel keeps. */
  readonly linearSums: number;
  /** Inputs that it takes at once forward, and four outputs each backward, to have loads under way. */
  readonly linearForwardInputs: number;
  readonly linearBackwardOutputs: number;
  /** Inputs that an invocation of a linear layer's weight gradient takes. */
  readonly linearGradientInputs: number;
  /** Images that an invocation of a linear layer's weight gradient adds up, a multiple of 4. */
  readonly linearGradientImages: number;
}

/** For discrete and integrated GPUs: one image an invocation and small tiles, so that a batch of 256
 * gives every kernel thousands of invocations. */
export const HARDWARE_TUNING: Tuning = {
  imagesPerInvocation: 1,
  invocations: 64,
  forwardSums: 16,
  forwardLoads: 36,
  inputGradientSums: 12,
  weightGradientSums: 40,
  weightGradientRows: 10,
  weightGradientWorkgroups: 128,
  columnsAtOnce: 7,
  normPixels: 64,
  pointwisePixels: 1,
  linearTiles: true,
  linearRounds: 32,
  linearLanes: 2,
  linearRows: 64,
  linearSums: 4,
  linearForwardInputs: 16,
  linearBackwardOutputs: 8,
  linearGradientInputs: 4,
  linearGradientImages: 32,
};

/** For llvmpipe and its like. It emulates each memory access invocation by invocation, about 18 ns for
 * eight f32, 29 ns for eight vec4f, against 0.3 ns for eight multiply-adds: so four images an
 * invocation and the largest tiles that still compile well. */
export const SOFTWARE_TUNING: Tuning = {
  imagesPerInvocation: 4,
  invocations: 8,
  forwardSums: 32,
  forwardLoads: 1,
  inputGradientSums: 12,
  weightGradientSums: 150,
  weightGradientRows: 64,
  weightGradientWorkgroups: 1,
  columnsAtOnce: 1,
  normPixels: 1024,
  pointwisePixels: 16,
  linearTiles: false,
  linearRounds: MOST_ROUNDS,
  linearLanes: 8,
  linearRows: 1,
  linearSums: 24,
  linearForwardInputs: 4,
  linearBackwardOutputs: 1,
  linearGradientInputs: 8,
  linearGradientImages: 256,
};
