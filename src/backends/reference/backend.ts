/** The `reference` backend: float64, one thread, plain loops; slow and obviously right. */

import type { LabeledImages } from "../../data/dataset.ts";
import type { Model } from "../../nn/sequential.ts";
import { type Backend, type Device, type Shard, shardRange } from "../backend.ts";
import {
  type Engine,
  type EngineOptions,
  nextTask,
  type Pass,
  type Results,
  type Work,
} from "../engine.ts";
import { engineBackend } from "../session.ts";
import { forward, lossAndGradients } from "./network.ts";
import { updateParameters } from "./optimizer.ts";
import { softmaxCrossEntropy } from "./softmax_cross_entropy.ts";

/** Images that are taken at a time, so that memory stays bounded. */
const CHUNK_SIZE = 64;

/** The float64 oracle that every other backend is compared with.
 *
 * Its state is float64 but is read and loaded as float32, so that a run that was stopped and goes on
 * differs from an uninterrupted one by rounding.
 */
export const referenceBackend: Backend = engineBackend(
  "reference",
  (model, options) => Promise.resolve(new ReferenceEngine(model, options)),
);

class ReferenceEngine implements Engine<LabeledImages> {
  readonly device: Device = {
    kind: "cpu",
    description: "float64 TypeScript",
    threads: 1,
    software: false,
  };
  readonly inferenceBatch = CHUNK_SIZE;
  readonly batches = { first: 1, most: 1 };
  readonly stretchesInFlight = 1;
  readonly #model: Model;
  readonly #options: EngineOptions;
  #parameters: Float64Array;
  #gradients: Float64Array = new Float64Array();
  #slots: Float64Array[] = [];
  readonly #decays: Float64Array;

  constructor(model: Model, options: EngineOptions) {
    this.#model = model;
    this.#options = options;
    this.#parameters = new Float64Array(model.parameterCount);
    this.#decays = new Float64Array(model.parameterCount);
    for (const { decays, offset, size } of model.parameters) {
      this.#decays.fill(Number(decays), offset, offset + size);
    }
  }

  load(parameters: Float32Array, slots: readonly Float32Array[]): void {
    this.#parameters = Float64Array.from(parameters);
    this.#slots = slots.map((slot) => Float64Array.from(slot));
  }

  read(): Promise<Float32Array[]> {
    return Promise.resolve(
      [this.#parameters, ...this.#slots].map((vector) => Float32Array.from(vector)),
    );
  }

  /** Nothing is copied. */
  attach(data: LabeledImages): LabeledImages {
    return data;
  }

  detach(): void {}

  begin(work: Work<LabeledImages>): Pass {
    const { order, batchSize } = work;
    const all = {
      losses: new Float64Array(order.length),
      predictions: new Uint8Array(order.length),
      logits: new Float32Array(work.kind === "predict" ? order.length * this.#model.classCount : 0),
    };
    return {
      run: async (first, count) => {
        for (let batch = first; batch < first + count; batch++) {
          const start = batch * batchSize;
          const range = { start, end: Math.min(start + batchSize, order.length) };
          if (work.kind === "train") await this.#train(work, range, all);
          else if (work.kind === "gradients") await this.#makeGradients(work, range, all);
          else this.#infer(work, range, all);
        }
      },
      read: () => Promise.resolve(all),
      end() {},
    };
  }

  readGradients(): Promise<Float32Array> {
    return Promise.resolve(Float32Array.from(this.#gradients));
  }

  dispose(): void {
    this.#parameters = this.#gradients = new Float64Array();
    this.#slots = [];
  }

  async #train(work: Work<LabeledImages>, range: Range, results: Results): Promise<void> {
    const { shard, optimizer } = this.#options;
    await this.#makeGradients(work, range, results);
    if (shard) this.#gradients = sumOverShards(this.#gradients, shard);
    const batch = range.start / work.batchSize;
    const vectors = {
      parameters: this.#parameters,
      gradients: this.#gradients,
      slots: this.#slots,
      decays: this.#decays,
    };
    updateParameters(optimizer, vectors, {
      learningRate: work.learningRates[batch],
      step: work.step + batch + 1,
    });
  }

  /** What this session's part of a batch makes of its gradients. */
  async #makeGradients(
    { kind, images, order }: Work<LabeledImages>,
    { start, end }: Range,
    results: Results,
  ): Promise<void> {
    const { shard } = this.#options;
    const part = kind === "train" && shard
      ? shardRange(end - start, shard)
      : { start: 0, end: end - start };
    this.#gradients = new Float64Array(this.#model.parameterCount);
    for (let first = part.start; first < part.end; first += CHUNK_SIZE) {
      const place = start + first;
      const last = start + Math.min(first + CHUNK_SIZE, part.end);
      const chunk = gather(this.#model, images, order.subarray(place, last));
      const result = lossAndGradients(this.#model, this.#parameters, chunk);
      const share = (last - place) / (end - start);
      for (const [n, gradient] of result.gradients.entries()) {
        this.#gradients[n] += share * gradient;
      }
      results.losses.set(result.losses, place);
      results.predictions.set(result.predictions, place);
      await nextTask();
    }
  }

  #infer(
    { kind, images, order }: Work<LabeledImages>,
    { start, end }: Range,
    results: Results,
  ): void {
    const { images: pixels, labels } = gather(this.#model, images, order.subarray(start, end));
    const logits = forward(this.#model, this.#parameters, pixels).at(-1)!;
    if (kind === "predict") return results.logits.set(logits, start * this.#model.classCount);
    const { losses, predictions } = softmaxCrossEntropy(logits, labels);
    results.losses.set(losses, start);
    results.predictions.set(predictions, start);
  }
}

/** Places of an order that are a batch. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** Copies the chosen images as the model's input, and their labels. */
export function gather(
  { standardization }: Model,
  data: LabeledImages,
  indices: Uint32Array,
): { readonly images: Float64Array; readonly labels: Uint8Array } {
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
