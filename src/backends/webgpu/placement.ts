/** The tensors of a model's operations. */

import { IMAGE } from "../../nn/sequential.ts";
import type { Program } from "../program.ts";
import type { GradientTarget } from "./kernels/store_gradient.ts";
import type { Mode, Operation } from "./operations.ts";
import {
  type Border,
  type DeviceTensor,
  flattenTensor,
  floatsPerImage,
  layTensor,
  layVectors,
  type TensorMaker,
} from "./tensors.ts";

/** An operation with its tensors. */
export interface Placed<Kind extends Operation = Operation> {
  readonly operation: Kind;
  readonly inputs: readonly DeviceTensor[];
  readonly output: DeviceTensor;
  /** Where its gradient goes, if that is needed. */
  readonly target?: GradientTarget;
}

/** Allocates the image and every operation's output, and in training what its gradient needs.
 *
 * @param joinedCount Operations at the end that one kernel carries out: their outputs share a buffer, and
 * their gradients another, since devices limit how many buffers a kernel can name.
 */
export function placeOperations(
  maker: TensorMaker,
  operations: readonly Operation[],
  { program, joinedCount, mode }: {
    readonly program: Program;
    readonly joinedCount: number;
    readonly mode: Mode;
  },
): { readonly image: DeviceTensor; readonly placed: readonly Placed[] } {
  const borderOf = (tensor: number) => borderAround(tensor, operations, program);
  const image = layTensor(maker, "input", operations[0].input, borderOf(IMAGE));
  const headLength = operations.length - joinedCount;
  const lengths = operations.slice(headLength).map(({ output }) => output[0]);
  const tailOutputs = layVectors(maker, "linear outputs", lengths);
  const gradients = mode === "train" ? layVectors(maker, "linear gradients", lengths) : [];
  const outputs: DeviceTensor[] = [];
  const placed = operations.map((operation, index): Placed => {
    const { layer, maps, pool } = operation;
    const inputs = operation.inputs.map((input) => input === IMAGE ? image : outputs[input]);
    const output = tailOutputs[index - headLength] ??
      layTensor(maker, `${layer.name} output`, operation.output, borderOf(index));
    outputs.push(output);
    const place = {
      operation,
      inputs: isVector(operation) ? inputs.map(flattenTensor) : inputs,
      output,
    };
    if (mode === "eval" || !(gradients[index - headLength] || program.needsGradient(index))) {
      return place;
    }
    const gradient = gradients[index - headLength] ??
      layTensor(maker, `${layer.name} gradient`, maps, operation.gradientBorder);
    const activated = pool.type === "none" ? output : layTensor(maker, `${layer.name} maps`, maps);
    return { ...place, target: { operation, gradient, activated } };
  });
  return { image, placed };
}

function isVector({ layer }: Operation): boolean {
  return layer.inputShape.length === 1;
}

/** The zeros that all who read a tensor need around it. */
function borderAround(tensor: number, operations: readonly Operation[], program: Program): Border {
  const paddings = program.readersOf(tensor).map((reader) => operations[reader].padding);
  return [Math.max(0, ...paddings.map(([y]) => y)), Math.max(0, ...paddings.map(([, x]) => x))];
}

/** Length of the largest tensor for one image. */
export function largestTensor(operations: readonly Operation[], program: Program): number {
  const floats = operations.flatMap((operation, index) => [
    floatsPerImage(operation.input, borderAround(operation.inputs[0], operations, program)),
    floatsPerImage(operation.output, borderAround(index, operations, program)),
    floatsPerImage(operation.maps, operation.gradientBorder),
  ]);
  return Math.max(...floats);
}
