/** All linear layers at a network's end in one kernel: forward, loss and input gradients. */

import {
  type Binding,
  bindTensor,
  divisorUpTo,
  imagesWgsl,
  type Kernel,
  MOST_ROUNDS,
  repeat,
} from "../kernel.ts";
import type { LossTargets } from "../../../nn/loss.ts";
import type { Program } from "../../program.ts";
import { type ConvolveOperation, macsOf, type Operation } from "../operations.ts";
import type { ParameterPlace } from "../parameter_layout.ts";
import { indexOf, roundUp, type Tensor } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { activate } from "./activation.ts";
import type { ResultBuffers } from "./gather_images.ts";
import { softmaxWgsl } from "./softmax_cross_entropy.ts";
import { callStoreGradient, type GradientTarget, storeGradient } from "./store_gradient.ts";

/** A linear layer and its tensors; outputs share a buffer, and gradients another. */
export interface LinearStage {
  readonly operation: ConvolveOperation;
  readonly input: Tensor;
  readonly output: Tensor;
  /** Undefined for evaluation. */
  readonly target?: GradientTarget;
  readonly weight: ParameterPlace;
  readonly bias?: ParameterPlace;
}

/** The buffers of {@linkcode linearLayers} beside the stages'. */
export interface LinearLayersBuffers {
  readonly parameters: GPUBuffer;
  readonly results: ResultBuffers;
  /** Undefined for evaluation. */
  readonly backward?: {
    /** The operation before the first layer, which gets its input's gradient, if it has parameters. */
    readonly target?: GradientTarget;
  };
  /** Of a loss that is not plain; evaluation measures the plain one. */
  readonly targets?: LossTargets;
}

/** Storage buffers that {@linkcode linearLayers} names at most. */
export const LINEAR_LAYERS_BUFFERS = 10;

/** Number of operations at a network's end that {@linkcode linearLayers} carries out: linear layers in a
 * row, each with at most one activation, or none where they would take too long for one kernel. */
export function countJoinedLayers(
  operations: readonly Operation[],
  { program, tuning }: { readonly program: Program; readonly tuning: Tuning },
): number {
  const joined: ConvolveOperation[] = [];
  for (const [index, operation] of [...operations.entries()].reverse()) {
    if (operation.type !== "convolve" || !operation.isLinear || operation.norm) break;
    if (joined.length > 0 && !program.isOnlyReader(index + 1, index)) break;
    joined.unshift(operation);
  }
  let rounds = 0;
  for (const operation of joined) {
    const [inFeatures] = operation.input;
    const columns = roundUp(operation.maps[0], 4);
    const { vectors, forwardInputs, backwardInputs } = tiles(operation, columns, tuning);
    const forward = columns / 4 / vectors * (1 + inFeatures / forwardInputs);
    const backward = inFeatures / backwardInputs * (1 + columns / 4);
    rounds += (forward + backward) / tuning.linearRows + 3 * columns;
  }
  return rounds < MOST_ROUNDS ? joined.length : 0;
}

/** Equals the separate kernels of the same layers, one after another.
 *
 * A workgroup takes some images, and has rows of invocations that share a layer's outputs among them;
 * between layers they wait for each other. Outputs and gradients go through device memory, which the
 * weight gradients need anyhow; what a workgroup reads, it has just written.
 */
export function linearLayers(
  stages: readonly LinearStage[],
  { parameters, results, backward, targets }: LinearLayersBuffers,
  tuning: Tuning,
): Kernel {
  const [first] = stages;
  const last = stages[stages.length - 1];
  const { linearRows: rows, linearLanes: lanes } = tuning;
  const nameOf = (index: number) => `store_gradient_${index}`;
  const stores = backward
    ? stages.map(({ target }, index) =>
      storeGradient(target!, { name: nameOf(index), gradients: "gradients", values: "outputs" })
        .code
    )
    : [];
  const target = backward?.target;
  const before = target && storeGradient(target);
  const wait = rows > 1 ? "storageBarrier();" : "";
  const logitAt = (k: string) => `outputs[${indexOf(last.output, [k, "0u", "0u"])}]`;
  const softmax = softmaxWgsl(logitAt, results, {
    classCount: last.operation.maps[0],
    tuning,
    targets,
    store: backward &&
      ((k, g) => `${nameOf(stages.length - 1)}(${k}, 0u, 0u, n, ${g});`),
  });
  const backwardParts = backward
    ? stages.map((stage, index) => {
      if (index === 0) return target && backwardWgsl(stage, { target, tuning });
      const { target: previous } = stages[index - 1];
      return backwardWgsl(stage, { target: previous!, name: nameOf(index - 1), tuning });
    })
    : [];
  const code = `${imagesWgsl(tuning)}
${stores.join("")}
${before?.code ?? ""}
${softmax.code}
@compute @workgroup_size(${lanes}, ${rows})
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
  let n = group.x * ${lanes}u + local.x;
  ${stages.map((stage, index) => forwardWgsl(stage, index, tuning)).join(`\n  ${wait}\n`)}
  ${wait}
  ${rows > 1 ? "if (local.y == 0u) { softmax_cross_entropy(n); }" : "softmax_cross_entropy(n);"}
  ${
    backwardParts.toReversed().map((part) => part === undefined ? "" : `${wait}\n${part}`).join(
      "\n",
    )
  }
}
`;
  const bindings: Binding[] = [
    bindTensor("features", first.input, "read"),
    { name: "parameters", type: "array<vec4f>", access: "read", buffer: parameters },
    bindTensor("outputs", first.output, "write"),
    ...(backward ? [bindTensor("gradients", first.target!.gradient, "write")] : []),
    ...softmax.bindings,
    ...(before?.bindings ?? []),
  ];
  return {
    label: `linear_layers${backward ? "" : " forward"}`,
    code,
    bindings,
    macs: (backward ? 2 : 1) * stages.reduce((sum, { operation }) => sum + macsOf(operation), 0),
    workgroups: [{ perGroup: tuning.invocations / lanes }, 1, 1],
  };
}

