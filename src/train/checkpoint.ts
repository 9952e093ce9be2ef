/** Checkpoints as files: written whole or not at all. */

import type { TrainingState } from "../backends/backend.ts";
import { fromTensors, toTensors } from "../formats/parameters.ts";
import { decodeSafetensors, encodeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { encodeSafetensorsModel } from "../formats/safetensors_model.ts";
import type { Model } from "../nn/sequential.ts";
import { writeAtomic } from "../write_atomic.ts";
import type { Checkpoint, Progress } from "./trainer.ts";

/** Largest checkpoint that is read: three vectors of a model of 40 million parameters. */
const MAX_FILE_BYTES = 512 * 2 ** 20;

const SLOT_PREFIX = /^slot(\d)\./;

/** Writes a model's parameters under PyTorch's names; the metadata can rebuild the model. */
export async function writeModel(
  path: string,
  model: Model,
  { parameters, classNames }: {
    readonly parameters: Float32Array;
    readonly classNames: readonly string[];
  },
): Promise<void> {
  await writeAtomic(path, encodeSafetensorsModel({ model, parameters, classNames }));
}

/** Writes a checkpoint: parameters under their names, optimiser memory under `slot0.`, `slot1.`. */
export async function writeCheckpoint(
  path: string,
  model: Model,
  { state, progress }: Checkpoint,
): Promise<void> {
  const tensors = toTensors(model, state.parameters);
  for (const [slot, values] of state.slots.entries()) {
    for (const [name, tensor] of toTensors(model, values)) {
      tensors.set(`slot${slot}.${name}`, tensor);
    }
  }
  const metadata = { updates: String(state.step), progress: JSON.stringify(progress) };
  await writeAtomic(path, encodeSafetensors({ tensors, metadata }));
}

/** Reads a checkpoint of a model.
 *
 * @throws {SyntaxError} If the file is not a checkpoint.
 * @throws {TypeError} If it is of another model.
 */
export async function readCheckpoint(path: string, model: Model): Promise<Checkpoint> {
  const { tensors, metadata } = decodeSafetensors(await readBounded(path), path);
  const groups: Map<string, Tensor>[] = [];
  for (const [name, tensor] of tensors) {
    const group = Number(SLOT_PREFIX.exec(name)?.[1] ?? -1) + 1;
    (groups[group] ??= new Map()).set(name.replace(SLOT_PREFIX, ""), tensor);
  }
  const [parameters, ...slots] = Array.from(
    { length: Math.max(1, groups.length) },
    (_, group) => fromTensors(model, groups[group] ?? new Map(), path),
  );
  const state: TrainingState = { parameters, slots, step: Number(metadata.updates) };
  const progress = parseProgress(metadata.progress);
  if (progress === undefined || !Number.isSafeInteger(state.step) || state.step < 0) {
    throw new SyntaxError(
      `Cannot resume from ${path}: it holds no training progress; use it with --init instead`,
    );
  }
  return { state, progress };
}

/** Reads a file of at most 512 MiB.
 *
 * @throws {RangeError} If it is larger.
 */
export async function readBounded(path: string): Promise<Uint8Array> {
  const { size } = await Deno.stat(path);
  if (size > MAX_FILE_BYTES) {
    throw new RangeError(
      `Cannot read ${path}: it has ${size} bytes, more than ${MAX_FILE_BYTES}; choose another file`,
    );
  }
  return await Deno.readFile(path);
}

function parseProgress(text: string | undefined): Progress | undefined {
  try {
    const progress = JSON.parse(text ?? "") as Progress;
    const { epochsDone, step, bestAccuracy, partial } = progress;
    const numbers = [epochsDone, step, bestAccuracy, ...Object.values(partial)];
    const { steps, images, lossSum, correct, trainMs } = partial;
    numbers.push(steps, images, lossSum, correct, trainMs);
    const valid = numbers.every((value) => Number.isFinite(value) && value >= 0) &&
      [epochsDone, step, steps, images, correct].every(Number.isSafeInteger);
    return valid ? progress : undefined;
  } catch {
    return undefined;
  }
}
