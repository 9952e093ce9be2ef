/** Checkpoints as the bytes of a file, and back. */

import * as v from "valibot";
import type { TrainingState } from "../backends/backend.ts";
import { fromTensors, statisticsFrom, toTensors } from "../formats/safetensors/state_dict.ts";
import { decodeSafetensors, encodeSafetensors, type Tensor } from "../formats/safetensors/file.ts";
import type { Model } from "../nn/sequential.ts";
import { parseJson } from "../parse_json.ts";
import { readUnlinked } from "../read_bounded.ts";
import { sha256Hex } from "../sha256.ts";
import type { Checkpoint, Progress } from "../train/progress.ts";
import { count, fields, notNegative, type Schema } from "./schema.ts";

const PROGRESS: Schema<Progress> = fields({
  epochsDone: count,
  step: count,
  partial: fields({
    steps: count,
    images: count,
    lossSum: notNegative,
    correct: count,
    trainMs: notNegative,
  }),
  bestAccuracy: notNegative,
  bestLoss: v.optional(notNegative),
  sinceBest: v.optional(count),
});

/** Optimiser memory's part of a tensor's name; marked where a layer is called like it. */
const SLOT_PREFIX = /^(?:optimizer:)?slot(\d)\./;

/** A checkpoint as its file holds it. */
export interface SavedCheckpoint extends Checkpoint {
  /** What the run must have in common with one that goes on from here; any JSON. */
  readonly configuration: unknown;
}

/** Encodes a checkpoint: parameters under their names, optimiser memory under `slot0.`, `slot1.`.
 *
 * It is sealed with the SHA-256 of all it holds. A generator's state is not among it: every random
 * number is a function of the configuration's seed and the epoch.
 */
export function encodeCheckpoint(
  model: Model,
  { state, progress, configuration }: SavedCheckpoint,
): Uint8Array<ArrayBuffer> {
  const tensors = toTensors(model, state.parameters, state.statistics);
  const mark = [...tensors.keys()].some((name) => SLOT_PREFIX.test(name)) ? "optimizer:" : "";
  for (const [slot, values] of state.slots.entries()) {
    for (const [name, tensor] of toTensors(model, values)) {
      tensors.set(`${mark}slot${slot}.${name}`, tensor);
    }
  }
  const metadata = {
    updates: String(state.step),
    progress: JSON.stringify(progress),
    configuration: JSON.stringify(configuration),
  };
  const sha256 = sha256Hex(encodeSafetensors({ tensors, metadata }));
  return encodeSafetensors({ tensors, metadata: { ...metadata, sha256 } });
}

/** Reads a checkpoint of a model; its folder may come from anybody.
 *
 * @throws {SyntaxError} If the file is not a checkpoint, or not as it was written.
 * @throws {TypeError} If it is of another model.
 */
export async function readCheckpoint(path: string, model: Model): Promise<SavedCheckpoint> {
  return decodeCheckpoint(await readUnlinked(path), path, model);
}

/** Decodes the content of a checkpoint's file; errors as of {@linkcode readCheckpoint}. */
export function decodeCheckpoint(bytes: Uint8Array, path: string, model: Model): SavedCheckpoint {
  const { tensors, metadata: { sha256, ...metadata } } = decodeSafetensors(bytes, path);
  const own = new Set([...model.parameters, ...model.statistics].map(({ name }) => name));
  const groups: Map<string, Tensor>[] = [];
  for (const [name, tensor] of tensors) {
    const [prefix, slot] = (!own.has(name) && SLOT_PREFIX.exec(name)) || ["", -1];
    (groups[Number(slot) + 1] ??= new Map()).set(name.slice(prefix.length), tensor);
  }
  const [parameters, ...slots] = Array.from(
    { length: Math.max(1, groups.length) },
    (_, group) => fromTensors(model, groups[group] ?? new Map(), path),
  );
  const statistics = statisticsFrom(model, groups[0] ?? new Map(), path);
  const state: TrainingState = {
    parameters,
    ...(statistics && { statistics }),
    slots,
    step: Number(metadata.updates),
  };
  const { success, output: progress } = v.safeParse(PROGRESS, parseOptional(metadata.progress));
  if (!success || !v.is(count, state.step)) {
    throw new SyntaxError(
      `Cannot resume from ${path}: it holds no training progress; use it with --init instead`,
    );
  }
  if (sha256 !== sha256Hex(encodeSafetensors({ tensors, metadata }))) {
    throw new SyntaxError(`Cannot resume from ${path}: it is damaged, its checksum does not match`);
  }
  return { state, progress, configuration: parseOptional(metadata.configuration) };
}

function parseOptional(text = ""): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
