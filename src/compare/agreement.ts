/** Whether a contender computes what it should: its first steps against the float64 reference's. */

import type { LabeledImages } from "../data/dataset.ts";
import type { Model } from "../nn/sequential.ts";
import { backendContender, type Contender, type ContenderSession } from "./contender.ts";
import { type ComparisonPlan, SampleOrder } from "./plan.ts";

/** Largest relative differences that rounding to float32 explains. */
export interface Tolerance {
  readonly losses: number;
  readonly parameters: number;
}

/** What the parity tests ask of every backend. */
const FLOAT32_TOLERANCE: Tolerance = { losses: 1e-4, parameters: 1e-4 };

/** How far a contender is from the float64 reference. */
export interface Agreement {
  /** Steps that were compared, from the same parameters on the same batches. */
  readonly steps: number;
  readonly batchSize: number;
  /** Largest difference of a step's loss, relative to the reference's, or to 1 if that is less. */
  readonly lossDifference: number;
  /** Largest difference of a parameter after the first step, relative to the largest of its layer: biases begin at 0, and what
   * rounding makes of one counts beside its weights. */
  readonly parameterDifference: number;
  readonly tolerance: Tolerance;
  readonly verdict: "agrees" | "differs";
}

const STEPS = 5;
/** Largest batch that is compared: the reference trains some 200 images a second. */
const BATCH_SIZE = 256;
/** For contenders that take seconds for more. */
const SLOW_BATCH_SIZE = 8;

interface Outcome {
  /** Of each step. */
  readonly losses: Float32Array;
  /** After the first: in deep networks rounding decides which side of zero some ReLUs' inputs are on, and
   * each step multiplies what that changes. Losses tell whether the other steps are right. */
  readonly parameters: Float32Array;
}

/** Runs the reference once for each model and batch, and compares others with it. */
export class Oracle {
  /** By the images, and by model, batch and attempt. */
  readonly #outcomes = new Map<LabeledImages, Map<string, Promise<Outcome>>>();

  /** Trains a contender's first steps; its parameters are then no longer the initial ones.
   *
   * A ReLU whose input is zero but for rounding takes a side by chance, and a whole image's gradient
   * with it: some runs in a hundred differ so. Who differs is therefore given other images once.
   */
  async judge(
    { slow }: Contender,
    session: ContenderSession,
    { plan, signal }: { readonly plan: ComparisonPlan; readonly signal?: AbortSignal },
  ): Promise<Agreement> {
    const { model, parameters, learningRate, batchSize: asked, judgedBatch = BATCH_SIZE } = plan;
    const batchSize = Math.min(asked, slow ? SLOW_BATCH_SIZE : judgedBatch);
    const samples = new SampleOrder(plan);
    const compare = async (attempt: number): Promise<Agreement> => {
      const order = samples.slice(attempt * STEPS * batchSize, STEPS * batchSize);
      const run = async (session: ContenderSession): Promise<Outcome> => {
        await session.load(parameters);
        const losses: number[] = [];
        const train = async (samples: Uint32Array) => {
          const options = { batchSize, learningRate, signal };
          losses.push(...(await session.train(samples, options)).losses);
        };
        await train(order.subarray(0, batchSize));
        const trained = await session.readParameters();
        await train(order.subarray(batchSize));
        return { losses: Float32Array.from(losses), parameters: trained };
      };
      const runReference = async () => {
        await using reference = await backendContender("reference").open(plan);
        return await run(reference);
      };
      const key = `${model.name}, ${batchSize}, ${attempt}`;
      const known = this.#outcomes.get(plan.dataset.train) ?? new Map<string, Promise<Outcome>>();
      this.#outcomes.set(plan.dataset.train, known);
      const expected = known.get(key) ?? runReference();
      known.set(key, expected);
      const [right, actual] = [await expected, await run(session)];
      return { steps: STEPS, batchSize, ...compareOutcomes(model, actual, right) };
    };
    const first = await compare(0);
    return first.verdict === "agrees" ? first : await compare(1);
  }
}

/** Compares losses and parameters; a NaN where the reference has a number is an infinite difference. */
export function compareOutcomes(
  model: Model,
  actual: Outcome,
  expected: Outcome,
  tolerance = FLOAT32_TOLERANCE,
): Pick<Agreement, "lossDifference" | "parameterDifference" | "tolerance" | "verdict"> {
  let lossDifference = 0;
  for (const [step, loss] of expected.losses.entries()) {
    const difference = distance(actual.losses[step], loss) / Math.max(1, Math.abs(loss) || 0);
    lossDifference = Math.max(lossDifference, difference);
  }
  let parameterDifference = 0;
  for (const { parameters } of model.layers) {
    let [difference, largest] = [0, 0];
    for (const { offset, size } of parameters) {
      for (let index = offset; index < offset + size; index++) {
        difference = Math.max(
          difference,
          distance(actual.parameters[index], expected.parameters[index]),
        );
        largest = Math.max(largest, Math.abs(expected.parameters[index]) || 0);
      }
    }
    if (difference > 0) parameterDifference = Math.max(parameterDifference, difference / largest);
  }
  const agrees = lossDifference <= tolerance.losses && parameterDifference <= tolerance.parameters;
  const verdict = agrees ? "agrees" : "differs";
  return { lossDifference, parameterDifference, tolerance, verdict };
}

function distance(actual: number, expected: number): number {
  if (Object.is(actual, expected)) return 0;
  const difference = Math.abs(actual - expected);
  return Number.isNaN(difference) ? Infinity : difference;
}
