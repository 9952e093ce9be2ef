/** What a kernel is before it is compiled: WGSL, the buffers it names, and its workgroups. */

import { type Chunk, CHUNK_WGSL } from "./chunk.ts";
import type { DeviceTensor } from "./tensors.ts";
import type { Tuning } from "./tuning.ts";

/** A buffer that a kernel names. */
export interface Binding {
  readonly name: string;
  /** WGSL type, such as `array<vec4f>`. */
  readonly type: string;
  readonly access: "read" | "write" | "uniform";
  readonly buffer: GPUBuffer;
  /** In bytes; default: the whole buffer. */
  readonly offset?: number;
  readonly size?: number;
}

/** A compute kernel with everything it works on. */
export interface Kernel {
  /** Name of the kernel, and of the layer it belongs to. */
  readonly label: string;
  /** WGSL with the entry point `main`, without the declarations of bindings. */
  readonly code: string;
  readonly bindings: readonly Binding[];
  /** Workgroups in x: a number, or some for each group of images of the chunk. */
  readonly workgroups: Workgroups;
  /** Multiply-adds of an image; left out where they are few. */
  readonly macs?: number;
  /** Floats that it leaves, of which all shards need the sum before the next kernel. */
  readonly shared?: {
    readonly buffer: GPUBuffer;
    readonly start: number;
    readonly length: number;
  };
}

/** See {@linkcode Kernel}. */
export type Workgroups = readonly [
  x: number | { readonly perGroup: number },
  y: number,
  z: number,
];

/** Workgroups in x for a chunk. */
export function workgroupsOf([x]: Workgroups, { groups }: Chunk): number {
  return typeof x === "number" ? x : x.perGroup * groups;
}

/** One workgroup for each group of images. */
export const A_GROUP = { perGroup: 1 } as const;

/** A kernel's whole WGSL: the chunk, its bindings from 1, and its code. */
export function shaderOf({ code, bindings }: Kernel): string {
  const declarations = bindings.map(({ name, type, access }, index) => {
    const space = { read: "storage, read", write: "storage, read_write", uniform: "uniform" };
    return `@group(0) @binding(${index + 1}) var<${space[access]}> ${name}: ${type};\n`;
  });
  return CHUNK_WGSL + declarations.join("") + code;
}

const GROUP = "@builtin(workgroup_id) group: vec3u) {";

/** The same kernel with no dimension of more than `most` workgroups: those with too many are laid out in
 * rows of `most`, from which its entry point finds its `group` again.
 */
export function foldWorkgroups(kernel: Kernel, most: number): Kernel {
  const { label, code, workgroups: [x, y, z] } = kernel;
  const fixed = typeof x === "number" ? [x, y, z] : [y, z];
  if (fixed.every((size) => size <= most)) return kernel;
  const total = fixed.reduce((product, size) => product * size, 1);
  const rows = Math.ceil(total / most);
  if (!code.includes(GROUP) || rows > most || total >= 2 ** 32) {
    throw new RangeError(`Cannot run ${label}: its ${total} workgroups are too many for this GPU`);
  }
  const [place, group, workgroups]: [string, string, Workgroups] = typeof x === "number"
    ? [
      `folded.y * ${most}u + folded.x`,
      `vec3u(row % ${x}u, row / ${x}u % ${y}u, row / ${x * y}u)`,
      [most, rows, 1],
    ]
    : [
      `folded.z * ${most}u + folded.y`,
      `vec3u(folded.x, row % ${y}u, row / ${y}u)`,
      [x, most, rows],
    ];
  const head = `@builtin(workgroup_id) folded: vec3u) {
  let folded_place = ${place};
  if (folded_place >= ${total}u) { return; }
  let group = ${group.replaceAll("row", "folded_place")};`;
  return { ...kernel, code: code.replace(GROUP, head), workgroups };
}

