/** What the engine knows of an operation: its kernels. */

import type { BatchNormLayer } from "../../../nn/layers/batch_norm.ts";
import type { Parameter } from "../../../nn/sequential.ts";
import type { Binding, Kernel } from "../kernel.ts";
import type { PartialsPlace } from "../kernels/conv2d_weight_gradient.ts";
import type { GradientTarget } from "../kernels/store_gradient.ts";
import type { Operation } from "../operations.ts";
import type { Placed } from "../placement.ts";
import type { Tuning } from "../tuning.ts";

/** What kernels are written for. */
export interface KernelContext {
  readonly tuning: Tuning;
  /** Images of the largest chunk. */
  readonly capacity: number;
  /** What dropout follows from, with the chunk's step, and the images' indices. */
  readonly seed: number;
  readonly indices?: GPUBuffer;
  /** Running statistics, in the layout of the model. */
  readonly statistics: GPUBuffer;
  /** What batch norms know of a batch; see `MOMENTS`. */
  readonly moments: GPUBuffer;
  /** Sums of images, before they are added up; each batch norm's in turn. */
  readonly imageSums: GPUBuffer;
  /** A parameter, as a uniform where it fits. */
  bind(name: string, parameter: Parameter): Binding;
  /** Where a batch norm's moments begin, in floats. */
  momentsOf(layer: BatchNormLayer): number;
  /** Where an operation's partial gradients lie, if it is trained: those of groups of images, before they
   * are added up. */
  partialsOf(operation: Operation): PartialsPlace | undefined;
}

/** Copies of an operation's partial gradients. */
export interface Copies {
  /** Their number for a chunk. */
  readonly wgsl: string;
  readonly most: number;
}

/** The kernels of a kind of operation. */
export interface OperationKernels<Kind extends Operation> {
  forward(place: Placed<Kind>, context: KernelContext): readonly Kernel[];
  /** Gives the operations before it, in the order of its inputs, the gradients of those they need, and makes
   * the partial gradients of its own parameters. */
  backward(
    place: Placed<Kind>,
    targets: readonly (GradientTarget | undefined)[],
    context: KernelContext,
  ): readonly Kernel[];
  /** For an operation with parameters. */
  copies?(operation: Kind, context: Pick<KernelContext, "tuning" | "capacity">): Copies;
}
