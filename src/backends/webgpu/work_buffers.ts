/** What a call sends to the device and gets back: an order of images, and results in its places. */

import type { Gpu } from "./gpu.ts";
import { oneLine } from "./shared_device.ts";

/** A range to read back. */
export interface ReadRange {
  readonly buffer: GPUBuffer;
  /** Default 0. */
  readonly byteOffset?: number;
  readonly byteLength: number;
}

/** Buffers as long as the longest order so far. */
export class WorkBuffers {
  readonly #gpu: Gpu;
  /** Indices of images. */
  order: GPUBuffer;
  /** An f32 for each place. */
  losses: GPUBuffer;
  /** A u32 for each place. */
  predictions: GPUBuffer;
  #length = 1024;
  #staging: GPUBuffer | undefined;

  /** Starts with room for a small order. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.order = this.#create("order");
    this.losses = this.#create("losses");
    this.predictions = this.#create("predictions");
  }

  /** Writes an order, and makes room for its results. */
  setOrder(order: Uint32Array): void {
    if (order.length > this.#length) {
      this.#length = order.length;
      for (const name of ["order", "losses", "predictions"] as const) {
        this.#gpu.destroyBuffer(this[name]);
        this[name] = this.#create(name);
      }
    }
    this.#gpu.device.queue.writeBuffer(this.order, 0, order as BufferSource);
  }

  /** Waits for the device and copies ranges from it, all at once. */
  async read(ranges: readonly ReadRange[]): Promise<ArrayBuffer[]> {
    const total = ranges.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (total === 0) return ranges.map(() => new ArrayBuffer());
    const staging = this.#stagingOf(total);
    const encoder = this.#gpu.device.createCommandEncoder();
    let offset = 0;
    for (const { buffer, byteOffset = 0, byteLength } of ranges) {
      encoder.copyBufferToBuffer(buffer, byteOffset, staging, offset, byteLength);
      offset += byteLength;
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, total);
    } catch (error) {
      await this.#gpu.checkLoss();
      throw new Error(`Cannot read from ${this.#gpu.name}: ${oneLine(error)}`);
    }
    const mapped = staging.getMappedRange(0, total);
    offset = 0;
    const copies = ranges.map(({ byteLength }) => mapped.slice(offset, offset += byteLength));
    staging.unmap();
    this.#gpu.check();
    return copies;
  }

  #create(label: string): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    return this.#gpu.createBuffer(label, 4 * this.#length, usage);
  }

  #stagingOf(size: number): GPUBuffer {
    if (this.#staging !== undefined && this.#staging.size >= size) return this.#staging;
    if (this.#staging !== undefined) this.#gpu.destroyBuffer(this.#staging);
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.#staging = this.#gpu.createBuffer("staging", size, usage);
    return this.#staging;
  }
}
