/** A training session on any TensorFlow.js backend: a network, its gradients, its optimiser. */

import * as tf from "@tensorflow/tfjs";
import type { LabeledImages } from "../../data/dataset.ts";
import { readFlat, writeFlat } from "../../formats/layers_model.ts";
import type { Model } from "../../nn/sequential.ts";
import type {
  Device,
  EvaluationResult,
  Session,
  SessionOptions,
  TrainingState,
  TrainRequest,
  TrainResult,
} from "../backend.ts";
import {
  checkImages,
  checkIndices,
  checkRequest,
  checkState,
  requireAttached,
} from "../check_data.ts";
import type { Engine } from "./engines.ts";
import { type BatchTensors, batchTensors } from "./batch_tensors.ts";
import { TfjsNetwork } from "./layers.ts";
import { Optimizer } from "./optimizer.ts";

/** Results are read, and the event loop is let in, after this many steps or this long. */
const STEPS_PER_READ = 8;
const MS_PER_READ = 100;

/** Images that evaluation takes at a time. */
const EVALUATION_BATCH = 250;

/** A session of `tfjs-cpu`, `tfjs-wasm` or `tfjs-webgpu`.
 *
 * TensorFlow.js has one active backend for the whole program, so that each call first makes its own
 * the active one.
 */
export class TfjsSession implements Session {
  readonly device: Device;
  readonly #engine: Engine;
  readonly #model: Model;
  readonly #options: SessionOptions;
  readonly #network: TfjsNetwork;
  readonly #variables: readonly tf.Variable[];
  readonly #optimizer: Optimizer;
  readonly #attached = new Set<LabeledImages>();

  /** Builds the network on a started engine. */
  constructor(engine: Engine, model: Model, options: SessionOptions) {
    this.device = engine.device;
    this.#engine = engine;
    this.#model = model;
    this.#options = options;
    tf.setBackend(engine.tfName);
    this.#network = new TfjsNetwork(model);
    this.#variables = this.#network.variables;
    this.#optimizer = new Optimizer(options.optimizer, this.#variables);
  }

