/** Sends work to the device in slices: never far ahead, never waiting for nothing. */

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

/** How much work may be on its way: then a stop takes effect within two slices. */
const SLICE_MS = 100;
const SLICES_IN_FLIGHT = 2;

/** Slices of a device whose speed is not known. */
const FIRST_SLICE = { software: 1, hardware: 32 };

/** Encodes and submits jobs. */
export class CommandStream {
  /** Records of a command buffer's chunks. */
  readonly chunks: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #pitch: number;
  readonly #records: DataView<ArrayBuffer>;
  #slice: number;

  /** Starts with nothing on its way. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#pitch = Math.max(CHUNK_BYTES, gpu.device.limits.minUniformBufferOffsetAlignment);
    this.#records = new DataView(new ArrayBuffer(JOBS_PER_SUBMIT * this.#pitch));
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.chunks = gpu.createBuffer("chunks", this.#records.byteLength, usage);
    this.#slice = gpu.software ? FIRST_SLICE.software : FIRST_SLICE.hardware;
  }

  /** Submits `steps` steps, slice by slice.
   *
   * It waits only so that no more than two slices are on their way. A runtime may look but every 10 ms
   * whether a device is done (Deno does), so that who wants results asks for them before `finished`.
   *
   * @param jobsOf Jobs of a step.
   * @returns How many steps were submitted, and when the last will be done.
   */
  async run(
    steps: number,
    jobsOf: (step: number) => readonly Job[],
    { signal, onProgress }: {
      readonly signal?: AbortSignal;
      readonly onProgress?: (steps: number) => void;
    } = {},
  ): Promise<{ readonly submitted: number; readonly finished: Promise<void> }> {
    const inFlight: { readonly steps: number; readonly finished: Promise<void> }[] = [];
    let done = 0, submitted = 0;
    let lastFinish = performance.now();
    const finishOne = async () => {
      const slice = inFlight.shift()!;
      await slice.finished;
      this.#gpu.check();
      const now = performance.now();
      this.#adapt(slice.steps, now - lastFinish);
      lastFinish = now;
      done += slice.steps;
      onProgress?.(done);
    };
    while (submitted < steps && !signal?.aborted) {
      const end = Math.min(steps, submitted + this.#slice);
      const jobs = [];
      for (let step = submitted; step < end; step++) jobs.push(...jobsOf(step));
      this.submit(jobs);
      const finished = this.#gpu.device.queue.onSubmittedWorkDone();
      inFlight.push({ steps: end - submitted, finished });
      submitted = end;
      if (submitted < steps && inFlight.length >= SLICES_IN_FLIGHT) await finishOne();
    }
    const finishAll = async () => {
      while (inFlight.length > 0) await finishOne();
    };
    return { submitted, finished: finishAll() };
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

  /** Makes slices last SLICE_MS, growing at most twofold a time. */
  #adapt(steps: number, elapsedMs: number): void {
    const fitting = Math.floor(steps * SLICE_MS / Math.max(elapsedMs, 0.01));
    this.#slice = Math.max(1, Math.min(2 * this.#slice, fitting));
  }
}
