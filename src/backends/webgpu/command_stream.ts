/** Sends work to the device. */

import type { CompiledKernel } from "./compiler.ts";
import type { Gpu } from "./gpu.ts";
import { type Chunk, CHUNK_BYTES, writeChunk } from "./chunk.ts";
import { workgroupsOf } from "./kernel.ts";

/** Kernels of one chunk, in order, and its record. */
export interface Job {
  readonly chunk: Chunk;
  readonly kernels: readonly CompiledKernel[];
}

/** Jobs of one command buffer: few, so that the device starts while the rest is being encoded. */
const JOBS_PER_SUBMIT = 32;

/** Encodes and submits jobs. */
export class CommandStream {
  /** Records of a command buffer's chunks. */
  readonly chunks: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #pitch: number;
  readonly #records: DataView<ArrayBuffer>;

  /** Starts with nothing on its way. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#pitch = Math.max(CHUNK_BYTES, gpu.device.limits.minUniformBufferOffsetAlignment);
    this.#records = new DataView(new ArrayBuffer(JOBS_PER_SUBMIT * this.#pitch));
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.chunks = gpu.createBuffer("chunks", this.#records.byteLength, usage);
  }

  /** Submits jobs without waiting. */
  submit(jobs: readonly Job[]): void {
    const { device } = this.#gpu;
    for (let first = 0; first < jobs.length; first += JOBS_PER_SUBMIT) {
      const part = jobs.slice(first, first + JOBS_PER_SUBMIT);
      this.writeChunks(part);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const [index, { chunk, kernels }] of part.entries()) {
        const offset = [index * this.#pitch];
        for (const { pipeline, bindGroup, workgroups } of kernels) {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, bindGroup, offset);
          pass.dispatchWorkgroups(workgroupsOf(workgroups, chunk), workgroups[1], workgroups[2]);
        }
      }
      pass.end();
      device.queue.submit([encoder.finish()]);
    }
  }

  /** Writes the records of a command buffer's jobs. */
  writeChunks(jobs: readonly Job[]): void {
    for (const [index, { chunk }] of jobs.entries()) {
      writeChunk(this.#records, index * this.#pitch, chunk);
    }
    const bytes = jobs.length * this.#pitch;
    this.#gpu.device.queue.writeBuffer(this.chunks, 0, this.#records.buffer, 0, bytes);
  }
}