/** How many outputs and inputs an invocation takes at once. */
function tiles(operation: ConvolveOperation, columns: number, tuning: Tuning) {
  const [inFeatures] = operation.input;
  return {
    vectors: divisorUpTo(columns / 4, Math.max(1, tuning.linearSums / 4)),
    forwardInputs: divisorUpTo(inFeatures, tuning.linearForwardInputs),
    backwardInputs: divisorUpTo(inFeatures, tuning.linearSums),
    backwardOutputs: divisorUpTo(columns / 4, tuning.linearBackwardOutputs),
  };
}

function forwardWgsl(
  { operation, input, output, weight, bias }: LinearStage,
  index: number,
  tuning: Tuning,
): string {
  const columns = weight.columns / 4;
  const { vectors, forwardInputs } = tiles(operation, weight.columns, tuning);
  const source = index === 0 ? "features" : "outputs";
  const outputs = Math.min(4 * vectors, operation.maps[0]);
  return `for (var block = local.y * ${vectors}u; block < ${columns}u; block += ${
    tuning.linearRows * vectors
  }u) {
    ${
    repeat(vectors, (v) =>
      `let b${v} = ${bias ? `parameters[${bias.offset / 4 + v}u + block]` : "vec4f()"};`)
  }
    ${repeat(outputs, (o) => `var s${o} = Images(b${o >> 2}[${o & 3}]);`)}
    for (var c = 0u; c < ${input.channels}u; c += ${forwardInputs}u) {
      ${
    repeat(forwardInputs, (k) =>
      `let x${k} = ${source}[${indexOf(input, [`c + ${k}u`, "0u", "0u"])}];
      ${
        repeat(
          vectors,
          (v) =>
            `let w${k}_${v} = parameters[${
              weight.offset / 4 + v
            }u + (c + ${k}u) * ${columns}u + block];`,
        )
      }`)
  }
      ${
    repeat(forwardInputs, (k) =>
      repeat(outputs, (o) =>
        `s${o} += w${k}_${o >> 2}[${o & 3}] * x${k};`))
  }
    }
    ${
    repeat(outputs, (o) =>
      `outputs[${indexOf(output, [`block * 4u + ${o}u`, "0u", "0u"])}] = ${
        activate(operation.activation, `s${o}`)
      };`)
  }
  }`;
}

function backwardWgsl(
  { operation, target: own, weight }: LinearStage,
  { target, name, tuning }: {
    readonly target: GradientTarget;
    readonly name?: string;
    readonly tuning: Tuning;
  },
): string {
  const columns = weight.columns / 4;
  const [inFeatures] = operation.input;
  const { gradient } = own!;
  const { backwardInputs, backwardOutputs } = tiles(operation, weight.columns, tuning);
  const load = (c: number, v: number) =>
    `let w${c}_${v} = parameters[${
      weight.offset / 4
    }u + (first + ${c}u) * ${columns}u + o + ${v}u];`;
  return `for (var first = local.y * ${backwardInputs}u; first < ${inFeatures}u; first += ${
    tuning.linearRows * backwardInputs
  }u) {
    ${repeat(backwardInputs, (c) => `var g${c} = Images(0.0);`)}
    for (var o = 0u; o < ${columns}u; o += ${backwardOutputs}u) {
      ${
    repeat(4 * backwardOutputs, (k) =>
      `let d${k} = gradients[${indexOf(gradient, [`o * 4u + ${k}u`, "0u", "0u"])}];`)
  }
      ${
    backwardOutputs > 1
      ? repeat(backwardOutputs, (v) => repeat(backwardInputs, (c) => load(c, v)))
      : ""
  }
      ${
    repeat(backwardOutputs, (v) =>
      repeat(backwardInputs, (c) =>
        `{
        ${backwardOutputs > 1 ? "" : load(c, v)}
        g${c} += (w${c}_${v}.x * d${4 * v} + w${c}_${v}.y * d${4 * v + 1}) +
          (w${c}_${v}.z * d${4 * v + 2} + w${c}_${v}.w * d${4 * v + 3});
      }`))
  }
    }
    ${
    repeat(backwardInputs, (c) => {
      const element = { channel: `(first + ${c}u)`, y: "0u", x: "0u", gradient: `g${c}` };
      return callStoreGradient(target, element, true, name);
    })
  }
  }`;
}
