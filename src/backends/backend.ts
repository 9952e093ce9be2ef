/** The contract between training and the engines that execute it. */

import { checkNumber } from "../check.ts";
import type { Augmentation } from "../data/augment.ts";
import type { LabeledImages } from "../data/dataset.ts";
import type { LossOptions } from "../nn/loss.ts";
import type { OptimizerOptions, OptimizerSpec } from "../nn/optimizers.ts";
import type { Model } from "../nn/sequential.ts";

export type { LossOptions, OptimizerOptions, OptimizerSpec };

/** Name of a backend on the command line. */
export type BackendName =
  | "webgpu"
  | "wasm"
  | "tfjs-webgpu"
  | "tfjs-wasm"
  | "tfjs-cpu"
  | "reference";

/** All that training changes, so that a run can stop and go on. */
export interface TrainingState {
  /** Flat vector in the layout of `model.parameters`. */
  readonly parameters: Float32Array;
  /** Running statistics, in the layout of `model.statistics`; left out of a model that has none. */
  readonly statistics?: Float32Array;
  /** Optimiser memory, each as long as parameters: none, [velocity], or [mean, variance]. */
  readonly slots: readonly Float32Array[];
  /** Number of updates made so far; Adam's bias correction counts them. */
  readonly step: number;
}

/** What a session runs on, for people to read. */
export interface Device {
  /** Where it computes. */
  readonly kind: "cpu" | "gpu";
  /** For example "AMD EPYC, WebAssembly SIMD". */
  readonly description: string;
  /** Threads that compute; 1 where it does not apply. */
  readonly threads: number;
  /** True for a GPU emulated by the CPU, such as llvmpipe. */
  readonly software: boolean;
}

/** A backend: knows whether it can run here, and opens sessions. */
export interface Backend {
  /** Name on the command line. */
  readonly name: BackendName;
  /** Opens a session for one model; everything it will need is allocated here.
   *
   * @throws {BackendUnavailableError} If this machine lacks what the backend needs.
   * @throws {TypeError} If the model or an option is not one.
   * @throws {RangeError} If a number is out of range, or the model does not fit.
   */
  open(model: Model, options?: SessionOptions): Promise<Session>;
}

/** What a session is made for. */
export interface SessionOptions {
  /** How parameters follow from gradients; default: plain SGD. */
  readonly optimizer?: OptimizerOptions;
  /** What is trained towards; default: plain softmax cross-entropy, which evaluation measures always. */
  readonly loss?: LossOptions;
  /** Largest norm of a step's gradient, above 0; a longer one is shortened to it. Default: none. */
  readonly clipNorm?: number;
  /** Largest batch that will be trained, 1 or more; default 256. */
  readonly batchSize?: number;
  /** Threads to use where the backend has threads, up to four a core (16 are always allowed);
   * default: all cores.
   */
  readonly threads?: number;
  /** Whether convolutions are computed as they are defined, product by product. Otherwise the `wasm` backend
   * computes those of 3x3 and 5x5 kernels and stride 1 with fewer multiplications where that is faster:
   * the same to within rounding, about 1e-5 of a tensor's largest value. Default false.
   */
  readonly exact?: boolean;
  /** Which GPU to use where the backend can choose; default: the fastest. */
  readonly adapter?: AdapterChoice;
  /** Makes the session one of several that train the same model together. */
  readonly shard?: Shard;
  /** Key of what engines draw while they train, dropout and changes of images; an integer in 0 .. 2^53 - 1, default 0. */
  readonly seed?: number;
  /** How images are changed in `train` and `gradients`; default: not at all. A seed gives the same
   * images on every backend, for any number of threads and shards, and to a training that goes on.
   */
  readonly augmentation?: Augmentation;
}

/** One session's part of a training that several sessions, each in a process of its own, share.
 *
 * All are given the same requests. Each takes the images that are its part of every batch, and its
 * losses and correct counts are its part of the batch's: their sums over the sessions are what a
 * session without shards returns.
 */
export interface Shard {
  /** This session's place, from 0. */
  readonly index: number;
  /** Sessions in all. */
  readonly count: number;
  /** Replaces numbers by their sums over all sessions, which all call it alike: for the gradients of a
   * step before its update, and for what layers must know of the whole batch.
   */
  sum(values: Float32Array): void;
}

/** Part `index` of `count` of `length` images in a row: as even as whole images allow.
 *
 * Shared by all backends, so that parts fit together.
 *
 * @example Ten images in three parts
 * ```ts
 * import { shardRange } from "@lenet/lenet";
 *
 * const { start, end } = shardRange(10, { index: 2, count: 3 });
 * if (start !== 6 || end !== 10) throw new Error("expected images 6 to 9");
 * ```
 */
