/** The `webgpu` backend: whole training steps in fused WGSL kernels, on the GPU. */

import type { Model } from "../../nn/sequential.ts";
import type { Backend } from "../backend.ts";
import type { EngineOptions } from "../engine.ts";
import { engineBackend } from "../session.ts";
import { openWebgpuEngine, type WebgpuEngine } from "./engine.ts";
import { Gpu } from "./gpu.ts";
import { HARDWARE_TUNING, SOFTWARE_TUNING, type Tuning } from "./tuning.ts";

/** How to cut work and data for an adapter. */
export interface WebgpuBackendOptions {
  /** Default: what suits the adapter. */
  readonly tuning?: Tuning;
  /** Most bytes of a buffer of images; default: all that the device can bind. */
  readonly bytesPerBuffer?: number;
}

/** The fused engine on the fastest adapter. */
export const webgpuBackend: Backend = createWebgpuBackend();

/** The fused engine with work cut in another way, for tests and measurements. */
export function createWebgpuBackend(options: WebgpuBackendOptions = {}): Backend {
  return engineBackend("webgpu", (model, checked) => openEngine(model, checked, options));
}

/** Opens the engine without a session, for measurements. */
export async function openEngine(
  model: Model,
  options: EngineOptions,
  { tuning, bytesPerBuffer }: WebgpuBackendOptions = {},
): Promise<WebgpuEngine> {
  const gpu = await Gpu.open(options.adapter);
  try {
    return await openWebgpuEngine(gpu, model, {
      ...options,
      tuning: tuning ?? (gpu.software ? SOFTWARE_TUNING : HARDWARE_TUNING),
      bytesPerBuffer,
    });
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}
