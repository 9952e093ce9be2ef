/** Opening a rank's own session: its part of every batch, and its share of the machine. */

import { cpus } from "node:os";
import type { BackendName, Session, SessionOptions } from "../backends/backend.ts";
import { type BackendChoice, chooseBackend } from "../backends/choose.ts";
import { loadBackend } from "../backends/registry.ts";
import { describeAdapters } from "../backends/webgpu/adapters.ts";
import type { Model } from "../nn/sequential.ts";
import { agree, type Agreed, together } from "./wire.ts";
import type { World } from "./world.ts";

/** What every rank trains. */
export interface SharedTraining {
  readonly model: Model;
  readonly options: SessionOptions;
}

/** What is opened on every rank. */
export interface SharedOptions extends SharedTraining {
  readonly backend: BackendName;
}

/** Every rank chooses for its part of a batch, all at the same time, as they will train; the GPU is taken
 * where it is every rank's choice.
 */
export async function chooseParts(
  world: World,
  { model, options }: SharedTraining,
): Promise<BackendChoice> {
  const { batchSize = 256, threads = threadShare(world) } = options;
  const part = Math.max(2, Math.ceil(batchSize / world.size));
  const own = await together(world, async () => {
    const adapter = await chooseAdapter(world, options);
    return await chooseBackend(model, { ...options, threads, adapter, batchSize: part });
  });
  const votes = Float64Array.of(own.name === "wasm" ? 0 : 1);
  world.sum(votes);
  if (votes[0] === 0 || votes[0] === world.size) return own;
  const reason = `the GPU is the choice of ${votes[0]} of ${world.size} ranks only`;
  return { name: "wasm", reason };
}

/** Opens every rank's session, or none.
 *
 * @param shared May fail on a rank as well.
 */
export async function openParts(
  world: World,
  shared: () => SharedOptions,
): Promise<Agreed<Session>> {
  let session: Session | undefined;
  const opened = await agree(world, async () => session = await openPart(world, shared()));
  if ("error" in opened) await session?.[Symbol.asyncDispose]();
  return opened;
}

/** Opens this rank's session, which sums gradients over all ranks in every step. */
async function openPart(
  world: World,
  { backend, model, options }: SharedOptions,
): Promise<Session> {
  const { rank: index, size: count } = world;
  // One rank alone trains as a process without MPI does.
  const shard = count === 1
    ? undefined
    : { index, count, sum: (values: Float32Array) => world.sum(values) };
  const { threads = threadShare(world) } = options;
  const adapter = backend === "webgpu" ? await chooseAdapter(world, options) : undefined;
  return await (await loadBackend(backend)).open(model, { ...options, threads, adapter, shard });
}

/** Threads of each of this machine's ranks: an equal part of its cores, at least one.
 *
 * A launcher may have bound the rank to some cores, which its own count then shows.
 */
export function threadShare({ localSize }: Pick<World, "localSize">): number {
  const own = navigator.hardwareConcurrency;
  return Math.max(1, Math.min(own, Math.floor(coreCount() / localSize)));
}

/** Cores of the machine, also those that this process may not use. */
function coreCount(): number {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "cpus" });
  return state === "granted" ? cpus().length : navigator.hardwareConcurrency;
}

/** The ranks of a machine with several GPUs take them in turn. */
async function chooseAdapter(
  { localRank }: World,
  { adapter }: SessionOptions,
): Promise<SessionOptions["adapter"]> {
  const { deviceIndex, powerPreference } = adapter ?? {};
  if (deviceIndex !== undefined || powerPreference !== undefined) return adapter;
  const adapters = await describeAdapters();
  const hardware = [...adapters.keys()].filter((place) => !adapters[place].software);
  return hardware.length < 2 ? adapter : { deviceIndex: hardware[localRank % hardware.length] };
}
