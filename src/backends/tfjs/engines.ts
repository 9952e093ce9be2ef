/** Starting TensorFlow.js's own backends, quietly, and saying what they run on. */

import * as tf from "./tfjs.ts";
import { BackendUnavailableError, type Device } from "../backend.ts";
import { useEmbeddedBinary } from "./embedded_binary.ts";
import { registerSoftwareGpuKernels } from "./software_gpu_kernels.ts";
import { registerWasmTrainingKernels } from "../../../packages/tfjs-wasm-training/mod.ts";

/** A TensorFlow.js backend that has been started. */
export interface Started {
  /** TensorFlow.js's name for it. */
  readonly tfName: "cpu" | "wasm" | "webgpu";
  readonly device: Device;
  /** Throws what the device reported out of band since the last call. */
  checkDevice(): void;
}

const noOutOfBandErrors = () => {};

/** Starts the plain JavaScript backend. */
export async function startCpu(): Promise<Started> {
  const backend = tf.findBackend("cpu") as unknown as { firstUse: boolean };
  backend.firstUse = false; // or else it greets Node users with a banner
  await initialize("cpu");
  return {
    tfName: "cpu",
    device: cpuDevice("TensorFlow.js plain JavaScript"),
    checkDevice: noOutOfBandErrors,
  };
}

/** Starts the WebAssembly backend and gives it the kernels that training needs. */
export async function startWasm(): Promise<Started> {
  if (Deno.build.standalone) await useEmbeddedBinary();
  else await import("npm:@tensorflow/tfjs-backend-wasm@4.22.0");
  registerWasmTrainingKernels();
  await initialize("wasm");
  return {
    tfName: "wasm",
    device: cpuDevice("TensorFlow.js WebAssembly SIMD"),
    checkDevice: noOutOfBandErrors,
  };
}

/** Starts the WebGPU backend.
 *
 * @throws {BackendUnavailableError} If there is no WebGPU or no adapter.
 */
export async function startWebgpu(): Promise<Started> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new BackendUnavailableError(
      "no WebGPU adapter was found; install a Vulkan driver (on Debian: mesa-vulkan-drivers)",
    );
  }
  await import("npm:@tensorflow/tfjs-backend-webgpu@4.22.0");
  await initialize("webgpu");
  const { device } = tf.findBackend("webgpu") as unknown as { readonly device: GPUDevice };
  // TensorFlow.js goes on with zeros after a WGSL validation error: remember it instead.
  let failure: string | undefined;
  device.addEventListener("uncapturederror", (event) => {
    failure ??= (event as GPUUncapturedErrorEvent).error.message;
  });
  device.lost.then(({ message, reason }) => {
    if (reason !== "destroyed") failure ??= `device lost: ${message}`;
  });
  const { description, device: name, vendor, isFallbackAdapter } = adapter.info;
  if (isFallbackAdapter) registerSoftwareGpuKernels();
  return {
    tfName: "webgpu",
    device: {
      kind: "gpu",
      description: `TensorFlow.js WebGPU on ${description || name || vendor || "unnamed adapter"}`,
      threads: 1,
      software: isFallbackAdapter,
    },
    checkDevice() {
      if (failure !== undefined) {
        throw new Error(`The GPU reported an error: ${failure.split("\n")[0]}`);
      }
    },
  };
}

/** The start that is going on: until its end TensorFlow.js refuses all work, on any backend. */
let starting: Promise<void> | undefined;

/** Starts a backend without making it the active one, which may be another's. */
async function initialize(tfName: Started["tfName"]): Promise<void> {
  while (starting) await starting; // it would forget one start over the next
  if (!tf.findBackend(tfName)) {
    starting = tf.ready().finally(() => starting = undefined);
    await starting;
  }
  if (tf.engine().registry[tfName]) return;
  throw new BackendUnavailableError(`TensorFlow.js could not start its ${tfName} backend`);
}

/** Does something with a backend as the active one, of which the whole program has but one, and gives
 * the place back to the one before it. Whatever follows the work's first wait has no such backend.
 */
export async function withActive<T>(
  tfName: Started["tfName"],
  work: () => T | Promise<T>,
): Promise<T> {
  while (starting) await starting;
  const engine = tf.engine();
  const before = engine.backendName;
  // Of a backend that has been started, all of it takes effect at once.
  void tf.setBackend(tfName);
  let result: T | Promise<T>;
  try {
    result = work();
  } finally {
    if (before !== tfName && engine.registry[before]) void tf.setBackend(before);
  }
  return await result;
}

function cpuDevice(description: string): Device {
  return { kind: "cpu", description, threads: 1, software: false };
}
