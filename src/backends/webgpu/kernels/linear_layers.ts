/** Linear layers at a network's end in one kernel: forward, loss and input gradients. */

import {
  bindArray,
  type Binding,
  bindTensor,
  divisorUpTo,
  entryPoint,
  imagesWgsl,
  type Kernel,
  repeat,
} from "../kernel.ts";
import type { LossTargets } from "../../../nn/loss.ts";
import type { Program } from "../../program.ts";
import { type ConvolveOperation, macsOf, type Operation } from "../operations.ts";
import type { ParameterPlace } from "../parameter_layout.ts";
import { type DeviceTensor, indexOf, roundUp } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { activate, derive } from "./activation.ts";
import type { ResultBuffers } from "./gather_images.ts";
import { softmaxWgsl } from "./softmax_cross_entropy.ts";
import { type GradientTarget, storeGradient } from "./store_gradient.ts";

/** A linear layer and its tensors; outputs share a buffer, and gradients another. */
export interface LinearStage {
  readonly operation: ConvolveOperation;
  readonly input: DeviceTensor;
  readonly output: DeviceTensor;
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

/** Floats that a layer's outputs may take of a workgroup's memory. */
const MOST_SHARED = 256;

/** Number of operations at a network's end that {@linkcode linearLayers} carries out: linear layers in a
 * row, each with at most one activation, as many as do not take too long for one kernel. */
export function countJoinedLayers(
  operations: readonly Operation[],
  { program, tuning }: { readonly program: Program; readonly tuning: Tuning },
): number {
  let [joined, rounds] = [0, 0];
  for (const [index, operation] of [...operations.entries()].reverse()) {
    if (operation.type !== "convolve" || !operation.isLinear || operation.norm) break;
    if (joined > 0 && !program.isOnlyReader(index + 1, index)) break;
    rounds += roundsOf(operation, tuning);
    if (rounds > tuning.linearRounds || !fitsWorkgroup(operation, tuning)) break;
    joined++;
  }
  return joined;
}

/** Rounds of loads, each of which waits for the one before, of an invocation: forward and backward. */
function roundsOf(operation: ConvolveOperation, tuning: Tuning): number {
  const [inFeatures] = operation.input;
  const columns = roundUp(operation.maps[0], 4) / 4;
  const { vectors, forwardInputs, backwardInputs, backwardOutputs } = tiles(operation, tuning);
  const forward = Math.ceil(columns / vectors / tuning.linearRows) *
    (1 + inFeatures / forwardInputs);
  const backward = Math.ceil(inFeatures / backwardInputs / tuning.linearRows) *
    (1 + columns / backwardOutputs);
  return forward + backward;
}

function fitsWorkgroup({ maps }: ConvolveOperation, tuning: Tuning): boolean {
  return tuning.linearRows === 1 || sharedLength(maps[0], tuning) <= MOST_SHARED;
}

function sharedLength(outputs: number, { linearLanes }: Tuning): number {
  return roundUp(outputs, 4) * linearLanes;
}

/** Equals the separate kernels of the same layers, one after another.
 *
 * A workgroup takes some images, and has rows of invocations that share a layer's outputs among them. What
 * a layer leaves for the next one, and its gradient, in the same place, for the one before, is in workgroup
 * memory; a single row reads again what it has itself stored. Outputs and gradients are stored for the
 * weight gradients too.
 */
export function linearLayers(
  given: readonly LinearStage[],
  { parameters, results, backward, targets }: LinearLayersBuffers,
  tuning: Tuning,
): Kernel {
  const stages = given.map((stage, index) => locate(stage, index, tuning));
  const [first] = stages;
  const last = stages[stages.length - 1];
  const { linearRows: rows, linearLanes: lanes } = tuning;
  const isShared = rows > 1;
  const shared = stages.map(({ operation }, index) =>
    `var<workgroup> values_${index}: array<Images, ${sharedLength(operation.maps[0], tuning)}>;`
  );
  const stores = backward ? stages.map(storeWgsl) : [];
  const target = backward?.target;
  const before = target && storeGradient(target, { isVector: true });
  const wait = isShared ? "workgroupBarrier();" : "";
  const lastIndex = stages.length - 1;
  const softmax = softmaxWgsl(last.outputAt, results, {
    classCount: last.operation.maps[0],
    tuning,
    targets,
    store: backward && ((k, g) => `store_gradient_${lastIndex}(${k}, n, ${g});`),
  });
  const backwardParts = backward
    ? stages.map((stage, index) => {
      const store = index > 0
        ? (c: string, g: string) => `store_gradient_${index - 1}(${c}, n, ${g});`
        : before && ((channel: string, gradient: string) => before.call({ channel, gradient }));
      return store ? `${wait}\n${backwardWgsl(stage, store, tuning)}` : "";
    })
    : [];
  const code = `${imagesWgsl(tuning)}
${isShared ? shared.join("\n") : ""}
${stores.join("")}
${before?.code ?? ""}
${softmax.code}
${entryPoint(lanes, rows)}
  let n = group.x * ${lanes}u + local.x;
  ${stages.map((stage) => forwardWgsl(stage, tuning)).join(`\n  ${wait}\n`)}
  ${wait}
  ${isShared ? "if (local.y == 0u) { softmax_cross_entropy(n); }" : "softmax_cross_entropy(n);"}
  ${backwardParts.toReversed().join("\n")}
}
`;
  const bindings: Binding[] = [
    bindTensor("features", first.input, "read"),
    bindArray("parameters", parameters, "vec4f"),
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
function tiles(operation: ConvolveOperation, tuning: Tuning) {
  const [inFeatures] = operation.input;
  const columns = roundUp(operation.maps[0], 4) / 4;
  return {
    vectors: divisorUpTo(columns, Math.max(1, tuning.linearSums / 4)),
    forwardInputs: divisorUpTo(inFeatures, tuning.linearForwardInputs),
    backwardInputs: divisorUpTo(inFeatures, tuning.linearSums),
    backwardOutputs: divisorUpTo(columns, tuning.linearBackwardOutputs),
  };
}

/** A stage, and WGSL for where its values are. */
interface LocatedStage extends LinearStage {
  readonly inputAt: (channel: string) => string;
  readonly outputAt: (channel: string) => string;
  /** Where the gradient of an output is, before the activation; in workgroup memory it replaces the output. */
  readonly gradientAt: (channel: string) => string;
  /** WGSL that stores an output or a gradient: there, and where the weight gradients find it. */
  store(kind: "outputs" | "gradients", channel: string, value: string): string;
}

function locate(stage: LinearStage, index: number, tuning: Tuning): LocatedStage {
  const { linearLanes: lanes, linearRows } = tuning;
  const isShared = linearRows > 1;
  const shared = (index: number) => (channel: string) =>
    `values_${index}[(${channel}) * ${lanes}u + n % ${lanes}u]`;
  const device = (name: string, tensor: DeviceTensor) => (channel: string) =>
    `${name}[${indexOf(tensor, [channel, "0u", "0u"])}]`;
  const outputs = device("outputs", stage.output);
  const gradients = stage.target ? device("gradients", stage.target.gradient) : outputs;
  const handedOn = isShared ? shared(index - 1) : device("outputs", stage.input);
  return {
    ...stage,
    inputAt: index === 0 ? device("features", stage.input) : handedOn,
    outputAt: isShared ? shared(index) : outputs,
    gradientAt: isShared ? shared(index) : gradients,
    store(kind, channel, value) {
      const place = (kind === "outputs" ? outputs : gradients)(channel);
      return `${place} = ${value};${isShared ? ` ${shared(index)(channel)} = ${value};` : ""}`;
    },
  };
}

/** WGSL of a function that stores the gradient of a layer's output, from that of its activation's. */
function storeWgsl({ operation, outputAt, store }: LocatedStage, index: number): string {
  return `fn store_gradient_${index}(channel: u32, n: u32, g: Images) {
  let gradient = ${derive(operation.activation, outputAt("channel"), "g")};
  ${store("gradients", "channel", "gradient")}
}
`;
}

function forwardWgsl(
  { operation, input, weight, bias, inputAt, store }: LocatedStage,
  tuning: Tuning,
): string {
  const columns = weight.columns / 4;
  const { vectors, forwardInputs } = tiles(operation, tuning);
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
      `let x${k} = ${inputAt(`c + ${k}u`)};
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
      `let y${o} = ${activate(operation.activation, `s${o}`)};
    ${store("outputs", `block * 4u + ${o}u`, `y${o}`)}`)
  }
  }`;
}

function backwardWgsl(
  { operation, weight, gradientAt }: LocatedStage,
  storeInput: (channel: string, gradient: string) => string,
  tuning: Tuning,
): string {
  const columns = weight.columns / 4;
  const [inFeatures] = operation.input;
  const { backwardInputs, backwardOutputs } = tiles(operation, tuning);
  const load = (c: number, v: number) =>
    `let w${c}_${v} = parameters[${
      weight.offset / 4
    }u + (first + ${c}u) * ${columns}u + o + ${v}u];`;
  return `for (var first = local.y * ${backwardInputs}u; first < ${inFeatures}u; first += ${
    tuning.linearRows * backwardInputs
  }u) {
    ${repeat(backwardInputs, (c) => `var g${c} = Images(0.0);`)}
    for (var o = 0u; o < ${columns}u; o += ${backwardOutputs}u) {
      ${repeat(4 * backwardOutputs, (k) => `let d${k} = ${gradientAt(`o * 4u + ${k}u`)};`)}
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
    ${repeat(backwardInputs, (c) => storeInput(`(first + ${c}u)`, `g${c}`))}
  }`;
}
