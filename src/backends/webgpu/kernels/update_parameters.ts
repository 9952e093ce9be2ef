/** Adds up a batch's partial gradients and updates the parameters with them. */

import { render, type Rendering, type UpdateRule } from "../../../nn/optimizers.ts";
import type { Kernel } from "../kernel.ts";

const INVOCATIONS = 64;

/** A layer's range of parameters, in vec4f, and its partial sums. */
export interface UpdateRange {
  readonly start: number;
  /** First that weight decay does not take. */
  readonly bias: number;
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
  rule: UpdateRule,
): Kernel {
  const length = ranges[ranges.length - 1].end;
  const usesDecays = rule.update.some(([, expression]) => /\bdecays\b/.test(expression));
  // What is frozen lies between ranges.
  const find = ranges.map(({ start, bias, end, partials, copies }, n) =>
    `${
      start > (ranges[n - 1]?.end ?? 0) ? `if (i < ${start}u) { return; } else ` : ""
    }if (i < ${end}u) {
    place = ${partials}u + i - ${start}u;
    stride = ${end - start}u;
    copies = ${copies};
    ${usesDecays ? `decays = f32(i < ${bias}u);` : ""}
  }`
  );
  const code = `
@compute @workgroup_size(${INVOCATIONS})
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
  let i = group.x * ${INVOCATIONS}u + local.x;
  var place: u32;
  var stride: u32;
  var copies: u32;
  ${usesDecays ? "var decays: f32;" : ""}
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
  ${assignments(rule)}
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

const WGSL: Rendering<string> = {
  value: (name) => name,
  add: (a, b) => `(${a} + ${b})`,
  sub: (a, b) => `(${a} - ${b})`,
  mul: (a, b) => `(${a} * ${b})`,
  div: (a, b) => `(${a} / ${b})`,
  sqrt: (a) => `sqrt(${a})`,
  fma: (a, b, c) => `(${a} * ${b} + ${c})`,
};

/** A rule in WGSL, with its constants from the chunk and its slots from their buffers. */
function assignments({ constants, slots, update }: UpdateRule): string {
  const places = { parameter: "parameters[i]" };
  for (const [index, name] of slots.entries()) Object.assign(places, { [name]: `slot${index}[i]` });
  return [
    ...Object.keys(constants).map((name, index) =>
      `let ${name} = chunk.constants[${index >> 2}][${index & 3}];`
    ),
    ...Object.entries(places).map(([name, place]) => `var ${name} = ${place};`),
    ...update.map(([target, expression]) => `${target} = ${render(expression, WGSL)};`),
    ...Object.entries(places).map(([name, place]) => `${place} = ${name};`),
  ].join("\n  ");
}