/** WGSL for `Images`, the values of the images that one invocation carries side by side. */
export function imagesWgsl({ imagesPerInvocation }: Tuning): string {
  const isOne = imagesPerInvocation === 1;
  const [bits, truth] = isOne ? ["u32", "bool"] : ["vec4u", "vec4<bool>"];
  return `alias Images = ${isOne ? "f32" : "vec4f"};
fn total(x: Images) -> f32 { return ${isOne ? "x" : "(x.x + x.y) + (x.z + x.w)"}; }
// Of its bits, since compilers may take x == x for true.
fn is_nan(x: Images) -> ${truth} {
  return (bitcast<${bits}>(x) & ${bits}(0x7fffffffu)) > ${bits}(0x7f800000u);
}
fn exceeds(x: Images, y: Images) -> ${truth} { return (x > y) | is_nan(x); }
fn larger(x: Images, y: Images) -> Images { return select(x, y, exceeds(y, x)); }
`;
}

/** WGSL for image number `index` of an expression of type `Images`. */
export function imageOf({ imagesPerInvocation }: Tuning, expression: string, index: number) {
  return imagesPerInvocation === 1 ? expression : `${expression}[${index}]`;
}

/** WGSL of a value for each of an invocation's images, from WGSL for its place among the chunk's. */
export function perImage({ imagesPerInvocation: side }: Tuning, value: (place: string) => string) {
  return Array.from({ length: side }, (_, image) => value(`n * ${side}u + ${image}u`)).join(", ");
}

/** WGSL of `draw_at(key, step, image, unit)`, the random integers of `drawAt`. */
export const RANDOM_WGSL = `
fn follow(hash: u32, value: u32) -> u32 {
  var mixed = hash + (value + 1u) * 0x9e3779b9u;
  mixed = (mixed ^ (mixed >> 16u)) * 0x85ebca6bu;
  mixed = (mixed ^ (mixed >> 13u)) * 0xc2b2ae35u;
  return mixed ^ (mixed >> 16u);
}
fn draw_at(key: u32, step: u32, image: u32, unit: u32) -> u32 {
  return follow(follow(follow(key, step), image), unit);
}
`;

/** Head of an entry point. */
export function entryPoint(...size: readonly number[]): string {
  return `@compute @workgroup_size(${size.join(", ")})
fn main(@builtin(local_invocation_id) local: vec3u, ${GROUP}`;
}

/** A kernel whose workgroups in x are groups of images, of which an invocation has its own. */
export function imageKernel(
  { functions = "", main, workgroups, ...kernel }: Omit<Kernel, "code" | "workgroups"> & {
    /** WGSL beside the entry point's. */
    readonly functions?: string;
    /** WGSL of the entry point; `n` is the invocation's place among the chunk's images. */
    readonly main: string;
    readonly workgroups: readonly [y: number, z: number];
  },
  tuning: Tuning,
): Kernel {
  const code = `${imagesWgsl(tuning)}
${functions}
${entryPoint(tuning.invocations)}
  let n = group.x * ${tuning.invocations}u + local.x;
  ${main}
}
`;
  return { ...kernel, code, workgroups: [A_GROUP, ...workgroups] };
}

/** A number as WGSL of type f32; the least are none. */
export function numberWgsl(value: number): string {
  return `f32(${Math.abs(value) < 1e-37 ? 0 : Math.fround(value)})`;
}

/** Binds a tensor as an array of `Images`. */
export function bindTensor(name: string, tensor: DeviceTensor, access: "read" | "write"): Binding {
  return bindArray(name, tensor.buffer, "Images", access);
}

/** Binds a buffer as numbers of a type. */
export function bindArray(
  name: string,
  buffer: GPUBuffer,
  type: "f32" | "u32" | "vec4f" | "Images" = "f32",
  access: "read" | "write" = "read",
): Binding {
  return { name, type: `array<${type}>`, access, buffer };
}

/** The numbers below `count`. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** Lines for each number below `count`. */
export function repeat(count: number, line: (index: number) => string): string {
  return range(count).map(line).join("\n");
}

/** The largest divisor of `value` that is not above `limit`. */
export function divisorUpTo(value: number, limit: number): number {
  for (let divisor = Math.min(value, Math.floor(limit)); divisor > 1; divisor--) {
    if (value % divisor === 0) return divisor;
  }
  return 1;
}
