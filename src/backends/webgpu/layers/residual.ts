/** The sum of body and shortcut. */

import type { ResidualLayer } from "../../../nn/layers/residual.ts";
import { A_GROUP, bindTensor, entryPoint, imagesWgsl } from "../kernel.ts";
import { activate } from "../kernels/activation.ts";
import { callStoreGradient, storeGradient } from "../kernels/store_gradient.ts";
import type { LayerPlan, SumOperation } from "../operations.ts";
import { indexOf } from "../tensors.ts";
import type { OperationKernels } from "./layer.ts";

/** See `residual` of the reference. */
export const residual: LayerPlan<ResidualLayer> = {
  operation: (_layer, base) => ({ ...base, type: "sum" }),
};

/** A sum, with the activation that is joined to it. An invocation computes one element of its images. */
export const sum: OperationKernels<SumOperation> = {
  forward({ operation, inputs: [body, shortcut], output }, { tuning }) {
    const { layer, activation, output: [channels, height, width] } = operation;
    const place = ["group.z", "y", "x"] as const;
    return {
      label: `sum_forward ${layer.name}`,
      code: `${imagesWgsl(tuning)}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let value = body[${indexOf(body, place)}] + shortcut[${indexOf(shortcut, place)}];
  output[${indexOf(output, place)}] = ${activate(activation, "value")};
}
`,
      bindings: [
        bindTensor("body", body, "read"),
        bindTensor("shortcut", shortcut, "read"),
        bindTensor("output", output, "write"),
      ],
      workgroups: [A_GROUP, height * width, channels],
    };
  },
  inputGradient({ operation, target: { gradient } }, targets, { tuning }) {
    const { layer, output: [channels, height, width] } = operation;
    const element = { channel: "group.z", y: "y", x: "x", gradient: "g" };
    const stores = targets.flatMap((target, index) => {
      if (target === undefined) return [];
      const name = `store_gradient_${index}`;
      const names = { name, gradients: `gradient_${index}`, values: `values_${index}` };
      const call = callStoreGradient(target, element, height * width === 1, name);
      return [{ ...storeGradient(target, names), call }];
    });
    return {
      label: `sum_backward ${layer.name}`,
      code: `${imagesWgsl(tuning)}
${stores.map(({ code }) => code).join("")}
${entryPoint(tuning)}
  let y = group.y / ${width}u;
  let x = group.y % ${width}u;
  let g = grad_output[${indexOf(gradient, ["group.z", "y", "x"])}];
  ${stores.map(({ call }) => call).join("\n  ")}
}
`,
      bindings: [
        bindTensor("grad_output", gradient, "read"),
        ...stores.flatMap(({ bindings }) => bindings),
      ],
      workgroups: [A_GROUP, height * width, channels],
    };
  },
};
