/** Activations: joined to the operation before, or on their own. */

import type { ActivationLayer } from "../../../nn/layers/activation.ts";
import { A_GROUP, bindTensor, entryPoint, imagesWgsl } from "../kernel.ts";
import { activate, derive } from "../kernels/activation.ts";
import { callStoreGradient, storeGradient } from "../kernels/store_gradient.ts";
import type { ElementwiseOperation, LayerPlan } from "../operations.ts";
import { imageShape, indexOf } from "../tensors.ts";
import type { OperationKernels } from "./layer.ts";

/** See `sigmoid`, `tanh` and `relu` of the reference. */
export const activation: LayerPlan<ActivationLayer> = {
  operation(layer, base) {
    const shape = imageShape(layer.inputShape);
    return { ...base, type: "elementwise", function: layer.type, maps: shape, output: shape };
  },
  join({ type }, before) {
    const isFree = before.activation === "none" && before.pool.type === "none";
    const canJoin = before.type === "convolve" || before.type === "sum";
    return isFree && canJoin ? { ...before, activation: type } : undefined;
  },
};

/** A function of each element. An invocation computes one element of its images. */
export const elementwise: OperationKernels<ElementwiseOperation> = {
  forward({ operation, inputs: [input], output }, { tuning }) {
    const { layer, output: [channels, height, width] } = operation;
    const place = ["group.z", "y", "x"] as const;
    const code = `${imagesWgsl(tuning)}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let value = input[${indexOf(input, place)}];
  output[${indexOf(output, place)}] = ${activate(operation.function, "value")};
}
`;
    return {
      label: `activation_forward ${layer.name}`,
      code,
      bindings: [bindTensor("input", input, "read"), bindTensor("output", output, "write")],
      workgroups: [A_GROUP, height * width, channels],
    };
  },
  inputGradient({ operation, output, target: { gradient } }, [before], { tuning }) {
    const { layer, output: [channels, height, width] } = operation;
    const place = ["group.z", "y", "x"] as const;
    const { code: storeCode, bindings } = storeGradient(before!);
    const element = { channel: "group.z", y: "y", x: "x", gradient: "gradient_input" };
    const code = `${imagesWgsl(tuning)}
${storeCode}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let value = output[${indexOf(output, place)}];
  let grad = grad_output[${indexOf(gradient, place)}];
  let gradient_input = ${derive(operation.function, "value", "grad")};
  ${callStoreGradient(before!, element, height * width === 1)}
}
`;
    return {
      label: `activation_backward ${layer.name}`,
      code,
      bindings: [
        bindTensor("output", output, "read"),
        bindTensor("grad_output", gradient, "read"),
        ...bindings,
      ],
      workgroups: [A_GROUP, height * width, channels],
    };
  },
};
