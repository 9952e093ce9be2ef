/** What the engine knows of an operation: its kernels. */

import type { Binding, Kernel } from "../kernel.ts";
import type { GradientTarget } from "../kernels/store_gradient.ts";
import type { ConvolveOperation, Operation } from "../operations.ts";
import type { Placed } from "../placement.ts";
import type { Tuning } from "../tuning.ts";

/** What kernels are written for. */
export interface KernelContext {
  readonly tuning: Tuning;
  /** An operation's weights and biases, as `weights` and `biases`. */
  weightsOf(operation: ConvolveOperation): readonly [weights: Binding, biases: Binding];
}

/** The kernels of a kind of operation. */
export interface OperationKernels<Kind extends Operation> {
  forward(place: Placed<Kind>, context: KernelContext): Kernel;
  /** Gives the operations before it, in the order of its inputs, the gradients of those they need. */
  inputGradient(
    place: Placed<Kind>,
    targets: readonly (GradientTarget | undefined)[],
    context: KernelContext,
  ): Kernel;
}
