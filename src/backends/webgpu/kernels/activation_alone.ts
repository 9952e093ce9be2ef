/** An activation on its own: after another, after a pooling, or first. */

import { A_GROUP, bindTensor, entryPoint, imagesWgsl, type Kernel } from "../kernel.ts";
import type { ActivationOperation } from "../operations.ts";
import { indexOf, type Tensor } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { activate, derive } from "./activation.ts";
import { callStoreGradient, type GradientTarget, storeGradient } from "./store_gradient.ts";

/** Equals the reference's `activationForward`. An invocation computes one element of its images. */
export function activationForward(
  { layer, activation, output: [channels, height, width] }: ActivationOperation,
  { input, output }: { readonly input: Tensor; readonly output: Tensor },
  tuning: Tuning,
): Kernel {
  const place = ["group.z", "y", "x"] as const;
  const code = `${imagesWgsl(tuning)}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let value = input[${indexOf(input, place)}];
  output[${indexOf(output, place)}] = ${activate(activation, "value")};
}
`;
  return {
    label: `activation_forward ${layer.name}`,
    code,
    bindings: [bindTensor("input", input, "read"), bindTensor("output", output, "write")],
    workgroups: [A_GROUP, height * width, channels],
  };
}

/** The buffers of {@linkcode activationBackward}. */
export interface ActivationGradientBuffers {
  readonly output: Tensor;
  readonly gradOutput: Tensor;
  /** The operation before, which gets the input's gradient. */
  readonly target: GradientTarget;
}

/** Equals the reference's `activationBackward`. An invocation computes one element of its images. */
export function activationBackward(
  { layer, activation, output: [channels, height, width] }: ActivationOperation,
  { output, gradOutput, target }: ActivationGradientBuffers,
  tuning: Tuning,
): Kernel {
  const place = ["group.z", "y", "x"] as const;
  const { code: storeCode, bindings } = storeGradient(target);
  const element = { channel: "group.z", y: "y", x: "x", gradient: "gradient_input" };
  const code = `${imagesWgsl(tuning)}
${storeCode}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let value = output[${indexOf(output, place)}];
  let grad = grad_output[${indexOf(gradOutput, place)}];
  let gradient_input = ${derive(activation, "value", "grad")};
  ${callStoreGradient(target, element, height * width === 1)}
}
`;
  return {
    label: `activation_backward ${layer.name}`,
    code,
    bindings: [
      bindTensor("output", output, "read"),
      bindTensor("grad_output", gradOutput, "read"),
      ...bindings,
    ],
    workgroups: [A_GROUP, height * width, channels],
  };
}
