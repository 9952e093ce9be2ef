/** The engines of a page, and how many images each trains in a second. */

/// <reference lib="dom" />
import type { Backend, Session } from "../../backends/backend.ts";
import { referenceBackend } from "../../backends/reference/backend.ts";
import { trainingRate } from "../../backends/training_rate.ts";
import { wasmBackend } from "../../backends/wasm/backend.ts";
import { webgpuBackend } from "../../backends/webgpu/backend.ts";
import { sliceImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";
import { type EngineName, type Experiment, optimizerOf } from "../experiment.ts";
import type { LabData } from "./served_data.ts";

const ENGINES: Readonly<Record<EngineName, Backend>> = {
  webgpu: webgpuBackend,
  wasm: wasmBackend,
  reference: referenceBackend,
};

/** Threads that an engine of this page can have: memory is sent to others where the page is isolated. */
export function maxThreads(): number {
  return globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
}

/** Opens a session for an experiment.
 *
 * @throws {Error} If the engine cannot run here.
 */
export async function openEngine(
  { engine, threads, batchSize, seed, labelSmoothing, ...rest }: Experiment,
  model: Model,
): Promise<Session> {
  if (engine === "webgpu" && !await navigator.gpu?.requestAdapter()) {
    throw new Error("Cannot use webgpu: this browser offers no GPU; choose wasm");
  }
  return await ENGINES[engine].open(model, {
    optimizer: optimizerOf(rest),
    batchSize,
    seed,
    ...(labelSmoothing > 0 && { loss: { labelSmoothing } }),
    threads: Math.min(threads === 0 ? Infinity : threads, maxThreads()),
  });
}

/** How long an engine is measured. */
const MEASURE_MS = 500;

/** Trains a copy of a model for a moment; returns images a second. */
export async function measureEngine(
  experiment: Experiment,
  model: Model,
  { train }: LabData,
): Promise<number> {
  await using session = await openEngine(experiment, model);
  const data = sliceImages(train, 0, Math.min(train.count, 4096));
  const { batchSize } = experiment;
  return await trainingRate(session, model, { data, batchSize, elapsedMs: MEASURE_MS });
}
