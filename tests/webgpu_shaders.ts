/** Every kernel of the zoo's models and of the parity table. */

import { DeviceState } from "../src/backends/webgpu/device_state.ts";
import { Gpu } from "../src/backends/webgpu/gpu.ts";
import { type Kernel, shaderOf } from "../src/backends/webgpu/kernel.ts";
import { gatherImages } from "../src/backends/webgpu/kernels/gather_images.ts";
import { buildNetwork } from "../src/backends/webgpu/network.ts";
import { layParameters } from "../src/backends/webgpu/parameter_layout.ts";
import { HARDWARE_TUNING, SOFTWARE_TUNING } from "../src/backends/webgpu/tuning.ts";
import { MODEL_NAMES, zooModel } from "../src/nn/zoo.ts";
import { caseModel, PARITY_CASES } from "./parity/cases.ts";

const ADAM = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/** Kernels of all models, trained and asked, with either tuning, for devices that take so many buffers. */
export async function kernelsOfAll(maxStorageBuffersPerShaderStage: number): Promise<Kernel[]> {
  const gpu = await Gpu.open();
  try {
    const limits = { maxStorageBuffersPerShaderStage, maxUniformBufferBindingSize: 65_536 };
    const createBuffer: Gpu["createBuffer"] = (...about) => gpu.createBuffer(...about);
    const limited = { device: { limits }, createBuffer } as unknown as Gpu;
    const some = createBuffer("some", 16, GPUBufferUsage.STORAGE);
    const results = { labels: some, order: some, losses: some, predictions: some };
    const models = [...MODEL_NAMES.map((name) => zooModel(name)), ...PARITY_CASES.map(caseModel)];
    return models.flatMap((model, index) => {
      const layout = layParameters(model);
      const state = new DeviceState(gpu, model, { layout, optimizer: ADAM });
      const clipNorm = index % 2 === 0 ? undefined : 1;
      const options = { state, optimizer: ADAM, clipNorm, seed: 0, capacity: 64 };
      return [HARDWARE_TUNING, SOFTWARE_TUNING].flatMap((tuning) =>
        (["train", "eval"] as const).flatMap((mode) => {
          const network = buildNetwork(limited, model, { ...options, tuning, mode });
          const { before, after, update } = network;
          const images = { images: [some], imagesPerBuffer: 10, order: some };
          const gather = gatherImages(images, network, tuning);
          return [gather, ...before, network.loss(results), ...after, ...update];
        })
      );
    });
  } finally {
    gpu.destroy();
  }
}

/** Their code, each once, with a kernel's name. */
export async function shadersOfAll(): Promise<Map<string, string>> {
  const kernels = await kernelsOfAll(10);
  return new Map(kernels.map((kernel) => [shaderOf(kernel), kernel.label]));
}
