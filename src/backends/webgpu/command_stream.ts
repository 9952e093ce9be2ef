/** Sends work to the device. */

import type { CompiledKernel } from "./compiler.ts";
import type { Gpu } from "./gpu.ts";
import { type Chunk, CHUNK_BYTES, writeChunk } from "./chunk.ts";
import { workgroupsOf } from "./kernel.ts";

/** Kernels of one chunk, in order, and its record. */
export interface ChunkWork {
  readonly chunk: Chunk;
  readonly kernels: readonly CompiledKernel[];
}

/** Jobs of one command buffer: few, so that the device starts while the rest is being encoded. */
const CHUNKS_PER_SUBMIT = 32;

/** Multiply-adds of the first command buffers: 5 GFLOP, before the device's speed is known. Systems end work
 * that takes seconds, and the device with it.
 */
export const FIRST_MACS = 2.5e9;

/** How long a command buffer may take, about, once the speed is known. */
const SUBMIT_MS = 50;

/** Encodes and submits chunks. */
export class CommandStream {
  /** Records of a command buffer's chunks. */
  readonly chunks: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #pitch: number;
  readonly #records: DataView<ArrayBuffer>;
  #mostMacs = FIRST_MACS;

  /** Starts with nothing on its way. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#pitch = Math.max(CHUNK_BYTES, gpu.device.limits.minUniformBufferOffsetAlignment);
    this.#records = new DataView(new ArrayBuffer(CHUNKS_PER_SUBMIT * this.#pitch));
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.chunks = gpu.createBuffer("chunks", this.#records.byteLength, usage);
  }

  /** Submits chunks without waiting; returns their multiply-adds. */
  submit(chunks: readonly ChunkWork[]): number {
    let total = 0;
    for (let first = 0; first < chunks.length; first += CHUNKS_PER_SUBMIT) {
      const part = chunks.slice(first, first + CHUNKS_PER_SUBMIT);
      this.writeChunks(part);
      total += this.#encode(part);
    }
    return total;
  }

  /** Learns how fast the device is.
   *
   * @param macs What it did in that time, which may have begun before it came to that.
   */
  measured(macs: number, elapsedMs: number): void {
    const most = macs / Math.max(elapsedMs, 1) * SUBMIT_MS;
    this.#mostMacs = Math.max(FIRST_MACS, this.#mostMacs / 2, most);
  }

  /** Submits chunks whose records are written, a command buffer for as many kernels as are not too much. */
  #encode(chunks: readonly ChunkWork[]): number {
    const { device } = this.#gpu;
    let encoder = device.createCommandEncoder();
    let pass = encoder.beginComputePass();
    let [total, macs] = [0, 0];
    const flush = () => {
      pass.end();
      device.queue.submit([encoder.finish()]);
      total += macs;
      macs = 0;
    };
    for (const [index, { chunk, kernels }] of chunks.entries()) {
      const offset = [index * this.#pitch];
      for (const { pipeline, bindGroup, workgroups, macs: macsPerImage = 0 } of kernels) {
        const cost = macsPerImage * chunk.count;
        if (macs > 0 && macs + cost > this.#mostMacs) {
          flush();
          encoder = device.createCommandEncoder();
          pass = encoder.beginComputePass();
        }
        macs += cost;
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup, offset);
        pass.dispatchWorkgroups(workgroupsOf(workgroups, chunk), workgroups[1], workgroups[2]);
      }
    }
    flush();
    return total;
  }

  /** Writes the records of a command buffer's chunks. */
  writeChunks(chunks: readonly ChunkWork[]): void {
    for (const [index, { chunk }] of chunks.entries()) {
      writeChunk(this.#records, index * this.#pitch, chunk);
    }
    const bytes = chunks.length * this.#pitch;
    this.#gpu.device.queue.writeBuffer(this.chunks, 0, this.#records.buffer, 0, bytes);
  }
}
