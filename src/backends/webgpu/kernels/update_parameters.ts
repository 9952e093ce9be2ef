/** Adds up a batch's partial gradients and updates the parameters with them. */

import { render, type Rendering, type UpdateRule } from "../../../nn/optimizers.ts";
import { bindArray, type Binding, entryPoint, type Kernel, numberWgsl, repeat } from "../kernel.ts";

const INVOCATIONS = 64;
/** Copies of a gradient whose loads are under way together. */
const COPIES = 8;

/** A layer's range of parameters, in vec4f, and its partial sums. */
export interface UpdateRange {
  readonly start: number;
  /** First that weight decay does not take. */
  readonly bias: number;
  readonly end: number;
  /** Buffer and place of the first partial sum; copies are `end - start` apart. */
  readonly buffer: number;
  readonly partials: number;
  /** WGSL for the number of copies. */
  readonly copies: string;
}

/** The buffers of {@linkcode updateParameters}, all in the layout of the parameters. */
export interface UpdateBuffers {
  readonly parameters: GPUBuffer;
  readonly gradients: GPUBuffer;
  readonly slots: readonly GPUBuffer[];
  readonly partials: readonly GPUBuffer[];
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
  const code = `${findWgsl(ranges, usesDecays(rule))}
  ${sumWgsl(partials)}
  if (chunk.update == 0u) {
    gradients[i] = gradient;
    return;
  }
  ${assignments(rule)}
}
`;
  return {
    label: "update_parameters",
    code,
    bindings: [
      ...bindPartials(partials),
      bindArray("parameters", parameters, "vec4f", "write"),
      bindArray("gradients", gradients, "vec4f", "write"),
      ...slots.map((slot, index) => bindArray(`slot${index}`, slot, "vec4f", "write")),
    ],
    workgroups: workgroupsFor(ranges),
  };
}

/** Numbers that the squares of all gradients are added up to, one a workgroup. */
export const SQUARES = 64;

/** The same in three kernels, since the update must know the norm of all gradients: their sums, the sums
 * of their squares, and the update by gradients times `clipFactor`. All sums are made in a fixed order.
 */
export function clippedUpdate(
  ranges: readonly UpdateRange[],
  { parameters, gradients, slots, partials, squares, rule, clipNorm }: UpdateBuffers & {
    readonly squares: GPUBuffer;
    readonly rule: UpdateRule;
    readonly clipNorm: number;
  },
): Kernel[] {
  const sum: Kernel = {
    label: "sum_gradients",
    code: `${findWgsl(ranges, false)}
  ${sumWgsl(partials)}
  gradients[i] = gradient;
}
`,
    bindings: [
      ...bindPartials(partials),
      bindArray("gradients", gradients, "vec4f", "write"),
    ],
    workgroups: workgroupsFor(ranges),
  };
  const square: Kernel = {
    label: "square_gradients",
    code: `
var<workgroup> sums: array<f32, ${INVOCATIONS}>;
${entryPoint(INVOCATIONS)}
  var sum = 0.0;
  for (var i = group.x * ${INVOCATIONS}u + local.x; i < ${lengthOf(ranges)}u; i += ${
      SQUARES * INVOCATIONS
    }u) {
    sum += dot(gradients[i], gradients[i]);
  }
  sums[local.x] = sum;
  workgroupBarrier();
  if (local.x != 0u) { return; }
  sum = 0.0;
  for (var n = 0u; n < ${INVOCATIONS}u; n++) { sum += sums[n]; }
  squares[group.x] = sum;
}
`,
    bindings: [
      bindArray("gradients", gradients, "vec4f"),
      bindArray("squares", squares, "f32", "write"),
    ],
    workgroups: [SQUARES, 1, 1],
  };
  const update: Kernel = {
    label: "update_parameters clipped",
    code: `${findWgsl(ranges, usesDecays(rule))}
  if (chunk.update == 0u) { return; }
  var sum = 0.0;
  for (var n = 0u; n < ${SQUARES}u; n++) { sum += squares[n]; }
  let gradient = gradients[i] * min(1.0, ${numberWgsl(clipNorm)} / (sqrt(sum) + 1e-6));
  ${assignments(rule)}
}
`,
    bindings: [
      bindArray("squares", squares),
      bindArray("parameters", parameters, "vec4f", "write"),
      bindArray("gradients", gradients, "vec4f"),
      ...slots.map((slot, index) => bindArray(`slot${index}`, slot, "vec4f", "write")),
    ],
    workgroups: workgroupsFor(ranges),
  };
  return [sum, square, update];
}

/** Head of an entry point that finds the range of parameters `i`, and with it what they are made of. */
function findWgsl(ranges: readonly UpdateRange[], wantsDecays: boolean): string {
  // What is frozen lies between ranges.
  const find = ranges.map(({ start, bias, end, buffer, partials, copies }, n) =>
    `${
      start > (ranges[n - 1]?.end ?? 0) ? `if (i < ${start}u) { return; } else ` : ""
    }if (i < ${end}u) {
    place = ${partials}u + i - ${start}u;
    stride = ${end - start}u;
    copies = ${copies};
    source = ${buffer}u;
    ${wantsDecays ? `decays = f32(i < ${bias}u);` : ""}
  }`
  );
  return `
${entryPoint(INVOCATIONS)}
  let i = group.x * ${INVOCATIONS}u + local.x;
  var place: u32;
  var stride: u32;
  var copies: u32;
  var source: u32;
  ${wantsDecays ? "var decays: f32;" : ""}
  ${find.join(" else ")} else { return; }`;
}

/** Adds up the copies of a gradient that {@linkcode findWgsl} found, and what earlier chunks left. */
function sumWgsl(partials: readonly GPUBuffer[]): string {
  const sums = partials.map((_, n) =>
    `if (source == ${n}u) {
  for (; copies >= ${COPIES}u; copies -= ${COPIES}u) {
    ${repeat(COPIES, (k) => `let p${k} = partials${n}[place + ${k}u * stride];`)}
    ${repeat(COPIES, (k) => `gradient += p${k};`)}
    place += ${COPIES}u * stride;
  }
  for (; copies > 0u; copies--) {
    gradient += partials${n}[place];
    place += stride;
  }
  }`
  );
  return `var gradient = vec4f();
  ${sums.join("\n  ")}
  if (chunk.accumulate != 0u) { gradient += gradients[i]; }`;
}

function bindPartials(partials: readonly GPUBuffer[]): Binding[] {
  return partials.map((buffer, n) => (
    bindArray(`partials${n}`, buffer, "vec4f")
  ));
}

function usesDecays({ update }: UpdateRule): boolean {
  return update.some(([, expression]) => /\bdecays\b/.test(expression));
}

function lengthOf(ranges: readonly UpdateRange[]): number {
  return ranges[ranges.length - 1].end;
}

function workgroupsFor(ranges: readonly UpdateRange[]): Kernel["workgroups"] {
  return [Math.ceil(lengthOf(ranges) / INVOCATIONS), 1, 1];
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
