/** Backends by name, and which of them can run here. */

import { checkName } from "../check.ts";
import { flatten, linear } from "../nn/layers.ts";
import { type Model, sequential } from "../nn/sequential.ts";
import {
  type Backend,
  type BackendName,
  BackendUnavailableError,
  type Session,
  type SessionOptions,
} from "./backend.ts";

/** Imported only when asked for, so that one engine's run does not load another's code. */
const BACKENDS: Readonly<Record<BackendName, () => Promise<Backend>>> = {
  "webgpu": async () => (await import("./webgpu/backend.ts")).webgpuBackend,
  "wasm": async () => (await import("./wasm/backend.ts")).wasmBackend,
  "tfjs-webgpu": async () => (await import("./tfjs/backend.ts")).tfjsWebgpuBackend,
  "tfjs-wasm": async () => (await import("./tfjs/backend.ts")).tfjsWasmBackend,
  "tfjs-cpu": async () => (await import("./tfjs/backend.ts")).tfjsCpuBackend,
  "reference": async () => (await import("./reference/backend.ts")).referenceBackend,
};

/** Names of all backends, the fastest first. */
export const BACKEND_NAMES = Object.keys(BACKENDS) as BackendName[];

/** Loads a backend's code; whether it can run here shows when a session is opened.
 *
 * @throws {TypeError} If there is no such backend.
 * @example What does it run on?
 * ```ts
 * import { lenet, loadBackend } from "@lenet/lenet";
 *
 * const backend = await loadBackend("reference");
 * await using session = await backend.open(lenet(), {
 *   optimizer: { type: "sgd", momentum: 0 },
 *   batchSize: 1,
 * });
 * if (session.device.kind !== "cpu") throw new Error("expected the CPU");
 * ```
 */
export async function loadBackend(name: BackendName): Promise<Backend> {
  checkName("backend", name, BACKEND_NAMES);
  return await BACKENDS[name]();
}

/** Opens a session on a backend.
 *
 * @throws {BackendUnavailableError} If it cannot run here; the message says which can.
 */
export async function openSession(
  name: BackendName,
  model: Model,
  options: SessionOptions,
): Promise<Session> {
  const backend = await loadBackend(name);
  return await orSayWhatIsAvailable(name, () => backend.open(model, options));
}

/** Opens a session by what is passed in; a backend that is not available is named with those that are.
 *
 * @throws {BackendUnavailableError} If it cannot run here; the message says which can.
 */
export async function orSayWhatIsAvailable(
  name: BackendName,
  open: () => Promise<Session>,
): Promise<Session> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof BackendUnavailableError)) throw error;
    const available = (await listAvailable()).join(", ");
    throw new BackendUnavailableError(
      `Backend "${name}" is not available: ${error.message}; available here: ${available}`,
    );
  }
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
