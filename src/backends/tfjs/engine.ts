/** The engine on any TensorFlow.js backend: a network, its gradients, its optimiser. */

import * as tf from "./tfjs.ts";
import type { Augmenter } from "../../data/augment.ts";
import type { LabeledImages } from "../../data/dataset.ts";
import type { LossTargets } from "../../nn/loss.ts";
import type { Model } from "../../nn/sequential.ts";
import type { Device } from "../backend.ts";
import type { Engine, EngineOptions, Pass, Vectors, Work } from "../engine.ts";
import { augmenterOf, changesOf } from "../gather.ts";
import { type BatchTensors, batchTensors } from "./batch_tensors.ts";
import { type Started, withActive } from "./engines.ts";
import { readFlat, TfjsNetwork, writeFlat } from "./network.ts";
import { Optimizer } from "./optimizer.ts";

/** The engine of `tfjs-cpu`, `tfjs-wasm` and `tfjs-webgpu`. */
export class TfjsEngine implements Engine<LabeledImages> {
  readonly device: Device;
  readonly inferenceBatch = 250;
  readonly batches = { first: 1, most: 8 };
  readonly stretchesInFlight = 1;
  readonly #started: Started;
  readonly #model: Model;
  readonly #network: TfjsNetwork;
  readonly #variables: tf.Variable[];
  /** Those that are not frozen. */
  readonly #trained: tf.Variable[];
  readonly #optimizer: Optimizer;
  readonly #options: EngineOptions;
  readonly #augmenter: Augmenter | undefined;
  /** Of the last pass that asked for them. */
  #gradients: tf.Tensor[] = [];

  /** Builds the network on a started backend. */
  static async open(started: Started, model: Model, options: EngineOptions): Promise<TfjsEngine> {
    return await withActive(started.tfName, () => {
      const network = new TfjsNetwork(model);
      const optimizer = new Optimizer(options.optimizer, network.variables);
      return new TfjsEngine(started, model, { network, optimizer, options });
    });
  }

  private constructor(
    started: Started,
    model: Model,
    { network, optimizer, options }: {
      readonly network: TfjsNetwork;
      readonly optimizer: Optimizer;
      readonly options: EngineOptions;
    },
  ) {
    this.device = started.device;
    this.#started = started;
    this.#model = model;
    this.#network = network;
    this.#variables = [...network.variables];
    this.#trained = this.#variables.filter((_, index) => model.parameters[index].trained);
    this.#optimizer = optimizer;
    this.#options = options;
    this.#augmenter = augmenterOf(model, options);
  }

