/** The `reference` backend: float64, one thread, plain loops; slow and obviously right. */

import type { LabeledImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";
import {
  type Backend,
  type Device,
  type EvaluationResult,
  type Session,
  type SessionOptions,
  type Shard,
  shardRange,
  type TrainingState,
  type TrainRequest,
  type TrainResult,
} from "../backend.ts";
import {
  checkImages,
  checkIndices,
  checkRequest,
  checkState,
  requireAttached,
  slotCount,
} from "../check_data.ts";
import { forward, lossAndGradients } from "./network.ts";
import { updateParameters } from "./optimizer.ts";
import { softmaxCrossEntropy } from "./softmax_cross_entropy.ts";

/** Images that are taken at a time, so that memory stays bounded. */
const CHUNK_SIZE = 64;

/** The only part of a batch. */
const WHOLE = { index: 0, count: 1 };

/** The float64 oracle that every other backend is compared with.
 *
 * Its state is float64 but is read and loaded as float32, so that a run that was stopped and goes on
 * differs from an uninterrupted one by rounding.
 */
export const referenceBackend: Backend = {
  name: "reference",
  open: (model, options) => Promise.resolve(new ReferenceSession(model, options)),
};

class ReferenceSession implements Session {
  readonly device: Device = {
    kind: "cpu",
    description: "float64 TypeScript",
    threads: 1,
    software: false,
  };
  readonly #model: Model;
  readonly #options: SessionOptions;
  readonly #attached = new Set<LabeledImages>();
  #parameters: Float64Array;
  #slots: Float64Array[];
  #step = 0;

  constructor(model: Model, options: SessionOptions) {
    this.#model = model;
    this.#options = options;
    this.#parameters = new Float64Array(model.parameterCount);
    this.#slots = [];
  }

  loadState(state: TrainingState): Promise<void> {
    const { optimizer } = this.#options;
    checkState(this.#model, optimizer, state);
    this.#parameters = Float64Array.from(state.parameters);
    this.#slots = Array.from(
      { length: slotCount(optimizer) },
      (_, slot) => Float64Array.from(state.slots[slot] ?? this.#parameters.map(() => 0)),
    );
    this.#step = state.step;
    return Promise.resolve();
  }

  readState(): Promise<TrainingState> {
    return Promise.resolve({
      parameters: Float32Array.from(this.#parameters),
      slots: this.#slots.map((slot) => Float32Array.from(slot)),
      step: this.#step,
    });
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
    const losses = new Float32Array(steps);
    const corrects = new Uint32Array(steps);
    let done = 0;
    while (done < steps && !signal?.aborted) {
      const whole = order.subarray(done * batchSize, (done + 1) * batchSize);
      const { shard } = this.#options;
      const { start, end } = shardRange(whole.length, shard ?? WHOLE);
      const part = await this.#lossAndGradients(data, whole.subarray(start, end), whole.length);
      updateParameters(
        this.#options.optimizer,
        {
          parameters: this.#parameters,
          gradients: shard ? sumOverShards(part.gradients, shard) : part.gradients,
          slots: this.#slots,
        },
        { learningRate: learningRates[done], step: ++this.#step },
      );
      losses[done] = part.loss;
      corrects[done] = part.correct;
      done++;
      onProgress?.(done);
    }
    return { steps: done, losses: losses.subarray(0, done), corrects: corrects.subarray(0, done) };
  }

  async evaluate(data: LabeledImages): Promise<EvaluationResult> {
    const logits = Float64Array.from(await this.predict(data));
    const { lossSum, predictions } = softmaxCrossEntropy(logits, data.labels);
    return { loss: lossSum / data.count, predictions };
  }

  async predict(data: LabeledImages): Promise<Float32Array> {
    requireAttached(this.#attached.has(data));
    const { classCount } = this.#model;
    const logits = new Float32Array(data.count * classCount);
    for (let start = 0; start < data.count; start += CHUNK_SIZE) {
      const length = Math.min(CHUNK_SIZE, data.count - start);
      const indices = Uint32Array.from({ length }, (_, n) => start + n);
      const { images } = gather(this.#model, data, indices);
      logits.set(forward(this.#model, this.#parameters, images).at(-1)!, start * classCount);
      await nextTask();
    }
    return logits;
  }

  async gradients(data: LabeledImages, indices: Uint32Array) {
    requireAttached(this.#attached.has(data));
    checkIndices(indices, data.count);
    const { loss, gradients } = await this.#lossAndGradients(data, indices, indices.length);
    return { loss, gradients: Float32Array.from(gradients) };
  }

  /** What some images make of the mean loss of a batch and of its gradients, and how many are right. */
  async #lossAndGradients(data: LabeledImages, indices: Uint32Array, batchSize: number) {
    const gradients = new Float64Array(this.#model.parameterCount);
    let [lossSum, correct] = [0, 0];
    for (let start = 0; start < indices.length; start += CHUNK_SIZE) {
      const chunk = gather(this.#model, data, indices.subarray(start, start + CHUNK_SIZE));
      const result = lossAndGradients(this.#model, this.#parameters, chunk);
      const share = chunk.labels.length / batchSize;
      for (const [n, gradient] of result.gradients.entries()) gradients[n] += share * gradient;
      lossSum += result.lossSum;
      correct += countCorrect(result.predictions, chunk.labels);
      await nextTask();
    }
    return { loss: lossSum / batchSize, gradients, correct };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#attached.clear();
    this.#parameters = new Float64Array();
    this.#slots = [];
    return Promise.resolve();
  }
}

/** Copies the chosen images as the model's input, and their labels. */
function gather({ standardization }: Model, data: LabeledImages, indices: Uint32Array) {
  const { mean, std } = standardization;
  const pixels = data.images.length / data.count;
  const images = new Float64Array(indices.length * pixels);
  for (const [position, index] of indices.entries()) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const value = data.images[index * pixels + pixel] / 255;
      images[position * pixels + pixel] = (value - mean) / std;
    }
  }
  return { images, labels: Uint8Array.from(indices, (index) => data.labels[index]) };
}

/** Gradients of a batch's mean loss, from what this part of it makes of them. */
function sumOverShards(gradients: Float64Array, shard: Shard): Float64Array {
  const sums = Float32Array.from(gradients);
  shard.sumGradients(sums);
  return Float64Array.from(sums);
}

function countCorrect(predictions: Uint8Array, labels: Uint8Array): number {
  return predictions.reduce((sum, guess, n) => sum + (guess === labels[n] ? 1 : 0), 0);
}

function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
