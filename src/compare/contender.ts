/** Backends and peers behind one face, so that a comparison treats all alike. */

import type { BackendName, Device, Session } from "../backends/backend.ts";
import { loadBackend } from "../backends/registry.ts";
import { type LabeledImages, sliceImages } from "../data/dataset.ts";
import { initialStatistics } from "../nn/init.ts";
import type { Model } from "../nn/sequential.ts";
import { countCorrect } from "../train/metrics.ts";
import type { OpenPlan } from "./plan.ts";

/** What a contender did in some steps. */
export interface Trained {
  /** Mean loss of each step's batch. */
  readonly losses: Float32Array;
  /** Correct predictions in all batches; undefined if they are not counted. */
  readonly correct?: number;
  /** By the contender's own clock. */
  readonly elapsedMs: number;
}

/** How it trains: plain SGD. */
export interface StepOptions {
  readonly batchSize: number;
  readonly learningRate: number;
  readonly signal?: AbortSignal;
}

/** One who takes part, open and with its data. Calls must not overlap. */
export interface ContenderSession extends AsyncDisposable {
  readonly device: Device;
  /** Sets all parameters, in PyTorch's order and layout. */
  load(parameters: Float32Array): Promise<void>;
  train(order: Uint32Array, options: StepOptions): Promise<Trained>;
  /** Evaluates the first images of the test set. */
  evaluate(count: number): Promise<{ readonly accuracy: number; readonly elapsedMs: number }>;
  readParameters(): Promise<Float32Array>;
}

/** One who may take part. */
export interface Contender {
  readonly name: string;
  /** Whether it is a program of its own. */
  readonly outside: boolean;
  /** Whether the number of its threads can be chosen each time it is opened. */
  readonly threaded: boolean;
  /** Known to need seconds for a step of 256 images: it warms up on a small one. */
  readonly slow: boolean;
  /**
   * @throws {BackendUnavailableError} If this machine lacks what it needs, or it is not installed.
   */
  open(plan: OpenPlan): Promise<ContenderSession>;
}

/** Backends that take seconds for a step of 256 images. */
export const SLOW_BACKENDS: readonly BackendName[] = ["tfjs-cpu", "reference"];

/** A backend of this program. */
export function backendContender(name: BackendName): Contender {
  return {
    name,
    outside: false,
    threaded: name === "wasm",
    slow: SLOW_BACKENDS.includes(name),
    async open({ model, batchSize, threads, dataset, parameters }) {
      const optimizer = { type: "sgd", momentum: 0 } as const;
      const backend = await loadBackend(name);
      const session = await backend.open(model, { optimizer, batchSize, threads });
      try {
        const opened = contenderSession(session, dataset, model);
        await opened.load(parameters);
        await session.attach(dataset.train);
        await session.attach(dataset.test);
        return opened;
      } catch (error) {
        await session[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

function contenderSession(
  session: Session,
  { train, test }: OpenPlan["dataset"],
  model: Model,
): ContenderSession {
  // The whole test set is attached from the start; parts of it when first evaluated.
  const parts = new Map<number, LabeledImages>([[test.count, test]]);
  return {
    device: session.device,
    load: (parameters) =>
      session.loadState({ parameters, statistics: initialStatistics(model), slots: [], step: 0 }),
    async train(order, { batchSize, learningRate, signal }) {
      const steps = Math.ceil(order.length / batchSize);
      const learningRates = new Float32Array(steps).fill(learningRate);
      const started = performance.now();
      const { losses, corrects } = await session.train(train, {
        ...{ order, batchSize, learningRates, signal },
      });
      const elapsedMs = performance.now() - started;
      signal?.throwIfAborted();
      return { losses, correct: corrects.reduce((sum, count) => sum + count, 0), elapsedMs };
    },
    async evaluate(count) {
      const data = parts.get(count) ?? sliceImages(test, 0, count);
      if (!parts.has(count)) await session.attach(data);
      parts.set(count, data);
      const started = performance.now();
      const { predictions } = await session.evaluate(data);
      const elapsedMs = performance.now() - started;
      return { accuracy: countCorrect(predictions, data.labels) / count, elapsedMs };
    },
    readParameters: async () => (await session.readState()).parameters,
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