  async loadState(state: TrainingState): Promise<void> {
    await this.#activate();
    checkState(this.#model, this.#options.optimizer, state);
    this.#network.setParameters(state.parameters);
    const slots = state.slots.map((slot) => writeFlat(this.#model, slot));
    this.#optimizer.load(slots, state.step);
    tf.dispose(slots);
  }

  async readState(): Promise<TrainingState> {
    await this.#activate();
    const parameters = await readFlat(this.#model, this.#variables);
    const slots = [];
    for (const slot of this.#optimizer.slots) slots.push(await readFlat(this.#model, slot));
    return { parameters, slots, step: this.#optimizer.step };
  }

  attach(data: LabeledImages): Promise<void> {
    checkImages(this.#model, data);
    this.#attached.add(data);
    return Promise.resolve();
  }

  async train(data: LabeledImages, request: TrainRequest): Promise<TrainResult> {
    requireAttached(this.#attached.has(data));
    const { order, batchSize, learningRates, signal, onProgress } = request;
    const maxBatchSize = this.#options.batchSize;
    const steps = checkRequest(request, { count: data.count, maxBatchSize });
    await this.#activate();
    const losses = new Float32Array(steps);
    const corrects = new Uint32Array(steps);
    let done = 0;
    while (done < steps && !signal?.aborted) {
      const first = done;
      const results: tf.Tensor[] = [];
      const pauseAt = performance.now() + MS_PER_READ;
      const last = Math.min(first + STEPS_PER_READ, steps);
      while (done < last && (done === first || performance.now() < pauseAt)) {
        const batch = batchTensors(
          this.#model,
          data,
          order.subarray(done * batchSize, (done + 1) * batchSize),
        );
        results.push(this.#trainStep(batch, learningRates[done]));
        tf.dispose({ ...batch });
        done++;
      }
      const values = await readAll(results);
      this.#engine.checkDevice();
      for (const [index, [loss, correct]] of values.entries()) {
        losses[first + index] = loss;
        corrects[first + index] = correct;
      }
      onProgress?.(done);
      await nextTask();
      await this.#activate();
    }
    return { steps: done, losses: losses.subarray(0, done), corrects: corrects.subarray(0, done) };
  }

  async evaluate(data: LabeledImages): Promise<EvaluationResult> {
    requireAttached(this.#attached.has(data));
    const predictions = new Uint8Array(data.count);
    let lossSum = 0;
    await this.#forEachChunk(data, async (batch, start) => {
      const result = tf.tidy(() => {
        const logits = this.#logits(batch.images);
        const loss = meanLoss(batch.labels, logits).mul(batch.count);
        return tf.concat([loss.reshape([1]), logits.argMax(1).toFloat()]);
      });
      const [[loss, ...guesses]] = await readAll([result]);
      lossSum += loss;
      predictions.set(guesses, start);
    });
    return { loss: lossSum / data.count, predictions };
  }

  async predict(data: LabeledImages): Promise<Float32Array> {
    requireAttached(this.#attached.has(data));
    const { classCount } = this.#model;
    const logits = new Float32Array(data.count * classCount);
    await this.#forEachChunk(data, async (batch, start) => {
      const [values] = await readAll([tf.tidy(() => this.#logits(batch.images))]);
      logits.set(values, start * classCount);
    });
    return logits;
  }

  async gradients(data: LabeledImages, indices: Uint32Array) {
    requireAttached(this.#attached.has(data));
    checkIndices(indices, data.count);
    await this.#activate();
    const batch = batchTensors(this.#model, data, indices);
    const { value, grads } = this.#lossAndGradients(batch);
    const gradients = await readFlat(this.#model, grads);
    const [[loss]] = await readAll([value]);
    tf.dispose([grads, { ...batch }]);
    this.#engine.checkDevice();
    return { loss, gradients };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#activate();
    this.#optimizer.dispose();
    tf.dispose([...this.#variables]);
    this.#attached.clear();
  }

  async #activate(): Promise<void> {
    await tf.setBackend(this.#engine.tfName);
  }

  #logits(images: tf.Tensor4D): tf.Tensor2D {
    return this.#network.apply(images);
  }

  #lossAndGradients(batch: BatchTensors, watch: (logits: tf.Tensor2D) => void = () => {}) {
    const { value, grads } = tf.variableGrads(() => {
      const logits = this.#logits(batch.images);
      watch(logits);
      return meanLoss(batch.labels, logits);
    }, [...this.#variables]);
    return { value, grads: this.#variables.map(({ name }) => grads[name]) };
  }

  /** Trains on one batch and returns its [loss, correct], still on the device. */
  #trainStep(batch: BatchTensors, learningRate: number): tf.Tensor1D {
    return tf.tidy(() => {
      let correct: tf.Scalar | undefined;
      const { value, grads } = this.#lossAndGradients(batch, (logits) => {
        correct = tf.keep(
          logits.argMax(1).equal(batch.labels.argMax(1)).toFloat().sum<tf.Scalar>(),
        );
      });
      this.#optimizer.update(grads, learningRate);
      const result = tf.stack([value, correct!]) as tf.Tensor1D;
      correct!.dispose();
      return result;
    });
  }

  async #forEachChunk(
    data: LabeledImages,
    visit: (batch: BatchTensors, start: number) => Promise<void>,
  ): Promise<void> {
    for (let start = 0; start < data.count; start += EVALUATION_BATCH) {
      await this.#activate();
      const length = Math.min(EVALUATION_BATCH, data.count - start);
      const indices = Uint32Array.from({ length }, (_, n) => start + n);
      const batch = batchTensors(this.#model, data, indices);
      await visit(batch, start);
      tf.dispose({ ...batch });
      this.#engine.checkDevice();
      await nextTask();
    }
  }
}

function meanLoss(labels: tf.Tensor2D, logits: tf.Tensor2D): tf.Scalar {
  return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
}

async function readAll(tensors: tf.Tensor[]): Promise<Float32Array[]> {
  const values: Float32Array[] = [];
  for (const tensor of tensors) {
    values.push(await tensor.data<"float32">());
    tensor.dispose();
  }
  return values;
}

function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
