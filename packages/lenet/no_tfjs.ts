/** In place of the backends that rest on TensorFlow.js, which the npm package comes without. */

import {
  type Backend,
  type BackendName,
  BackendUnavailableError,
} from "../../src/backends/backend.ts";

function unavailable(name: BackendName): Backend {
  return {
    name,
    open: () =>
      Promise.reject(
        new BackendUnavailableError(
          "the npm package comes without TensorFlow.js; use wasm or webgpu",
        ),
      ),
  };
}

export const tfjsWebgpuBackend: Backend = unavailable("tfjs-webgpu");
export const tfjsWasmBackend: Backend = unavailable("tfjs-wasm");
export const tfjsCpuBackend: Backend = unavailable("tfjs-cpu");
