/** The `wasm` engine: the main thread's side of it. */

import type { LabeledImages } from "../../data/dataset.ts";
import { slotCount } from "../../nn/optimizers.ts";
import type { Model } from "../../nn/sequential.ts";
import { coreCount, maySendSharedMemory } from "../../platform.ts";
import { BackendUnavailableError, type Device } from "../backend.ts";
import type { Engine, EngineOptions, Pass, Vectors, Work } from "../engine.ts";
import { DataStore, type Location } from "./data_store.ts";
import { NO_WORK, type Task, writeTask } from "./task.ts";
import { type Build, compileKernels, createMemory, instantiateKernels } from "./kernels.ts";
import type { Variants } from "./layers/table.ts";
import { type Layout, layOut } from "./layout.ts";
import { Executor } from "./executor.ts";
import { Team, TeamFailedError } from "./team.ts";
import { WorkerPool } from "./worker_pool.ts";

/** The parts of an open engine. */
interface Parts {
  readonly memory: WebAssembly.Memory;
  readonly layout: Layout;
  readonly executor: Executor;
  readonly team: Team;
  readonly pool: WorkerPool;
  readonly data: DataStore;
}

/** What tests and measurements ask of an engine. */
export interface WasmOptions {
  /** The build of the kernels; default: the best that this machine can run. */
  readonly build?: Build;
  /** Where layers are computed in ways that round differently; default: as the session's options say. */
  readonly variants?: Variants;
}

/** Opens an engine. */
export async function openWasmEngine(
  model: Model,
  options: EngineOptions,
  { build: wantedBuild, variants = options.exact ? "never" : "faster" }: WasmOptions = {},
): Promise<Engine<Location>> {
  const mayShare = maySendSharedMemory();
  const { optimizer, batchSize, threads = mayShare ? coreCount() : 1, shard } = options;
  if (threads > 1 && !mayShare) {
    throw new BackendUnavailableError(
      `${threads} threads need shared memory, which a page has only where its server sends ` +
        `Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp; ` +
        `use threads: 1`,
    );
  }
  const { seed, targets, clipNorm, augmentation } = options;
  const { module, build } = await compileKernels(wantedBuild);
  const memory = createMemory();
  const wanted = { targets, augmentation, variants };
  const layoutOptions = { batchSize, threads, slotCount: slotCount(optimizer), ...wanted };
  const layout = layOut(model, layoutOptions);
  // Of an image that is changed, kernels may read, and not use, what lies behind it.
  const [, height, width] = model.inputShape;
  const data = new DataStore(memory, layout.end, augmentation ? (height + 3) * width : 0);
  initialize(memory, layout);
  const team = new Team(memory, layout.control, threads);
  const kernels = instantiateKernels(module, memory);
  const setup = { ...layoutOptions, module, memory, model, optimizer, seed, clipNorm };
  const place = shard && { index: shard.index, count: shard.count };
  const pool = await WorkerPool.start({ ...setup, shard: place });
  const executor = new Executor({ ...setup, kernels, layout, team, thread: 0, shard });
  const device: Device = {
    kind: "cpu",
    description: `WebAssembly SIMD${build === "relaxed" ? ", fused multiply-add" : ""}`,
    threads,
    software: false,
  };
  return new WasmEngine(model, device, { memory, layout, executor, team, pool, data });
}

/** Writes what the kernels read and nobody changes. */
export function initialize(memory: WebAssembly.Memory, layout: Layout): void {
  const stages = layout.stages.flatMap((stage) => stage.folded ? [stage, stage.folded] : [stage]);
  for (const { shape, sizes } of stages) {
    new Int32Array(memory.buffer, shape, sizes.length).set(sizes);
  }
  new Float32Array(memory.buffer, layout.ones, 8).fill(1);
  const { targets } = layout;
  if (targets) {
    new Float32Array(memory.buffer, targets.address, targets.values.length).set(targets.values);
  }
}

class WasmEngine implements Engine<Location> {
  readonly device: Device;
  readonly inferenceBatch = 512;
  readonly batches = { first: 1, most: Infinity };
  readonly stretchesInFlight = 1;
  readonly #model: Model;
  #parts: Parts | undefined;

  constructor(model: Model, device: Device, parts: Parts) {
    this.device = device;
    this.#model = model;
    this.#parts = parts;
  }

  load({ parameters, statistics, slots }: Vectors): Promise<void> {
    const { layout } = this.#open();
    const addresses = [layout.parameters, ...layout.slots];
    [parameters, ...slots].forEach((values, n) => this.#vector(addresses[n]).set(values));
    this.#statistics().set(statistics);
    return this.#run({ kind: "pack" });
  }

  // deno-lint-ignore require-await -- so that a failed engine rejects
  async read(): Promise<Vectors> {
    const { layout } = this.#open();
    const [parameters, ...slots] = [layout.parameters, ...layout.slots].map((address) =>
      this.#vector(address).slice()
    );
    return { parameters, statistics: this.#statistics().slice(), slots };
  }

  attach(data: LabeledImages): Location {
    return this.#open().data.attach(data);
  }

  detach(location: Location): void {
    this.#parts?.data.detach(location);
  }

  begin({ kind, images, order, batchSize, learningRates, divisors, step }: Work<Location>): Pass {
    const classCount = kind === "predict" ? this.#model.classCount : 0;
    const work = this.#open().data.prepare(order, { learningRates, divisors, classCount });
    return {
      run: (first, count) => {
        const start = first * batchSize;
        return this.#run({
          kind,
          ...images,
          ...work.from(start, Math.min(count * batchSize, order.length - start)),
          learningRates: work.learningRates + 4 * first,
          divisors: work.divisors + 8 * first,
          batchSize,
          step: step + first,
        });
      },
      read: (places) => Promise.resolve(work.results(places)),
      end: () => work.end(),
    };
  }

  // deno-lint-ignore require-await -- so that a failed engine rejects
  async readGradients(): Promise<Float32Array> {
    return this.#vector(this.#open().layout.gradients).slice();
  }

  async dispose(): Promise<void> {
    const parts = this.#parts;
    this.#parts = undefined;
    parts?.team.close();
    await parts?.pool.end();
  }

  async #run(task: Partial<Task> & Pick<Task, "kind">): Promise<void> {
    const { memory, layout, team, executor, pool } = this.#open();
    const whole: Task = { ...NO_WORK, ...task };
    writeTask(memory, layout.task, whole);
    team.announceTask();
    try {
      executor.run(whole);
    } catch (error) {
      team.fail();
      this.#parts = undefined;
      try {
        if (error instanceof TeamFailedError) await pool.failure();
        throw error;
      } finally {
        pool.terminate();
      }
    }
  }

  #open(): Parts {
    if (!this.#parts) throw new TypeError("Cannot use a session that has failed");
    return this.#parts;
  }

  #statistics(): Float32Array {
    const { memory, layout } = this.#open();
    return new Float32Array(memory.buffer, layout.statistics, this.#model.statisticCount);
  }

  /** A vector as long as the parameters. */
  #vector(address: number): Float32Array {
    return new Float32Array(this.#open().memory.buffer, address, this.#model.parameterCount);
  }
}
