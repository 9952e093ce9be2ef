// deno-lint-ignore-file no-console
/** One rank of `bench/mpi_scaling.ts`: trains LeNet in rounds and prints what they took, as JSON. */

import type { LabeledImages } from "../../src/data/dataset.ts";
import { loadDataset } from "../../src/data/load.ts";
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
  /** About this many seconds a round. */
  readonly seconds: number;
  readonly rounds: number;
}

/** What rank 0 prints: medians are the driver's. */
export interface RankMeasurement {
  readonly ranks: number;
  readonly imagesPerSecond: readonly number[];
  /** Mean time of a step's all-reduce on rank 0, with the waiting for the slowest rank. */
  readonly sumMs: readonly number[];
  readonly stepMs: readonly number[];
  /** Of an all-reduce alone: its floats, and what the median one and the quickest take. */
  readonly allReduce: readonly {
    readonly floats: number;
    readonly ms: number;
    readonly leastMs: number;
  }[];
}

const SIZES = [1, 1_024, 16_384, 61_706, 262_144, 1_048_576];

/** Measures how long the ranks wait for each other, and sum. */
function timed(world: World): { world: World; takeMs: () => number } {
  let ms = 0;
  return {
    world: {
      ...world,
      sum(values) {
        const started = performance.now();
        world.sum(values);
        ms += performance.now() - started;
      },
    },
    takeMs: () => {
      const taken = ms;
      ms = 0;
      return taken;
    },
  };
}

async function measureTraining(world: World, options: RankOptions, data: LabeledImages) {
  const { world: watched, takeMs } = timed(world);
  const { threads, batchSize, seconds, rounds } = options;
  const model = lenet();
  await using session = await openTogether(watched, {
    backend: "wasm",
    model,
    options: { optimizer: { type: "sgd", momentum: 0 }, batchSize, threads },
  });
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
  const stepMs: number[] = [];
  const sumMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const result = await train(steps);
    stepMs.push(result.stepMs);
    sumMs.push(result.sumMs);
  }
  return { stepMs, sumMs, imagesPerSecond: stepMs.map((ms) => 1000 * batchSize / ms) };
}

function measureAllReduce(world: World): RankMeasurement["allReduce"] {
  return SIZES.map((floats) => {
    const values = new Float32Array(floats);
    const repeats = floats > 100_000 ? 20 : 100;
    const times = Array.from({ length: repeats }, () => {
      world.barrier();
      const started = performance.now();
      world.sum(values);
      return performance.now() - started;
    });
    const sorted = times.toSorted((a, b) => a - b);
    return { floats, ms: sorted[repeats >> 1], leastMs: sorted[0] };
  });
}

if (import.meta.main) {
  const world = openWorld();
  const allReduce = measureAllReduce(world);
  if (world.rank > 0) Deno.exit(await followWorld(world, follow));
  const { train } = await loadDataset("sample");
  const measured = await measureTraining(world, JSON.parse(Deno.args[0]), train);
  console.log(JSON.stringify({ ranks: world.size, ...measured, allReduce }));
  endFollowers(world);
  world.finalize();
  Deno.exit(0);
}
