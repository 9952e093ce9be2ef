/** The backends `tfjs-cpu`, `tfjs-wasm` and `tfjs-webgpu`: TensorFlow.js behind the contract. */

import type { Backend, BackendName } from "../backend.ts";
import { type Engine, startCpu, startWasm, startWebgpu } from "./engines.ts";
import { TfjsSession } from "./session.ts";

/** TensorFlow.js in plain JavaScript: the ecosystem's own reference. */
export const tfjsCpuBackend: Backend = tfjsBackend("tfjs-cpu", startCpu);

/** TensorFlow.js on WebAssembly SIMD, with this project's training kernels. */
export const tfjsWasmBackend: Backend = tfjsBackend("tfjs-wasm", startWasm);

/** TensorFlow.js on WebGPU. */
export const tfjsWebgpuBackend: Backend = tfjsBackend("tfjs-webgpu", startWebgpu);

function tfjsBackend(name: BackendName, start: () => Promise<Engine>): Backend {
  let started: Promise<Engine> | undefined;
  return {
    name,
    async open(model, options) {
      if (options.shard !== undefined) {
        throw new TypeError(
          `Cannot share a training between processes on ${name}: use --backend wasm or webgpu`,
        );
      }
      started ??= start();
      return await TfjsSession.open(await started, model, options);
    },
  };
}