export function shardRange(
  length: number,
  { index, count }: Pick<Shard, "index" | "count">,
): { readonly start: number; readonly end: number } {
  checkNumber("length", length, { whole: true, min: 0 });
  checkNumber("count", count, { whole: true, min: 1 });
  checkNumber("index", index, { whole: true, min: 0, max: count - 1 });
  return {
    start: Math.floor(index * length / count),
    end: Math.floor((index + 1) * length / count),
  };
}

/** What a user may ask for where there are several GPUs. */
export interface AdapterChoice {
  /** As WebGPU has it; default "high-performance". */
  readonly powerPreference?: "high-performance" | "low-power";
  /** Place in the list that `deno task devices` prints; goes before a power preference. */
  readonly deviceIndex?: number;
}

/** What to train: an order of samples, cut into batches. */
export interface TrainRequest {
  /** Indices into the attached images; the last batch may be smaller. */
  readonly order: Uint32Array;
  /** At most the session's batchSize. */
  readonly batchSize: number;
  /** Learning rate of each step; length ceil(order.length / batchSize). */
  readonly learningRates: Float32Array;
  /** Stops after the current step; what was done so far is returned. */
  readonly signal?: AbortSignal;
  /** Called now and then with the number of steps done. */
  readonly onProgress?: (steps: number) => void;
}

/** What training did, step by step, measured on each batch before its update. */
export interface TrainResult {
  /** Steps done: all that the request asked for, unless its signal stopped them. */
  readonly steps: number;
  /** Mean loss of each step's batch, that of {@linkcode SessionOptions.loss}; length steps. */
  readonly losses: Float32Array;
  /** Correct predictions in each step's batch; length steps. */
  readonly corrects: Uint32Array;
}

/** The model's answers on a data set. */
export interface EvaluationResult {
  /** Mean softmax cross-entropy over all images, without smoothing and weights. */
  readonly loss: number;
  /** Class with the largest logit, the first among equals; length count. */
  readonly predictions: Uint8Array;
}

/** Images to predict, whose labels do not matter. */
export type Unlabeled = Omit<LabeledImages, "labels"> & Partial<LabeledImages>;

/** A model on a device: parameters, optimiser and data stay there until asked for.
 *
 * Calls must not overlap: one that is made before the last has ended is refused by a TypeError, as is
 * one after the disposal. Parameters are undefined until {@linkcode Session.loadState}.
 */
export interface Session extends AsyncDisposable {
  /** What this session runs on. */
  readonly device: Device;
  /** Copies parameters, statistics and optimiser memory to the device; missing slots start as zeros. */
  loadState(state: TrainingState): Promise<void>;
  /** Copies parameters, statistics and optimiser memory from the device. */
  readState(): Promise<TrainingState>;
  /** Copies images and labels to the device, for the calls that name this very object; again does
   * nothing. What is changed in its arrays later may or may not be seen.
   *
   * @returns Whether it was not attached before.
   * @throws {TypeError} If the images' shape is not the model's, or an array is not of bytes.
   * @throws {RangeError} If a label is not a class, or there is no room for the images.
   */
  attach(data: LabeledImages): Promise<boolean>;
  /** Frees what {@linkcode Session.attach} copied; does nothing to what is not attached. */
  detach(data: LabeledImages): Promise<void>;
  /** Trains on attached images, batch norm by each batch's own statistics and dropout by chance; yields to the event loop several times a second. */
  train(data: LabeledImages, request: TrainRequest): Promise<TrainResult>;
  /** Runs the model forward over all images, batch norm by its running statistics and without dropout;
   * those that are not attached are so for this call alone. */
  evaluate(data: LabeledImages): Promise<EvaluationResult>;
  /** Logits [count, classCount] of images, row by row; attached or not, as in `evaluate`. */
  predict(data: Unlabeled): Promise<Float32Array>;
  /** Mean loss of one batch of attached images and its gradient, a flat vector, as the next step of a
   * training would have them, but not clipped; nothing is updated. For tests. */
  gradients(
    data: LabeledImages,
    indices: Uint32Array,
  ): Promise<{ readonly loss: number; readonly gradients: Float32Array }>;
  /** Ends workers and frees all memory; a call that has not ended is stopped and rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Thrown by {@linkcode Backend.open} where this machine lacks what the backend needs. */
export class BackendUnavailableError extends Error {
  /** Name of the class. */
  override readonly name = "BackendUnavailableError";
}
