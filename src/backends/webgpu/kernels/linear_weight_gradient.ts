/** Weight and bias gradients of linear layers: partial sums of some images. */

import { bindArray, type Binding, entryPoint, type Kernel, repeat } from "../kernel.ts";
import { macsOf } from "../operations.ts";
import type { KernelContext } from "../layers/layer.ts";
import { type DeviceTensor, roundUp } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import type { WeightGradientStage } from "./conv2d_weight_gradient.ts";

const INVOCATIONS = 64;

/** Images that share a copy of the gradients. */
export function linearGradientImages(capacity: number, tuning: Tuning): number {
  return Math.min(capacity, tuning.linearGradientImages);
}

/** Equals the reference's `linearBackward`, the sums it adds to `gradients`, once added up.
 *
 * The layers' partial sums are in one buffer. Each layer has a range of workgroups. An invocation takes four outputs and a few inputs, and adds up
 * over a range of images, four at a time: neighbours have the same inputs. A workgroup's y is the range
 * of images.
 */
export function linearWeightGradient(
  stages: readonly WeightGradientStage[],
  { tuning, capacity }: Pick<KernelContext, "tuning" | "capacity">,
): Kernel {
  const images = linearGradientImages(capacity, tuning);
  const sources = new Map<GPUBuffer, string>();
  for (const { input, gradMaps } of stages) {
    for (const { buffer } of [input, gradMaps]) {
      if (!sources.has(buffer)) sources.set(buffer, `source${sources.size}`);
    }
  }
  let firstGroup = 0;
  const parts = stages.map((stage) => {
    const columns = roundUp(stage.operation.maps[0], 4) / 4;
    const inputs = Math.min(tuning.linearGradientInputs, stage.operation.input[0]);
    const blocks = Math.ceil(stage.operation.input[0] / inputs);
    const start = firstGroup;
    firstGroup += Math.ceil(columns * blocks / INVOCATIONS);
    return `if (group.x < ${firstGroup}u) {
    let item = (group.x - ${start}u) * ${INVOCATIONS}u + local.x;
    if (item >= ${columns * blocks}u) { return; }
    ${stageWgsl(stage, { columns, inputs, sources, capacity })}
  }`;
  });
  const bindings = [...sources].map(([buffer, name]): Binding => (
    { name, type: "array<vec4f>", access: "read", buffer }
  ));
  return {
    label: `linear_weight_gradient ${stages.map(({ operation }) => operation.layer.name)}`,
    code: `
${entryPoint(INVOCATIONS)}
  let start = group.y * ${images / 4}u;
  let end = min(start + ${images / 4}u, chunk.groups * ${
      tuning.invocations * tuning.imagesPerInvocation / 4
    }u);
  ${parts.join(" else ")}
}
`,
    bindings: [
      ...bindings,
      bindArray("partials", stages[0].place.buffer, "vec4f", "write"),
    ],
    macs: stages.reduce((sum, { operation }) => sum + macsOf(operation), 0),
    workgroups: [firstGroup, Math.ceil(capacity / images), 1],
  };
}

function stageWgsl(
  { operation, input, gradMaps, place }: WeightGradientStage,
  { columns, inputs, sources, capacity }: {
    readonly columns: number;
    readonly inputs: number;
    readonly sources: ReadonlyMap<GPUBuffer, string>;
    readonly capacity: number;
  },
): string {
  const pitch = capacity / 4;
  const load = ({ buffer, offset, columnStride }: DeviceTensor, channel: string) =>
    `${sources.get(buffer)}[${offset / columnStride * pitch}u + (${channel}) * ${pitch}u + n]`;
  return `let o = item % ${columns}u;
    let block = item / ${columns}u;
    ${
    repeat(inputs, (i) =>
      `let i${i} = min(block * ${inputs}u + ${i}u, ${operation.input[0] - 1}u);
    var s${i} = vec4f();`)
  }
    ${operation.layer.bias ? "var bias = vec4f();" : ""}
    for (var n = start; n < end; n++) {
      ${repeat(4, (k) => `let d${k} = ${load(gradMaps, `o * 4u + ${k}u`)};`)}
      ${
    operation.layer.bias
      ? `bias += vec4f(${
        [0, 1, 2, 3].map((k) => `(d${k}.x + d${k}.y) + (d${k}.z + d${k}.w)`).join(", ")
      });`
      : ""
  }
      ${
    repeat(inputs, (i) =>
      `{
        let x = ${load(input, `i${i}`)};
        s${i} += vec4f(dot(d0, x), dot(d1, x), dot(d2, x), dot(d3, x));
      }`)
  }
    }
    let copy = ${place.start / 4}u + group.y * ${place.stride / 4}u + o;
    ${repeat(inputs, (i) => `partials[copy + i${i} * ${columns}u] = s${i};`)}
    ${
    operation.layer.bias ? `if (block == 0u) { partials[copy + ${place.bias / 4}u] = bias; }` : ""
  }`;
}
