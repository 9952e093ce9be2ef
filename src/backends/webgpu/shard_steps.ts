/** Steps of a session that trains one part of every batch: what depends on all parts leaves the device in
 * between. */

import { type Shard, shardRange } from "../backend.ts";
import { type Batch, type Chunk, cutBatch, updateChunk } from "./chunk.ts";
import type { CommandStream } from "./command_stream.ts";
import type { CompiledKernel } from "./compiler.ts";
import type { Gpu } from "./gpu.ts";
import type { DeviceState } from "./device_state.ts";
import type { Network } from "./network.ts";
import type { WorkBuffers } from "./work_buffers.ts";

/** What a step is made with. */
export interface ShardEngine {
  readonly gpu: Gpu;
  readonly state: DeviceState;
  readonly network: Network;
  readonly stream: CommandStream;
  readonly work: WorkBuffers;
  /** Of a training step; the network's `update` comes last. */
  readonly kernels: readonly CompiledKernel[];
}

/** What is trained. */
export interface ShardSteps {
  readonly first: number;
  readonly count: number;
  readonly batchOf: (batch: number) => Pick<Batch, "first" | "count" | "divisor" | "step">;
  readonly constantsOf: (batch: number) => readonly number[];
  readonly shard: Shard;
}

/** Runs steps one by one: gradients of this part, their sum over all sessions, the update.
 *
 * Nothing overlaps, since a step's update must know all gradients. Gradients are summed in PyTorch's
 * layout, so that sessions need not be of one kind. A part without images takes part in all sums.
 */
export async function runShardSteps(
  { gpu, state, network, stream, work, kernels }: ShardEngine,
  { first: firstStep, count: steps, batchOf, constantsOf, shard }: ShardSteps,
): Promise<void> {
  const { queue } = gpu.device;
  const update = kernels.slice(-network.update.length);
  /** Carries a chunk through kernels, and replaces what all parts share by the sum of all. */
  const pass = async (chunk: Chunk) => {
    let done = 0;
    for (const [index, { shared }] of kernels.entries()) {
      if (shared === undefined) continue;
      stream.submit([{ chunk, kernels: kernels.slice(done, index + 1) }]);
      const { buffer, start, length } = shared;
      const range = { buffer, byteOffset: 4 * start, byteLength: 4 * length };
      const sums = new Float32Array((await work.read([range]))[0]);
      shard.sum(sums);
      queue.writeBuffer(buffer, 4 * start, sums);
      done = index + 1;
    }
    stream.submit([{ chunk, kernels: kernels.slice(done) }]);
  };
  for (let step = firstStep; step < firstStep + steps; step++) {
    const { first, count, ...batch } = batchOf(step);
    const { start, end } = shardRange(count, shard);
    const own = { first: first + start, count: end - start, wholeCount: count, update: false };
    for (const chunk of cutBatch({ ...batch, ...own }, network)) await pass(chunk);
    const gradients = await state.readGradients(work);
    shard.sum(gradients);
    state.writeGradients(gradients);
    stream.submit([{ chunk: updateChunk(constantsOf(step), count), kernels: update }]);
  }
  await gpu.finish();
}
