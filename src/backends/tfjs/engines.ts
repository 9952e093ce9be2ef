/** Starting TensorFlow.js's own backends, quietly, and saying what they run on. */

import * as tf from "@tensorflow/tfjs";
import { BackendUnavailableError, type Device } from "../backend.ts";
import { useEmbeddedBinary } from "./embedded_binary.ts";
import { useCpu } from "./network.ts";
import { registerSoftwareGpuKernels } from "./software_gpu_kernels.ts";
import { registerWasmTrainingKernels } from "./wasm_kernels/register.ts";

/** A TensorFlow.js backend that has been started. */
export interface Engine {
  /** TensorFlow.js's name for it. */
  readonly tfName: "cpu" | "wasm" | "webgpu";
  readonly device: Device;
  /** Throws what the device reported out of band since the last call. */
  checkDevice(): void;
}

const noOutOfBandErrors = () => {};

/** Starts the plain JavaScript backend. */
export async function startCpu(): Promise<Engine> {
  await useCpu();
  return {
    tfName: "cpu",
    device: cpuDevice("TensorFlow.js plain JavaScript"),
    checkDevice: noOutOfBandErrors,
  };
}

/** Starts the WebAssembly backend and gives it the kernels that training needs. */
export async function startWasm(): Promise<Engine> {
  if (Deno.build.standalone) await useEmbeddedBinary();
  else await import("@tensorflow/tfjs-backend-wasm");
  registerWasmTrainingKernels();
  await activate("wasm");
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
export async function startWebgpu(): Promise<Engine> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new BackendUnavailableError(
      "no WebGPU adapter was found; install a Vulkan driver (on Debian: mesa-vulkan-drivers)",
    );
  }
  await import("@tensorflow/tfjs-backend-webgpu");
  await activate("webgpu");
  const { device } = tf.backend() as unknown as { readonly device: GPUDevice };
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

async function activate(tfName: Engine["tfName"]): Promise<void> {
  if (!await tf.setBackend(tfName)) {
    throw new BackendUnavailableError(`TensorFlow.js could not start its ${tfName} backend`);
  }
}

function cpuDevice(description: string): Device {
  return { kind: "cpu", description, threads: 1, software: false };
}
