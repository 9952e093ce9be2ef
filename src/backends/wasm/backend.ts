/** The `wasm` backend: whole training steps in fused SIMD kernels, on every core. */

import type { Backend } from "../backend.ts";
import type { Build } from "./kernels.ts";
import { openWasmSession } from "./session.ts";

/** The fused engine on the best build of its kernels that this machine can run. */
export const wasmBackend: Backend = createWasmBackend();

/** The fused engine on one build of its kernels, for tests and measurements. */
export function createWasmBackend(build?: Build): Backend {
  return { name: "wasm", open: (model, options) => openWasmSession(model, options, build) };
}
