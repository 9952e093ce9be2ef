/** Where a training step's time goes: every kernel call of one thread, timed. */

import {
  compileKernels,
  createMemory,
  instantiateKernels,
  type Kernels,
} from "../src/backends/wasm/kernels.ts";
import { type Layout, layOut } from "../src/backends/wasm/layout.ts";
import { initialize } from "../src/backends/wasm/engine.ts";
import type { Task } from "../src/backends/wasm/task.ts";
import { Executor } from "../src/backends/wasm/executor.ts";
import { Team } from "../src/backends/wasm/team.ts";
import { DataStore } from "../src/backends/wasm/data_store.ts";
import { initialParameters } from "../src/nn/init.ts";
import { batchDivisors } from "../src/nn/loss.ts";
import { definitionOf } from "../src/nn/layers/table.ts";
import type { Model } from "../src/nn/sequential.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import type { Quartiles } from "../src/compare/statistics.ts";
import { sampleParts } from "./lineup.ts";

const BATCH_SIZE = 256;

/** One row of the kernel table. */
export interface KernelTime {
  /** Kernel, and the layer if it belongs to one with parameters. */
  readonly name: string;
  readonly microsecondsPerImage: Quartiles;
  /** Multiply-adds count twice; undefined for kernels that do not multiply matrices. */
  readonly gigaflops?: number;
}

/** Times each kernel of training on `data`, one thread, batch 256. */
export async function timeKernels(
  model: Model,
  data: LabeledImages,
  repeats: number,
): Promise<KernelTime[]> {
  const { module } = await compileKernels();
  const memory = createMemory();
  const layout = layOut(model, { batchSize: BATCH_SIZE, threads: 1, slotCount: 0 });
  initialize(memory, layout);
  new Float32Array(memory.buffer, layout.parameters, model.parameterCount)
    .set(initialParameters(model, 1));
  const store = new DataStore(memory, layout.end);
  const location = store.attach(data);
  const elapsedMs = new Map<string, number>();
  const executor = new Executor({
    model,
    memory,
    kernels: withTimers(instantiateKernels(module, memory), layout, elapsedMs),
    layout,
    team: new Team(memory, layout.control, 1),
    thread: 0,
    threads: 1,
    optimizer: { type: "sgd", momentum: 0 },
    seed: 0,
  });
  const order = Uint32Array.from({ length: data.count }, (_, index) => index);
  const { labels } = data;
  const work = store.prepare(order, {
    divisors: batchDivisors({ order, batchSize: BATCH_SIZE, labels }, undefined),
    learningRates: new Float32Array(Math.ceil(data.count / BATCH_SIZE)).fill(0.1),
  });
  const task: Task = {
    kind: "train",
    ...location,
    ...work.from(0, data.count),
    learningRates: work.learningRates,
    divisors: work.divisors,
    batchSize: BATCH_SIZE,
    step: 0,
  };
  executor.run({ ...task, kind: "pack" });
  const samples = await sampleParts(repeats, () => {
    elapsedMs.clear();
    executor.run(task);
    return Promise.resolve([...elapsedMs].map(([name, ms]) => [name, 1000 * ms / data.count]));
  });
  const times = Object.entries(samples).map(([name, microsecondsPerImage]): KernelTime => {
    const flop = flopOf(name, layout);
    const gigaflops = flop === undefined ? flop : flop / microsecondsPerImage.median / 1000;
    return { name, microsecondsPerImage, gigaflops };
  });
  return times.toSorted((a, b) => b.microsecondsPerImage.median - a.microsecondsPerImage.median);
}

/** Wraps every kernel in a stopwatch; those of layers with parameters are told apart by layer. */
function withTimers(kernels: Kernels, layout: Layout, elapsedMs: Map<string, number>): Kernels {
  const layerOfShape = new Map<number, string>();
  const layerOfInput = new Map<number, string>();
  for (const { layer, shape, inputs: [input] } of layout.stages) {
    if (layer.parameters.length === 0) continue;
    layerOfShape.set(shape, layer.name);
    layerOfInput.set(input.address, layer.name);
  }
  const timed = Object.entries(kernels).filter(([, kernel]) => typeof kernel === "function").map(
    ([name, kernel]) => {
      const layers = name.startsWith("linear")
        ? layerOfInput
        : name.startsWith("conv2d")
        ? layerOfShape
        : undefined;
      return [name, (...args: number[]) => {
        const layer = layers?.get(args[0]);
        const key = layer === undefined ? name : `${name} ${layer}`;
        const start = performance.now();
        kernel(...args);
        elapsedMs.set(key, (elapsedMs.get(key) ?? 0) + performance.now() - start);
      }] as const;
    },
  );
  return Object.fromEntries(timed) as unknown as Kernels;
}

/** Operations an image of a kernel that multiplies matrices; of Winograd's, those that it replaces. */
function flopOf(name: string, layout: Layout): number | undefined {
  const [kernel, layerName] = name.split(" ");
  if (!/Forward|InputGradient|WeightGradient|WinogradBackward/.test(kernel)) return undefined;
  const stage = layout.stages.find(({ layer }) => layer.name === layerName);
  if (stage === undefined) return undefined;
  const passes = kernel === "conv2dWinogradBackward" && stage.gradInputs[0] ? 2 : 1;
  return 2 * passes * definitionOf(stage.layer).cost(stage.layer).macs;
}
