/** The `wasm` backend: whole training steps in fused SIMD kernels, on every core. */

import type { Backend } from "../backend.ts";
import { engineBackend } from "../session.ts";
import type { Build } from "./kernels.ts";
import { openWasmEngine } from "./engine.ts";

/** The fused engine on the best build of its kernels that this machine can run. */
export const wasmBackend: Backend = createWasmBackend();

/** The fused engine on one build of its kernels, for tests and measurements. */
export function createWasmBackend(build?: Build): Backend {
  return engineBackend("wasm", (model, options) => openWasmEngine(model, options, build));
}
