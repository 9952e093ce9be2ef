/** The `webgpu` backend: whole training steps in fused WGSL kernels, on the GPU. */

import type { Backend, SessionOptions } from "../backend.ts";
import { Gpu } from "./gpu.ts";
import { openWebgpuSession, type WebgpuSession } from "./session.ts";
import type { Model } from "../../nn/sequential.ts";
import { HARDWARE_TUNING, SOFTWARE_TUNING, type Tuning } from "./tuning.ts";

/** How to cut work and data for an adapter. */
export interface WebgpuBackendOptions {
  /** Default: what suits the adapter. */
  readonly tuning?: Tuning;
  /** Most bytes of a buffer of images; default: all that the device can bind. */
  readonly bytesPerBuffer?: number;
}

/** The `webgpu` backend, whose sessions can also time their kernels. */
export interface WebgpuBackend extends Backend {
  open(model: Model, options: SessionOptions): Promise<WebgpuSession>;
}

/** The fused engine on the fastest adapter. */
export const webgpuBackend: WebgpuBackend = createWebgpuBackend();

/** The fused engine with work cut in another way, for tests and measurements. */
export function createWebgpuBackend(options: WebgpuBackendOptions = {}): WebgpuBackend {
  return {
    name: "webgpu",
    async open(model, sessionOptions) {
      const gpu = await Gpu.open(sessionOptions.adapter);
      const { tuning = gpu.software ? SOFTWARE_TUNING : HARDWARE_TUNING, bytesPerBuffer } = options;
      try {
        return await openWebgpuSession(gpu, model, { ...sessionOptions, tuning, bytesPerBuffer });
      } catch (error) {
        gpu.destroy();
        throw error;
      }
    },
  };
}
