/** What the parity test trains, in one process and in many. */

import type {
  BackendName,
  OptimizerSpec,
  Session,
  SessionOptions,
} from "../../src/backends/backend.ts";
import type { Augmentation } from "../../src/data/augment.ts";
import type { LabeledImages } from "../../src/data/dataset.ts";
import { loadDataset } from "../../src/data/load.ts";
import { initialParameters } from "../../src/nn/init.ts";
import type { Model } from "../../src/nn/sequential.ts";
import { lenet } from "../../src/nn/zoo.ts";
import { createRandom, permutation } from "../../src/random.ts";
import { caseModel, PARITY_CASES, randomImages } from "../parity/cases.ts";

/** A short training. */
export interface SharedCase {
  readonly name: string;
  readonly backend: BackendName;
  readonly model: Model;
  readonly data: LabeledImages;
  readonly optimizer: OptimizerSpec;
  /** Whose denominator, and whose norm, are those of the whole batch. */
  readonly loss?: SessionOptions["loss"];
  readonly clipNorm?: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly threads: number;
  readonly augmentation?: Augmentation;
}

/** What came of it. */
export interface SharedResult {
  readonly name: string;
  readonly losses: readonly number[];
  readonly corrects: readonly number[];
  readonly testLoss: number;
  readonly predictions: readonly number[];
  readonly parameters: readonly number[];
}

const SGD: OptimizerSpec = { type: "sgd", momentum: 0 };
const ADAM: OptimizerSpec = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-3 };

const WEIGHTED = {
  optimizer: { type: "sgd", momentum: 0.9, weightDecay: 0.1, nesterov: true },
  loss: { labelSmoothing: 0.2, classWeights: [0.5, 3, 1] },
  clipNorm: 0.1,
} as const;

/** The cases on the backends asked for.
 *
 * LeNet's 20 steps of 256 end with a batch of 136; batches of 3, the last of 2, leave the last of four
 * ranks without an image.
 */
export async function sharedCases(backends: readonly BackendName[]): Promise<SharedCase[]> {
  const { train } = await loadDataset("sample");
  const small = caseModel(PARITY_CASES[2]);
  const few = {
    model: small,
    data: randomImages(small, 11, 4),
    batchSize: 3,
    learningRate: 0.05,
    threads: 1,
  };
  const whole = { model: lenet(), data: train, batchSize: 256, learningRate: 0.2 };
  return [
    { name: "LeNet", backend: "wasm", optimizer: SGD, ...whole, threads: 1 },
    { name: "LeNet, 2 threads", backend: "wasm", optimizer: SGD, ...whole, threads: 2 },
    ...backends.flatMap((backend) => [
      { name: `few images, sgd, ${backend}`, backend, optimizer: SGD, ...few },
      { name: `few images, adam, ${backend}`, backend, optimizer: ADAM, ...few },
      { name: `few images, weighted and clipped, ${backend}`, backend, ...WEIGHTED, ...few },
      {
        ...{ name: `few images, augmented, ${backend}`, backend, optimizer: SGD, ...few },
        augmentation: { flip: true, shift: 2, erase: 0.5, rotate: 20, brightness: 0.2 },
      },
    ]),
  ];
}

/** What a case's session is opened with. */
export function optionsOf(
  { optimizer, batchSize, threads, loss, clipNorm, augmentation }: SharedCase,
) {
  return { optimizer, batchSize, threads, loss, clipNorm, augmentation, seed: 5 };
}

/** Trains an epoch from seed 1 and evaluates. */
export async function runCase(session: Session, shared: SharedCase): Promise<SharedResult> {
  const { name, model, data, batchSize, learningRate } = shared;
  await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
  await session.attach(data);
  const order = permutation(data.count, createRandom(1, "order"));
  const steps = Math.ceil(order.length / batchSize);
  const learningRates = new Float32Array(steps).fill(learningRate);
  const { losses, corrects } = await session.train(data, { order, batchSize, learningRates });
  const { loss, predictions } = await session.evaluate(data);
  const { parameters } = await session.readState();
  return {
    name,
    losses: [...losses],
    corrects: [...corrects],
    testLoss: loss,
    predictions: [...predictions],
    parameters: [...parameters],
  };
}
