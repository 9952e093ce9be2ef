/** Steps of a session that trains one part of every batch: gradients leave the device in between. */

import type { Model } from "../../nn/sequential.ts";
import { type Shard, shardRange } from "../backend.ts";
import { type Batch, cutBatch, type StepConstants, updateChunk } from "./chunk.ts";
import type { CommandStream } from "./command_stream.ts";
import type { CompiledKernel } from "./compiler.ts";
import type { Gpu } from "./gpu.ts";
import type { Network } from "./network.ts";
import { packParameters, unpackParameters } from "./parameter_layout.ts";
import type { WorkBuffers } from "./work_buffers.ts";

/** What a step is made with. */
export interface ShardEngine {
  readonly gpu: Gpu;
  readonly model: Model;
  readonly network: Network;
  readonly stream: CommandStream;
  readonly work: WorkBuffers;
  /** Of a training step; the network's `updateKernels` come last. */
  readonly kernels: readonly CompiledKernel[];
}

/** What is trained. */
export interface ShardSteps {
  readonly first: number;
  readonly count: number;
  readonly batchOf: (step: number) => Pick<Batch, "first" | "count" | "divisor" | "step">;
  readonly constantsOf: (step: number) => StepConstants;
  readonly shard: Shard;
}

/** Runs steps one by one: gradients of this part, their sum over all sessions, the update.
 *
 * Nothing overlaps, since a step's update must know all gradients. Gradients are summed in PyTorch's
 * layout, so that sessions need not be of one kind.
 */
export async function runShardSteps(
  { gpu, model, network, stream, work, kernels }: ShardEngine,
  { first: firstStep, count: steps, batchOf, constantsOf, shard }: ShardSteps,
): Promise<void> {
  const { layout, gradients } = network;
  const update = kernels.slice(-network.updateKernels);
  for (let step = firstStep; step < firstStep + steps; step++) {
    const { first, count, ...batch } = batchOf(step);
    const { start, end } = shardRange(count, shard);
    let vector: Float32Array = new Float32Array(model.parameterCount);
    if (end > start) {
      const part = { ...batch, first: first + start, count: end - start, update: false };
      stream.submit(cutBatch(part, network).map((chunk) => ({ chunk, kernels })));
      const [bytes] = await work.read([{ buffer: gradients, byteLength: 4 * layout.length }]);
      vector = unpackParameters(layout, new Float32Array(bytes), model.parameterCount);
    }
    shard.sum(vector);
    const packed = packParameters(layout, vector) as BufferSource;
    gpu.device.queue.writeBuffer(gradients, 0, packed);
    stream.submit([{ chunk: updateChunk(constantsOf(step)), kernels: update }]);
  }
  await gpu.finish();
}
