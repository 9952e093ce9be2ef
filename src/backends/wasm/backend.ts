/** The `wasm` backend: whole training steps in fused SIMD kernels, on every core. */

import type { Backend } from "../backend.ts";
import { engineBackend } from "../session.ts";
import { openWasmEngine, type WasmOptions } from "./engine.ts";

/** The fused engine on the best build of its kernels that this machine can run. */
export const wasmBackend: Backend = createWasmBackend();

/** The fused engine on one build of its kernels or in one way to compute, for tests and measurements. */
export function createWasmBackend(only?: WasmOptions): Backend {
  return engineBackend("wasm", (model, options) => openWasmEngine(model, options, only));
}
