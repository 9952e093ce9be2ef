/** What the benchmarks of engines share: models on noise, whom they run on, and how figures are shown. */

import { markdownTable } from "markdown-table";
import {
  type Entrant,
  isMeasured,
  type Measured,
  measureEntrants,
  type Row,
} from "../src/compare/turns.ts";
import type { Contender } from "../src/compare/contender.ts";
import type { ComparisonPlan } from "../src/compare/plan.ts";
import { type Quartiles, quartiles } from "../src/compare/statistics.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import { initialParameters } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { summarize, trainingMacs } from "../src/nn/summary.ts";
import { createRandom } from "../src/random.ts";

/** Images in a step, where nothing else is said. */
export const BATCH_SIZE = 256;
const LEARNING_RATE = 0.01;
/** Images of a set: all who train a model train on one, which the reference then does but once. */
export const IMAGES = 4096;
/** Images of a step that the float64 reference makes too: it trains some 100 a second. */
const JUDGED_BATCH = 32;

const noise = new Map<string, LabeledImages>();

/** Random pixels and labels: no time but max pooling's depends on what images show. */
export function randomImages({ inputShape, classCount }: Model, count: number): LabeledImages {
  const key = `${inputShape}, ${classCount}, ${count}`;
  const random = createRandom(1, "bench");
  const pixels = inputShape.reduce((product, size) => product * size, count);
  const images = noise.get(key) ?? {
    images: Uint8Array.from({ length: pixels }, () => random.below(256)),
    labels: Uint8Array.from({ length: count }, () => random.below(classCount)),
    count,
    shape: inputShape,
  };
  noise.set(key, images);
  return images;
}

/** Someone who trains a model for some images a turn, and evaluates as many. */
export function entrant(
  name: string,
  contender: Contender,
  { model, images, batchSize = BATCH_SIZE, threads }: {
    readonly model: Model;
    readonly images: number;
    readonly batchSize?: number;
    readonly threads?: number;
  },
): Entrant {
  const classNames = Array.from({ length: model.classCount }, (_, label) => `${label}`);
  const train = randomImages(model, Math.max(IMAGES, images));
  const plan: ComparisonPlan = {
    ...{ model, threads, batchSize, learningRate: LEARNING_RATE, seed: 1, repeats: 1, budgetMs: 1 },
    steps: Math.max(1, Math.floor(images / batchSize)),
    dataset: { name: "noise", classNames, train, test: randomImages(model, images), digest: "" },
    parameters: initialParameters(model, 1),
    judgedBatch: JUDGED_BATCH,
  };
  return { name, contender, plan };
}

/** Measures in turns; the first round warms up and is left out.
 *
 * @throws {Error} If one computes something else than the reference: a benchmark of wrong results is
 * worthless.
 */
export async function measureAll(
  entrants: readonly Entrant[],
  repeats: number,
  options: Parameters<typeof measureEntrants>[2],
): Promise<Row[]> {
  const rows = await measureEntrants(entrants, repeats + 1, options);
  for (const { backend, agreement, trainLoss } of measured(rows)) {
    const { verdict, parameterDifference, lossDifference } = agreement;
    // TF32 keeps 10 bits of every factor, which is why it is measured beside float32.
    const isRight = verdict === "agrees" || backend.includes("TF32");
    if (!isRight || !Number.isFinite(trainLoss)) {
      throw new Error(
        `Cannot time ${backend}: its parameters differ from the reference's by ` +
          `${parameterDifference}, its losses by ${lossDifference}, its loss is ${trainLoss}`,
      );
    }
  }
  return rows;
}

/** The rows that were measured. */
export function measured(rows: readonly Row[]): Measured[] {
  return rows.filter(isMeasured);
}

/** Quartiles without the first round. */
export function warm(rates: readonly number[]): Quartiles {
  return quartiles(rates.slice(1));
}

/** Quartiles of what rounds of something take, part by part; two rounds before warm up.
 *
 * @param round Gives what each part took.
 */
export async function sampleParts(
  repeats: number,
  round: () => Promise<Iterable<readonly [part: string, time: number]>>,
): Promise<Record<string, Quartiles>> {
  const samples = new Map<string, number[]>();
  for (let repeat = -2; repeat < repeats; repeat++) {
    for (const [part, time] of await round()) {
      const times = samples.get(part) ?? [];
      if (repeat >= 0) samples.set(part, [...times, time]);
    }
  }
  return Object.fromEntries([...samples].map(([part, times]) => [part, quartiles(times)]));
}

/** Floating-point operations of one image: forward, every weight gradient, and input gradients
 * except the first layer's; multiply-adds of convolutions and linear layers only, each counted as
 * two, all convolved directly.
 */
export function flopOf(model: Model): { training: number; evaluation: number } {
  const forwardMacs = summarize(model).reduce((sum, layer) => sum + layer.forwardMacs, 0);
  return { training: 2 * trainingMacs(model), evaluation: 2 * forwardMacs };
}

/** A table of quartiles by name. */
export function quartilesTable(
  header: readonly [title: string, unit: string],
  spreads: Readonly<Record<string, Quartiles>>,
  digits: number,
): string {
  const rows = Object.entries(spreads).map(([name, { median, low, high }]) => [
    name,
    median.toFixed(digits),
    `${low.toFixed(digits)}-${high.toFixed(digits)}`,
  ]);
  return markdownTable([[...header, "quartiles"], ...rows]) + "\n";
}
