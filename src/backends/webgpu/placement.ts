/** The tensors of a model's operations. */

import { gradientBorder } from "./kernels/conv2d_input_gradient.ts";
import type { GradientTarget } from "./kernels/store_gradient.ts";
import type { ConvolveOperation, Operation } from "./operations.ts";
import {
  type Border,
  flattenTensor,
  floatsPerImage,
  layTensor,
  layVectors,
  type Tensor,
  type TensorMaker,
} from "./tensors.ts";

/** An operation with its tensors. */
export interface Placed {
  readonly operation: Operation;
  readonly input: Tensor;
  readonly output: Tensor;
  readonly target: GradientTarget;
}

/** An operation with parameters and its tensors. */
export type PlacedConvolve = Placed & { readonly operation: ConvolveOperation };

/** Whether an operation has parameters. */
export function isConvolve(place: Placed): place is PlacedConvolve {
  return place.operation.type === "convolve";
}

/** Allocates every operation's output, and what its gradient needs.
 *
 * @param joinedCount Operations at the end that one kernel carries out: their outputs share a buffer, and
 * their gradients another, since devices limit how many buffers a kernel can name.
 */
export function placeOperations(
  maker: TensorMaker,
  operations: readonly Operation[],
  joinedCount: number,
): Placed[] {
  let input = layTensor(maker, operations[0].input, {
    label: "input",
    border: paddingOf(operations[0]),
  });
  const lengths = operations.slice(operations.length - joinedCount)
    .map(({ output }) => output[0]);
  const outputs = layVectors(maker, "linear outputs", lengths);
  const gradients = layVectors(maker, "linear gradients", lengths);
  return operations.map((operation, index) => {
    const { layer } = operation;
    const border = paddingOf(operations[index + 1]);
    const inTail = index - (operations.length - joinedCount);
    const output = outputs[inTail] ??
      layTensor(maker, operation.output, { label: `${layer.name} output`, border });
    const isPooled = operation.type === "convolve" && operation.pool.type !== "none";
    const maps = operation.type === "convolve" ? operation.maps : operation.output;
    const place: Placed = {
      operation,
      input: isVector(operation) ? flattenTensor(input) : input,
      output,
      target: {
        operation,
        gradient: gradients[inTail] ?? layTensor(maker, maps, {
          label: `${layer.name} gradient`,
          border: gradientBorderOf(operation),
        }),
        activated: isPooled ? layTensor(maker, maps, { label: `${layer.name} maps` }) : output,
      },
    };
    input = output;
    return place;
  });
}

/** Whether an operation is a convolution whose windows are one pixel apart. */
export function isSliding(operation: Operation): operation is ConvolveOperation {
  return operation.type === "convolve" && operation.layer.type === "conv2d" &&
    operation.stride[0] === 1 && operation.stride[1] === 1;
}

function isVector({ layer }: Operation): boolean {
  return layer.inputShape.length === 1;
}

function paddingOf(operation: Operation | undefined): Border {
  return operation?.type === "convolve" ? operation.padding : [0, 0];
}

function gradientBorderOf(operation: Operation): Border {
  return isSliding(operation) ? gradientBorder(operation) : [0, 0];
}

/** Length of the largest tensor for one image. */
export function largestTensor(operations: readonly Operation[]): number {
  const floats = operations.flatMap((operation, index) => [
    floatsPerImage(operation.input, paddingOf(operation)),
    floatsPerImage(operation.output, paddingOf(operations[index + 1])),
    floatsPerImage(
      operation.type === "convolve" ? operation.maps : operation.output,
      gradientBorderOf(operation),
    ),
  ]);
  return Math.max(...floats);
}
