/** Which backend is the fastest for a model on this machine: by trial, where there is a choice. */

import type { LabeledImages } from "../data/dataset.ts";
import type { Model } from "../nn/sequential.ts";
import { lenet } from "../nn/zoo.ts";
import { createRandom } from "../random.ts";
import { type BackendName, BackendUnavailableError, type SessionOptions } from "./backend.ts";
import { loadBackend } from "./registry.ts";
import { trainingRate } from "./training_rate.ts";
import type { AdapterDescription } from "./webgpu/adapters.ts";

/** A backend's name and why it was chosen. */
export interface BackendChoice {
  /** The backend to load. */
  readonly name: BackendName;
  /** For example "no WebGPU adapter was found", or "90,000 images/s here, wasm 31,000". */
  readonly reason: string;
}

/** How long each backend is timed. */
const TRIAL_MS = 100;

/** Chooses the fastest backend of this machine for the training of a model: where there is a hardware GPU
 * with a driver made for it, by training for a tenth of a second on it and on the CPU; else the CPU.
 *
 * Batches of one image are how a model is asked for answers: for these the CPU is taken, which gives
 * the first one before a GPU's kernels are compiled.
 *
 * @param model What is to be trained; default: LeNet.
 * @param options What its session will be opened with.
 * @example Say what and why
 * ```ts
 * import { chooseBackend, zooModel } from "@lenet/lenet";
 *
 * const { name, reason } = await chooseBackend(zooModel("resnet8"), { batchSize: 128 });
 * console.log(`${name}: ${reason}`);
 * ```
 */
export async function chooseBackend(
  model: Model = lenet(),
  options: SessionOptions = {},
): Promise<BackendChoice> {
  const onCpu = (reason: string): BackendChoice => ({ name: "wasm", reason });
  if (options.batchSize === 1) return onCpu("it gives single answers soonest");
  const { describeAdapter } = await import("./webgpu/adapters.ts");
  try {
    const adapter = await describeAdapter(options.adapter);
    const { name, software, openGl } = adapter;
    if (software) return onCpu(`WebGPU has only ${name}, which is software`);
    if (openGl) return onCpu(`WebGPU has ${name} through OpenGL only`);
    return await chooseByTrial(adapter, model, options);
  } catch (error) {
    if (error instanceof BackendUnavailableError) return onCpu(error.message);
    throw error;
  }
}

/** Trains a moment on each backend and chooses the fastest; one that fails is not chosen; where all do,
 * the first is.
 *
 * @param adapter What `webgpu` runs on, whether or not it is hardware.
 */
export async function chooseByTrial(
  adapter: Pick<AdapterDescription, "name">,
  model: Model,
  options: SessionOptions = {},
  names: readonly BackendName[] = ["wasm", "webgpu"],
): Promise<BackendChoice> {
  const { batchSize = 256 } = options;
  const data = noise(model, batchSize);
  const trials: { readonly name: BackendName; readonly rate: number; readonly text: string }[] = [];
  for (const name of names) {
    try {
      const backend = await loadBackend(name);
      await using session = await backend.open(model, { ...options, shard: undefined });
      const rate = await trainingRate(session, model, { data, batchSize, elapsedMs: TRIAL_MS });
      trials.push({ name, rate, text: Number(rate.toPrecision(2)).toLocaleString("en-US") });
    } catch (error) {
      // What every backend refuses, the one that is chosen refuses again, and the user is told.
      const text = `cannot train it: ${error instanceof Error ? error.message : error}`;
      trials.push({ name, rate: 0, text });
    }
  }
  const [best, ...others] = trials.toSorted((a, b) => b.rate - a.rate);
  const title = (name: BackendName) => name === "webgpu" ? `webgpu (${adapter.name})` : name;
  const reasons = [
    best.rate > 0 ? `${best.text} images/s here` : best.text,
    ...others.map(({ name, text }) => `${title(name)} ${text}`),
  ];
  return { name: best.name, reason: reasons.join(", ") };
}

/** Random pixels and labels. */
function noise({ inputShape, classCount }: Model, count: number): LabeledImages {
  const random = createRandom(0, "trial");
  const [channels, height, width] = inputShape;
  const draw = (length: number, below: number) =>
    Uint8Array.from({ length }, () => random.below(below));
  return {
    images: draw(count * channels * height * width, 256),
    labels: draw(count, classCount),
    count,
    shape: inputShape,
  };
}
