/** Backends and peers behind one face, so that a comparison treats all alike. */

import type { BackendName, Device, Session } from "../backends/backend.ts";
import { loadBackend } from "../backends/registry.ts";
import { type LabeledImages, sliceImages } from "../data/dataset.ts";
import { initialStatistics } from "../nn/init.ts";
import type { Model } from "../nn/sequential.ts";
import { channelOf } from "../nn/standardization.ts";
import { countCorrect } from "../train/metrics.ts";
import type { OpenPlan } from "./plan.ts";
import { PeerMissingError, type PeerName, PeerProcess } from "./peers.ts";

/** What a contender did in some steps. */
export interface Trained {
  readonly losses: Float32Array;
  /** Correct predictions in all batches; undefined if they are not counted. */
  readonly correct?: number;
  readonly elapsedMs: number;
}

/** One who takes part, open and with its data. Calls must not overlap. */
export interface Runner extends AsyncDisposable {
  readonly device: Device;
  load(parameters: Float32Array): Promise<void>;
  train(
    order: Uint32Array,
    options: {
      readonly batchSize: number;
      readonly learningRate: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<Trained>;
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
   * @throws {BackendUnavailableError} If this machine lacks what it needs.
   * @throws {PeerMissingError} If it is not installed.
   */
  open(plan: OpenPlan): Promise<Runner>;
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
    async open(plan) {
      const { model, batchSize, threads, dataset } = plan;
      const optimizer = { type: "sgd", momentum: 0 } as const;
      const session = await (await loadBackend(name)).open(model, {
        optimizer,
        batchSize,
        threads,
      });
      try {
        const runner = new SessionRunner(session, plan);
        await runner.load(plan.parameters);
        await session.attach(dataset.train);
        await session.attach(dataset.test);
        return runner;
      } catch (error) {
        await session[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

/** A program of its own, started already, or the reason why it could not be. */
export function peerContender(name: PeerName, peer: PeerProcess | PeerMissingError): Contender {
  return {
    name,
    outside: true,
    threaded: name === "pytorch",
    slow: name === "jax-js",
    async open({ model, dataset, parameters, threads }) {
      if (peer instanceof PeerMissingError) throw peer;
      const isOwn = model.name === "lenet" && `${model.inputShape}` === "1,28,28";
      if (!isOwn || dataset.classNames.length !== 10) {
        throw new PeerMissingError(
          "trains the model lenet on grey images of 28x28 with 10 classes only",
        );
      }
      const pixels = channelOf(model.standardization, 0);
      await peer.attach("train", dataset.train, pixels);
      await peer.attach("test", dataset.test, pixels);
      await peer.load(parameters);
      return new PeerRunner(peer, threads ?? peer.threads);
    },
  };
}

/** Starts a peer now: later on this process may have given back the permission to. */
export async function startPeer(name: PeerName, threads: number) {
  try {
    return await PeerProcess.start(name, threads);
  } catch (error) {
    if (error instanceof PeerMissingError) return error;
    throw error;
  }
}

class SessionRunner implements Runner {
  readonly device: Device;
  readonly #session: Session;
  readonly #model: Model;
  readonly #train: LabeledImages;
  readonly #test: LabeledImages;
  /** The whole test set is attached from the start; parts of it when first evaluated. */
  readonly #parts = new Map<number, LabeledImages>();

  constructor(session: Session, { model, dataset }: OpenPlan) {
    this.device = session.device;
    this.#session = session;
    this.#model = model;
    this.#train = dataset.train;
    this.#test = dataset.test;
    this.#parts.set(dataset.test.count, dataset.test);
  }

  async load(parameters: Float32Array): Promise<void> {
    const statistics = initialStatistics(this.#model);
    await this.#session.loadState({ parameters, statistics, slots: [], step: 0 });
  }

  async train(
    order: Uint32Array,
    { batchSize, learningRate, signal }: {
      batchSize: number;
      learningRate: number;
      signal?: AbortSignal;
    },
  ): Promise<Trained> {
    const learningRates = new Float32Array(Math.ceil(order.length / batchSize)).fill(learningRate);
    const started = performance.now();
    const { losses, corrects } = await this.#session.train(this.#train, {
      order,
      batchSize,
      learningRates,
      signal,
    });
    const elapsedMs = performance.now() - started;
    signal?.throwIfAborted();
    return { losses, correct: corrects.reduce((sum, count) => sum + count, 0), elapsedMs };
  }

  async evaluate(count: number) {
    const data = await this.#part(count);
    const started = performance.now();
    const { predictions } = await this.#session.evaluate(data);
    const elapsedMs = performance.now() - started;
    return { accuracy: countCorrect(predictions, data.labels) / count, elapsedMs };
  }

  async readParameters(): Promise<Float32Array> {
    return (await this.#session.readState()).parameters;
  }

  async #part(count: number): Promise<LabeledImages> {
    const known = this.#parts.get(count);
    if (known !== undefined) return known;
    const part = sliceImages(this.#test, 0, count);
    await this.#session.attach(part);
    this.#parts.set(count, part);
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }
}

class PeerRunner implements Runner {
  readonly device: Device;
  readonly #peer: PeerProcess;

  constructor(peer: PeerProcess, threads: number) {
    this.#peer = peer;
    const { description } = peer;
    this.device = { kind: "cpu", description, threads, software: false };
  }

  load(parameters: Float32Array): Promise<void> {
    return this.#peer.load(parameters);
  }

  async train(order: Uint32Array, options: { batchSize: number; learningRate: number }) {
    await this.#peer.setThreads(this.device.threads);
    return await this.#peer.train(order, options);
  }

  async evaluate(count: number) {
    const { correct, elapsedMs } = await this.#peer.evaluate(count);
    return { accuracy: correct / count, elapsedMs };
  }

  readParameters(): Promise<Float32Array> {
    return this.#peer.read();
  }

  /** The process ends with its owner, who started it: it may be opened again. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
