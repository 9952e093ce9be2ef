/** What an engine is: the part of a backend that computes, below the one session of them all. */

import type { LabeledImages } from "../data/dataset.ts";
import type { LossTargets } from "../nn/loss.ts";
import type { Device, OptimizerSpec, SessionOptions } from "./backend.ts";

/** What an engine is opened with: checked, and with nothing left to default but threads. */
export interface EngineOptions extends SessionOptions {
  readonly optimizer: OptimizerSpec;
  /** What `loss` comes to; undefined where it is plain cross-entropy, which evaluation always measures. */
  readonly targets?: LossTargets;
  readonly batchSize: number;
  readonly seed: number;
}

/** What training changes, as flat vectors. */
export interface Vectors {
  readonly parameters: Float32Array;
  /** Empty for a model without running statistics. */
  readonly statistics: Float32Array;
  /** All of the optimiser's. */
  readonly slots: readonly Float32Array[];
}

/** Carries out what {@linkcode EngineSession} asks for.
 *
 * Arguments have been checked, calls do not overlap, and none follows `dispose`.
 *
 * @typeParam Images What the engine keeps of an attached data set.
 */
export interface Engine<Images = unknown> {
  /** What it runs on. */
  readonly device: Device;
  /** Images of a batch of an evaluation or a prediction. */
  readonly inferenceBatch: number;
  /** Batches of a first stretch, before the engine's speed is known, and of any. */
  readonly batches: { readonly first: number; readonly most: number };
  /** Stretches that may be on their way at once; where they may be several, results are asked for before
   * the last has ended: a runtime may look but every 10 ms whether a device is done (Deno does).
   */
  readonly stretchesInFlight: number;
  /** Copies vectors to where they are used. */
  load(vectors: Vectors): void | Promise<void>;
  /** Copies of them. */
  read(): Promise<Vectors>;
  /** Copies images and labels to where they are used. */
  attach(data: LabeledImages): Images | Promise<Images>;
  /** Frees what `attach` gave. */
  detach(images: Images): void;
  /** Prepares for work on some images. */
  begin(work: Work<Images>): Pass | Promise<Pass>;
  /** The gradient that a pass of this kind has left. */
  readGradients(): Promise<Float32Array>;
  /** Ends workers and frees all memory. */
  dispose(): void | Promise<void>;
}

/** What is to be done with images. */
export interface Work<Images> {
  /** `gradients` is one batch, passes as in training, and updates nothing. */
  readonly kind: "train" | "gradients" | "evaluate" | "predict";
  readonly images: Images;
  /** Indices of images. */
  readonly order: Uint32Array;
  /** How the order is cut; the last batch may be smaller. */
  readonly batchSize: number;
  /** Of each batch of a training. */
  readonly learningRates: Float32Array;
  /** What losses and gradients of each batch's images are divided by: of a training, and of gradients. */
  readonly divisors: Float64Array;
  /** Updates made before. */
  readonly step: number;
}

/** Work that has begun. */
export interface Pass {
  /** Works on `count` batches from number `first` on, all of which follow those of the call before.
   *
   * @returns When they are done; of the last of the order it may be sooner, as `read` comes next and waits.
   */
  run(first: number, count: number): Promise<void>;
  /** Copies the results of the first `places` of the order; called once, after the last `run`. */
  read(places: number): Promise<Results>;
  /** Frees what the pass alone needed. */
  end(): void;
}

/** What came of each place of an order; empty where the kind of work makes no such thing. */
export interface Results {
  /** Loss of each image, measured before its batch's update. */
  readonly losses: Float32Array | Float64Array;
  /** Class with the largest logit, the first among equals. */
  readonly predictions: Uint8Array | Uint32Array;
  /** [places, classCount]. */
  readonly logits: Float32Array;
}

/** What Deno and Node have for this, and browsers have not. */
const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };

/** Lets the event loop take a turn.
 *
 * In browsers by a message, which arrives sooner than the shortest timer. In Deno 2.9 messages keep all
 * timers waiting, once a package from npm was loaded.
 */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (setImmediate) return setImmediate(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
