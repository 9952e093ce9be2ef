/** Loss, prediction and gradient of the logits; and the logits themselves. */

import {
  bindArray,
  type Binding,
  bindTensor,
  imageKernel,
  type Kernel,
  numberWgsl,
  perImage,
} from "../kernel.ts";
import type { LossTargets } from "../../../nn/loss.ts";
import { type DeviceTensor, indexOf } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { type ResultBuffers, storeResults } from "./gather_images.ts";
import { type GradientTarget, storeGradient } from "./store_gradient.ts";

/** How {@linkcode softmaxWgsl} is written. */
export interface LossOptions {
  /** WGSL that stores the gradient of a class's logit; none for evaluation. */
  readonly store?: (k: string, gradient: string) => string;
  /** Of a loss that is not plain; only with `store`, as evaluation measures the plain one. */
  readonly targets?: LossTargets;
  readonly classCount: number;
  readonly tuning: Tuning;
}

/** WGSL of `softmax_cross_entropy(n)`, and the buffers it names beside the logits'.
 *
 * Equals the reference's `softmaxCrossEntropy`; losses and predictions go to each image's place. An
 * invocation takes all logits of its images. Places beyond the chunk get a gradient of zero, so that
 * they add nothing anywhere.
 *
 * @param logitAt WGSL for a logit from WGSL for its class.
 */
export function softmaxWgsl(
  logitAt: (k: string) => string,
  { labels, order, losses, predictions }: ResultBuffers,
  { store, classCount, tuning, targets }: LossOptions,
): { readonly code: string; readonly bindings: readonly Binding[] } {
  const weighed = store && targets && weighedWgsl(targets, tuning);
  const code = `
${weighed?.tables ?? ""}
fn label_of(position: u32) -> f32 {
  if (position >= chunk.count) { return -1.0; }
  let image = order[chunk.first + position];
  return f32((labels[image / 4u] >> (8u * (image % 4u))) & 255u);
}
fn weight_of(position: u32) -> f32 {
  return select(0.0, chunk.gradient_scale, position < chunk.count);
}
fn softmax_cross_entropy(n: u32) {
  let label = Images(${perImage(tuning, (place) => `label_of(${place})`)});
  var largest = ${logitAt("0u")};
  var prediction = Images(0.0);
  for (var k = 1u; k < ${classCount}u; k++) {
    let z = ${logitAt("k")};
    prediction = select(prediction, Images(f32(k)), z > largest);
    largest = select(largest, z, z > largest);
  }
  var sum = Images(0.0);
  var wanted = Images(0.0);
  for (var k = 0u; k < ${classCount}u; k++) {
    let z = ${logitAt("k")} - largest;
    sum += exp(z);
    wanted = select(wanted, z, label == Images(f32(k)));
  }
  ${weighed ? "var" : "let"} loss = log(sum) - wanted;
  ${
    store
      ? `let weight = Images(${perImage(tuning, (place) => `weight_of(${place})`)});
  let scale = weight / sum;
  ${weighed?.before ?? ""}
  for (var k = 0u; k < ${classCount}u; k++) {
    let wish = select(Images(0.0), weight, label == Images(f32(k)));
    ${weighed ? "var" : "let"} g = exp(${logitAt("k")} - largest) * scale - wish;
    ${weighed?.each(`${logitAt("k")} - largest`) ?? ""}
    ${store("k", "g")}
  }`
      : ""
  }
  ${
    storeResults(tuning, (place, image) =>
      `losses[${place}] = ${image("loss")}; predictions[${place}] = u32(${image("prediction")});`)
  }
}
`;
  const bindings: Binding[] = [
    bindArray("labels", labels, "u32"),
    bindArray("order", order, "u32"),
    bindArray("losses", losses, "f32", "write"),
    bindArray("predictions", predictions, "u32", "write"),
  ];
  return { code, bindings };
}

/** WGSL that makes the loss and the gradient of smoothed labels and weighted classes of the plain ones, as
 * `weighTargets` of `wasm` does.
 */
function weighedWgsl(
  { totals, others }: LossTargets,
  tuning: Tuning,
) {
  const all = others.reduce((sum, other) => sum + other, 0);
  const table = (name: string, values: readonly number[]) =>
    `var<private> ${name}: array<f32, ${values.length}> = array<f32, ${values.length}>(${
      values.map(numberWgsl).join(", ")
    });`;
  return {
    tables: `${table("totals", totals)}\n${table("others", others)}`,
    before: `let total = Images(${
      perImage(tuning, (place) => `totals[u32(max(label_of(${place}), 0.0))]`)
    });
  loss *= total;`,
    each: (logit: string) =>
      `loss += others[k] * (wanted - (${logit}));
    g = total * g + weight *
      select(Images(-others[k]), Images(${numberWgsl(all)} - others[k]), label == Images(f32(k)));`,
  };
}

/** The loss as a kernel of its own; without a target, for evaluation. */
export function softmaxCrossEntropy(
  logits: DeviceTensor,
  results: ResultBuffers,
  { target, classCount, tuning, targets }: {
    readonly targets?: LossTargets;
    /** The last operation, which gets the logits' gradient. */
    readonly target?: GradientTarget;
    readonly classCount: number;
    readonly tuning: Tuning;
  },
): Kernel {
  const stored = target && storeGradient(target, { isVector: true });
  const store = stored &&
    ((channel: string, gradient: string) => stored.call({ channel, gradient }));
  const logitAt = (k: string) => `logits[${indexOf(logits, [k, "0u", "0u"])}]`;
  const softmax = softmaxWgsl(logitAt, results, { store, classCount, tuning, targets });
  return imageKernel({
    label: `softmax_cross_entropy${target ? "" : " forward"}`,
    functions: `${stored?.code ?? ""}\n${softmax.code}`,
    main: "softmax_cross_entropy(n);",
    bindings: [
      bindTensor("logits", logits, "read"),
      ...softmax.bindings,
      ...(stored?.bindings ?? []),
    ],
    workgroups: [1, 1],
  }, tuning);
}

/** Copies a chunk's logits, row by row, to the places of its images. */
export function storeLogits(
  logits: DeviceTensor,
  { results, classCount }: { readonly results: GPUBuffer; readonly classCount: number },
  tuning: Tuning,
): Kernel {
  const main = `for (var k = 0u; k < ${classCount}u; k++) {
    let z = logits[${indexOf(logits, ["k", "0u", "0u"])}];
    ${
    storeResults(tuning, (place, image) =>
      `results[(${place}) * ${classCount}u + k] = ${image("z")};`)
  }
  }`;
  return imageKernel({
    label: "store_logits",
    main,
    bindings: [
      bindTensor("logits", logits, "read"),
      bindArray("results", results, "f32", "write"),
    ],
    workgroups: [1, 1],
  }, tuning);
}
