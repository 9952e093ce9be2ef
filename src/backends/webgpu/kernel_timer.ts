/** GPU time of each kernel, where the device can tell. */

import type { ChunkWork } from "./command_stream.ts";
import type { Gpu } from "./gpu.ts";
import { workgroupsOf } from "./kernel.ts";

/** A kernel's time in one run. */
export interface KernelTime {
  /** The kernel, and the layer it belongs to. */
  readonly name: string;
  readonly microseconds: number;
}

/** Runs a chunk whose record is first in the stream's buffer, each kernel in a pass of its own.
 *
 * @throws {Error} If the device has no `timestamp-query`.
 */
export async function timeChunk(gpu: Gpu, { kernels, chunk }: ChunkWork): Promise<KernelTime[]> {
  const { device } = gpu;
  if (!device.features.has("timestamp-query")) {
    throw new Error(`Cannot time kernels: ${gpu.name} has no timestamp-query`);
  }
  const count = 2 * kernels.length;
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const resolved = gpu.createBuffer("timestamps", 8 * count, QUERY_RESOLVE | COPY_SRC);
  const staging = gpu.createBuffer("timestamps read", 8 * count, COPY_DST | MAP_READ);
  try {
    const encoder = device.createCommandEncoder();
    for (const [index, { pipeline, bindGroup, workgroups }] of kernels.entries()) {
      const pass = encoder.beginComputePass({
        timestampWrites: {
          querySet,
          beginningOfPassWriteIndex: 2 * index,
          endOfPassWriteIndex: 2 * index + 1,
        },
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup, [0]);
      pass.dispatchWorkgroups(workgroupsOf(workgroups, chunk), workgroups[1], workgroups[2]);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(staging.getMappedRange());
    return kernels.map(({ label }, index) => ({
      name: label,
      microseconds: Number(times[2 * index + 1] - times[2 * index]) / 1000,
    }));
  } finally {
    gpu.destroyBuffer(resolved);
    gpu.destroyBuffer(staging);
    querySet.destroy();
  }
}