  load({ parameters, statistics, slots }: Vectors): Promise<void> {
    return this.#active(() =>
      tf.tidy(() => {
        this.#network.load(parameters, statistics);
        this.#optimizer.load(slots.map((slot) => writeFlat(this.#model, slot)));
      })
    );
  }

  async read(): Promise<Vectors> {
    const vectors = [this.#variables, ...this.#optimizer.slots];
    // Each reads its tensors before it waits for anything.
    const [statistics, parameters, ...slots] = await this.#active(() =>
      Promise.all([
        this.#network.readStatistics(),
        ...vectors.map((tensors) => readFlat(this.#model, tensors)),
      ])
    );
    return { parameters, statistics, slots };
  }

  /** Nothing is copied. */
  attach(data: LabeledImages): LabeledImages {
    return data;
  }

  detach(): void {}

  begin(work: Work<LabeledImages>): Pass {
    const { kind, order, batchSize } = work;
    const { classCount } = this.#model;
    const results = {
      losses: new Float32Array(order.length),
      predictions: new Uint8Array(order.length),
      logits: new Float32Array(kind === "predict" ? order.length * classCount : 0),
    };
    return {
      run: async (first, count) => {
        const outputs = await this.#active(() =>
          Array.from({ length: count }, (_, n) => this.#batch(work, first + n))
        );
        for (const [n, output] of outputs.entries()) {
          const values = await output.data<"float32">();
          output.dispose();
          const start = (first + n) * batchSize;
          if (kind === "predict") {
            results.logits.set(values, start * classCount);
          } else {
            results.losses.set(values.subarray(0, values.length / 2), start);
            results.predictions.set(values.subarray(values.length / 2), start);
          }
        }
        this.#started.checkDevice();
      },
      read: () => Promise.resolve(results),
      end() {},
    };
  }

  async readGradients(): Promise<Float32Array> {
    const gradients = this.#gradients;
    try {
      return await this.#active(() => readFlat(this.#model, gradients));
    } finally {
      tf.dispose(gradients);
    }
  }

  dispose(): Promise<void> {
    return this.#active(() => {
      this.#optimizer.dispose();
      tf.dispose([...this.#variables, ...this.#network.statistics]);
    });
  }

  #active<T>(work: () => T | Promise<T>): Promise<T> {
    return withActive(this.#started.tfName, work);
  }

  /** Losses, then predictions, of a batch's images, or their logits; still on the device. */
  #batch(work: Work<LabeledImages>, batch: number) {
    const { kind, images, order, batchSize, learningRates, divisors, step } = work;
    const { targets, clipNorm, seed } = this.#options;
    return tf.tidy(() => {
      const indices = order.subarray(batch * batchSize, (batch + 1) * batchSize);
      const changeOf = changesOf(this.#augmenter, work, batch);
      const tensors = batchTensors(this.#model, images, indices, changeOf);
      const isStep = kind === "train";
      const training = isStep || kind === "gradients";
      const context = { training, isStep, seed, step: step + batch, indices };
      const logits = () => this.#network.apply(tensors.images, context);
      if (kind === "predict") return logits();
      if (kind === "evaluate") return outcome(tensors, logits()).results;
      let results: tf.Tensor | undefined;
      const { grads } = tf.variableGrads(() => {
        const { losses, results: both } = outcome(tensors, logits(), targets);
        results = tf.keep(both);
        return losses.sum().div<tf.Scalar>(divisors[batch]);
      }, this.#trained);
      const gradients = this.#variables.map((variable) =>
        grads[variable.name] ?? tf.zerosLike(variable)
      );
      if (kind === "train") {
        this.#optimizer.update(clipped(gradients, clipNorm), this.#model.parameters, {
          learningRate: learningRates[batch],
          step: step + batch + 1,
        });
      } else {
        this.#gradients = gradients.map((gradient) => tf.keep(gradient));
      }
      return results!;
    });
  }
}

/** Loss and most probable class of each image of a batch, and both in one tensor, to be read at once. */
function outcome({ labels }: BatchTensors, logits: tf.Tensor2D, targets?: LossTargets) {
  const losses = targets
    ? wanted(labels, targets).mul(tf.logSoftmax(logits)).sum(1).neg()
    : tf.losses.softmaxCrossEntropy(labels, logits, undefined, 0, tf.Reduction.NONE);
  return { losses, results: tf.concat([losses, logits.argMax(1).toFloat()]) };
}

/** What each image wants of each class, from labels that are 1 or 0. */
function wanted(labels: tf.Tensor2D, { totals, others }: LossTargets): tf.Tensor {
  const all = others.reduce((sum, other) => sum + other, 0);
  return labels.mul(tf.tensor1d(totals.map((total) => total - all))).add(tf.tensor1d([...others]));
}

/** Gradients times `clipFactor`, which stays on the device. */
function clipped(gradients: tf.Tensor[], clipNorm: number | undefined): tf.Tensor[] {
  if (clipNorm === undefined) return gradients;
  const squares = tf.addN(gradients.map((gradient) => gradient.square().sum()));
  const factor = tf.minimum(tf.div(clipNorm, tf.sqrt(squares).add(1e-6)), 1);
  return gradients.map((gradient) => gradient.mul(factor));
}
