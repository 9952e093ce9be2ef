/** The compiled kernels: which build this machine can run, and their memory. */

import { fromBase64 } from "../../platform.ts";
import { BackendUnavailableError } from "../backend.ts";
import { MEMORY_PAGES } from "./memory_pages.ts";
import { type Kernels, PLAIN_BASE64, RELAXED_BASE64 } from "./kernels_generated.ts";

export type { Kernels };

/** The two builds of one source: with fused multiply-add, and with plain SIMD only. */
export type Build = "relaxed" | "plain";

const BUILDS: Readonly<Record<Build, string>> = { relaxed: RELAXED_BASE64, plain: PLAIN_BASE64 };

/** Compiled once: V8 goes on optimising a module while sessions use it. */
const modules: Partial<Record<Build, Promise<WebAssembly.Module>>> = {};

/** Whether this machine can run a build. */
export function supports(build: Build): boolean {
  return WebAssembly.validate(fromBase64(BUILDS[build]));
}

/** Compiles the best build that this machine can run, or the one asked for.
 *
 * @throws {BackendUnavailableError} If it can run none.
 */
export async function compileKernels(
  wanted?: Build,
): Promise<{ module: WebAssembly.Module; build: Build }> {
  const build = wanted ?? (["relaxed", "plain"] as const).find(supports);
  if (build === undefined || !supports(build)) {
    throw new BackendUnavailableError("WebAssembly SIMD with shared memory is missing");
  }
  modules[build] ??= WebAssembly.compile(fromBase64(BUILDS[build]));
  return { module: await modules[build], build };
}

/** Binds compiled kernels to a memory. */
export function instantiateKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Kernels {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return exports as unknown as Kernels;
}

/** The memory that the kernels expect. */
export function createMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
}
