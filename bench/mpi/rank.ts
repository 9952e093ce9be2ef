// deno-lint-ignore-file no-console
/** One process of `bench/mpi_scaling.ts`: trains LeNet for a round and prints what it took, as JSON. */

import type { LabeledImages } from "../../src/data/dataset.ts";
import { loadDataset } from "../../src/data/load.ts";
import type { Session } from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { followWorld } from "../../src/cli/mpi.ts";
import { endFollowers, follow } from "../../src/distributed/follow.ts";
import { openTogether } from "../../src/distributed/session.ts";
import { openWorld, type World } from "../../src/distributed/world.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { lenet } from "../../src/nn/zoo.ts";

/** What the driver asks for. */
export interface RankOptions {
  readonly threads: number;
  /** Images of a whole step. */
  readonly batchSize: number;
  /** About this long. */
  readonly seconds: number;
  /** Without MPI and shards: the process that ranks are measured against. */
  readonly plain?: boolean;
  /** Whether to measure all-reduces alone, too. */
  readonly allReduce?: boolean;
}

/** What rank 0 prints: medians are the driver's. */
export interface RankMeasurement {
  readonly imagesPerSecond: number;
  /** Mean time of a step's all-reduce on rank 0, with the waiting for the slowest rank. */
  readonly sumMs: number;
  readonly stepMs: number;
  /** What each of some all-reduces took, for each number of floats. */
  readonly allReduce: readonly AllReduce[];
}

/** All-reduces of one length. */
export interface AllReduce {
  readonly floats: number;
  readonly ms: readonly number[];
}

const SIZES = [1, 1_024, 16_384, 61_706, 262_144, 1_048_576];

/** Measures how long the ranks wait for each other, and sum gradients. */
function timed(world: World): { world: World; takeMs: () => number } {
  let ms = 0;
  return {
    world: {
      ...world,
      sum(values) {
        const started = performance.now();
        world.sum(values);
        if (values instanceof Float32Array) ms += performance.now() - started;
      },
    },
    takeMs: () => {
      const taken = ms;
      ms = 0;
      return taken;
    },
  };
}

/** Trains on all ranks; without a world, in this process as `train` does it. */
async function measureTraining(options: RankOptions, data: LabeledImages, world?: World) {
  const { threads, batchSize, seconds } = options;
  const model = lenet();
  const sessionOptions = { optimizer: { type: "sgd", momentum: 0 }, batchSize, threads } as const;
  let takeMs = () => 0;
  let opened: Session;
  if (world === undefined) {
    opened = await (await loadBackend("wasm")).open(model, sessionOptions);
  } else {
    const watched = timed(world);
    takeMs = watched.takeMs;
    const shared = { backend: "wasm", model, options: sessionOptions } as const;
    opened = await openTogether(watched.world, shared);
  }
  await using session = opened;
  await session.loadState({ parameters: initialParameters(model, 0), slots: [], step: 0 });
  await session.attach(data);
  const train = async (steps: number) => {
    const order = Uint32Array.from({ length: steps * batchSize }, (_, n) => n % data.count);
    const learningRates = new Float32Array(steps).fill(0.1);
    takeMs();
    const started = performance.now();
    await session.train(data, { order, batchSize, learningRates });
    const elapsedMs = performance.now() - started;
    return { stepMs: elapsedMs / steps, sumMs: takeMs() / steps };
  };
  await train(4);
  const warm = await train(20);
  const steps = Math.max(10, Math.round(1000 * seconds / warm.stepMs));
  const { stepMs, sumMs } = await train(steps);
  return { stepMs, sumMs, imagesPerSecond: 1000 * batchSize / stepMs };
}

function measureAllReduce(world: World): AllReduce[] {
  return SIZES.map((floats) => {
    const values = new Float32Array(floats);
    const repeats = floats > 100_000 ? 5 : 50;
    const ms = Array.from({ length: repeats }, () => {
      world.barrier();
      const started = performance.now();
      world.sum(values);
      return performance.now() - started;
    });
    return { floats, ms };
  });
}

async function measureRanks(options: RankOptions): Promise<void> {
  const world = openWorld();
  const allReduce = options.allReduce ? measureAllReduce(world) : [];
  if (world.rank > 0) Deno.exit(await followWorld(world, follow));
  const { train } = await loadDataset("sample");
  const measured = await measureTraining(options, train, world);
  print({ ...measured, allReduce });
  endFollowers(world);
  world.finalize();
}

function print(measured: RankMeasurement): void {
  console.log(JSON.stringify(measured));
}

if (import.meta.main) {
  const options: RankOptions = JSON.parse(Deno.args[0]);
  if (options.plain) {
    const { train } = await loadDataset("sample");
    print({ ...await measureTraining(options, train), allReduce: [] });
  } else {
    await measureRanks(options);
  }
  Deno.exit(0);
}
