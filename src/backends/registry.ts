/** Backends by name, and the choice of one for this machine. */

import { flatten, linear } from "../nn/layers.ts";
import { sequential } from "../nn/sequential.ts";
import {
  type Backend,
  type BackendName,
  BackendUnavailableError,
  type SessionOptions,
} from "./backend.ts";

/** Imported only when asked for, so that one engine's run does not load another's code. */
const BACKENDS: Readonly<Record<BackendName, () => Promise<Backend>>> = {
  "wasm": async () => (await import("./wasm/backend.ts")).wasmBackend,
  "tfjs-webgpu": async () => (await import("./tfjs/backend.ts")).tfjsWebgpuBackend,
  "tfjs-wasm": async () => (await import("./tfjs/backend.ts")).tfjsWasmBackend,
  "tfjs-cpu": async () => (await import("./tfjs/backend.ts")).tfjsCpuBackend,
  "reference": async () => (await import("./reference/backend.ts")).referenceBackend,
};

/** Names of all backends, the fastest first. */
export const BACKEND_NAMES = Object.keys(BACKENDS) as BackendName[];

/** Loads a backend's code; whether it can run here shows when a session is opened. */
export function loadBackend(name: BackendName): Promise<Backend> {
  return BACKENDS[name]();
}

/** A backend's name and why it was chosen. */
export interface BackendChoice {
  /** The backend to load. */
  readonly name: BackendName;
  /** For example "no WebGPU adapter was found". */
  readonly reason: string;
}

/** Chooses the fastest backend for this machine: a hardware GPU if there is one, else the CPU. */
export async function chooseBackend(): Promise<BackendChoice> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return { name: "wasm", reason: "no WebGPU adapter was found" };
  const { description, device } = adapter.info;
  const adapterName = description || device || "an unnamed adapter";
  return adapter.info.isFallbackAdapter
    ? { name: "wasm", reason: `WebGPU has only ${adapterName}, which is software` }
    : { name: "tfjs-webgpu", reason: `WebGPU has ${adapterName}` };
}

/** Opens the backends in turn to say which can run here, for the error that names them. */
export async function listAvailable(): Promise<BackendName[]> {
  const model = sequential([flatten(), linear({ outFeatures: 2 })], { inputShape: [1, 1, 1] });
  const options: SessionOptions = { optimizer: { type: "sgd", momentum: 0 }, batchSize: 1 };
  const available: BackendName[] = [];
  for (const name of BACKEND_NAMES) {
    try {
      const backend = await loadBackend(name);
      await using _session = await backend.open(model, options);
      available.push(name);
    } catch (error) {
      if (!(error instanceof BackendUnavailableError)) throw error;
    }
  }
  return available;
}
