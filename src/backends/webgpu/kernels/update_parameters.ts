/** Adds up a batch's partial gradients and updates the parameters with them. */

import type { OptimizerSpec } from "../../backend.ts";
import type { Kernel } from "../kernel.ts";

const INVOCATIONS = 64;

/** A layer's range of parameters, in vec4f, and its partial sums. */
export interface UpdateRange {
  readonly start: number;
  readonly end: number;
  /** First partial sum; copies are `end - start` apart. */
  readonly partials: number;
  /** WGSL for the number of copies. */
  readonly copies: string;
}

/** The buffers of {@linkcode updateParameters}, all in the layout of the parameters. */
export interface UpdateBuffers {
  readonly parameters: GPUBuffer;
  readonly gradients: GPUBuffer;
  readonly slots: readonly GPUBuffer[];
  readonly partials: GPUBuffer;
}

/** Equals the reference's `updateParameters`, on gradients that it first adds up, in order.
 *
 * An invocation takes four parameters. Before a batch's last chunk, or where only gradients are asked
 * for, it stores their sum instead.
 */
export function updateParameters(
  ranges: readonly UpdateRange[],
  { parameters, gradients, slots, partials }: UpdateBuffers,
  optimizer: OptimizerSpec,
): Kernel {
  const length = ranges[ranges.length - 1].end;
  const find = ranges.map(({ start, end, partials, copies }) =>
    `if (i < ${end}u) {
    place = ${partials}u + i - ${start}u;
    stride = ${end - start}u;
    copies = ${copies};
  }`
  );
  const code = `
@compute @workgroup_size(${INVOCATIONS})
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
  let i = group.x * ${INVOCATIONS}u + local.x;
  var place: u32;
  var stride: u32;
  var copies: u32;
  ${find.join(" else ")} else { return; }
  var gradient = vec4f();
  for (var copy = 0u; copy < copies; copy++) {
    gradient += partials[place];
    place += stride;
  }
  if (chunk.accumulate != 0u) { gradient += gradients[i]; }
  if (chunk.update == 0u) {
    gradients[i] = gradient;
    return;
  }
  ${updateRule(optimizer)}
}
`;
  const write = (name: string, buffer: GPUBuffer) => (
    { name, type: "array<vec4f>", access: "write", buffer } as const
  );
  return {
    label: "update_parameters",
    code,
    bindings: [
      { name: "partials", type: "array<vec4f>", access: "read", buffer: partials },
      write("parameters", parameters),
      write("gradients", gradients),
      ...slots.map((slot, index) => write(`slot${index}`, slot)),
    ],
    workgroups: [Math.ceil(length / INVOCATIONS), 1, 1],
  };
}

function updateRule(optimizer: OptimizerSpec): string {
  if (optimizer.type === "adam") {
    const { beta1, beta2, epsilon } = optimizer;
    return `let mean = ${beta1} * slot0[i] + ${1 - beta1} * gradient;
  let variance = ${beta2} * slot1[i] + ${1 - beta2} * gradient * gradient;
  slot0[i] = mean;
  slot1[i] = variance;
  let deviation = sqrt(variance * chunk.variance_scale) + ${epsilon};
  parameters[i] -= chunk.learning_rate * mean / deviation;`;
  }
  if (optimizer.momentum === 0) return "parameters[i] -= chunk.learning_rate * gradient;";
  return `let velocity = ${optimizer.momentum} * slot0[i] + gradient;
  slot0[i] = velocity;
  parameters[i] -= chunk.learning_rate * velocity;`;
}
