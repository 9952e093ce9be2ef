/** What training changes, on a device, and the way there and back. */

import { ruleOf } from "../../nn/optimizers.ts";
import type { Model } from "../../nn/sequential.ts";
import type { EngineOptions, Vectors } from "../engine.ts";
import type { Gpu } from "./gpu.ts";
import { packParameters, type ParameterLayout, unpackParameters } from "./parameter_layout.ts";
import type { ReadRange, WorkBuffers } from "./work_buffers.ts";

/** A model's parameters, their gradients, the optimiser's vectors and running statistics. */
export class DeviceState {
  readonly layout: ParameterLayout;
  readonly parameters: GPUBuffer;
  readonly gradients: GPUBuffer;
  readonly slots: readonly GPUBuffer[];
  /** In the layout of the model. */
  readonly statistics: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #model: Model;

  /** Makes room for it. */
  constructor(
    gpu: Gpu,
    model: Model,
    { optimizer, layout }: Pick<EngineOptions, "optimizer"> & { readonly layout: ParameterLayout },
  ) {
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const vector = (label: string, length = layout.length) =>
      gpu.createBuffer(label, 4 * length, STORAGE | UNIFORM | COPY_SRC | COPY_DST);
    this.layout = layout;
    this.parameters = vector("parameters");
    this.gradients = vector("gradients");
    this.slots = ruleOf(optimizer).slots.map((name) => vector(name));
    this.statistics = vector("statistics", Math.max(4, model.statisticCount));
    this.#gpu = gpu;
    this.#model = model;
  }

  /** Copies vectors to the device. */
  load({ parameters, statistics, slots }: Vectors): void {
    this.#write(this.parameters, parameters);
    for (const [n, slot] of slots.entries()) this.#write(this.slots[n], slot);
    // Deno 2.9 does not survive writing nothing.
    if (statistics.length === 0) return;
    this.#gpu.device.queue.writeBuffer(this.statistics, 0, statistics as BufferSource);
  }

  /** Where they lie, for {@linkcode DeviceState.unpack}. */
  get ranges(): ReadRange[] {
    return [
      { buffer: this.statistics, byteLength: 4 * this.#model.statisticCount },
      ...[this.parameters, ...this.slots].map((buffer) => this.#range(buffer)),
    ];
  }

  /** What was read of them, in the model's layout. */
  unpack([statistics, parameters, ...slots]: readonly ArrayBuffer[]): Vectors {
    return {
      parameters: this.#unpack(parameters),
      statistics: new Float32Array(statistics),
      slots: slots.map((slot) => this.#unpack(slot)),
    };
  }

  /** Copies gradients to the device. */
  writeGradients(gradients: Float32Array): void {
    this.#write(this.gradients, gradients);
  }

  /** Copies gradients from the device. */
  async readGradients(work: WorkBuffers): Promise<Float32Array> {
    return this.#unpack((await work.read([this.#range(this.gradients)]))[0]);
  }

  #range(buffer: GPUBuffer): ReadRange {
    return { buffer, byteLength: 4 * this.layout.length };
  }

  #write(buffer: GPUBuffer, values: Float32Array): void {
    const packed = packParameters(this.layout, values) as BufferSource;
    this.#gpu.device.queue.writeBuffer(buffer, 0, packed);
  }

  #unpack(bytes: ArrayBuffer): Float32Array {
    return unpackParameters(this.layout, new Float32Array(bytes), this.#model.parameterCount);
  }
}
