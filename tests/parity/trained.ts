/** What a short training leaves: the same program for every engine, here and in browsers. */

import type { Backend } from "../../src/backends/backend.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import type { Model } from "../../src/nn/sequential.ts";
import { largestRelativeDifference, randomImages } from "./cases.ts";

/** Vectors of {@linkcode trained}; arrays where they come from a browser. */
export type Trained<Vector = Float32Array> = Readonly<
  Record<"gradients" | "parameters" | "statistics" | "logits", Vector>
>;

/** Three steps and some answers; batches of 70, the last of 20, are more than a group of images. */
export async function trained(backend: Pick<Backend, "open">, model: Model): Promise<Trained> {
  const data = randomImages(model, 90, 2);
  const optimizer = { type: "sgd", momentum: 0 } as const;
  await using session = await backend.open(model, { optimizer, batchSize: 70, seed: 7 });
  const [start, measured] = [initialParameters(model, 1), initialStatistics(model)];
  await session.loadState({ parameters: start, statistics: measured, slots: [], step: 5 });
  await session.attach(data);
  const { gradients } = await session.gradients(
    data,
    Uint32Array.from({ length: 70 }, (_, n) => n),
  );
  await session.train(data, {
    order: Uint32Array.from(data.labels, (_, n) => 89 - n),
    batchSize: 70,
    learningRates: Float32Array.of(0.1, 0.05),
  });
  const { parameters, statistics = new Float32Array() } = await session.readState();
  return { gradients, parameters, statistics, logits: await session.predict(data) };
}

/** What differs by more than rounding, in words: gradients and parameters by 1e-4 of a tensor's largest
 * value, statistics by 1e-5, logits by 1e-4, of 1 or their own size.
 */
export function differences(
  model: Model,
  actual: Trained<ArrayLike<number>>,
  expected: Trained,
): string[] {
  const found: string[] = [];
  for (const name of ["gradients", "parameters"] as const) {
    const [a, b] = [Float32Array.from(actual[name]), Float32Array.from(expected[name])];
    const difference = largestRelativeDifference(model, a, b);
    if (!(difference <= 1e-4)) found.push(`${name} differ by ${difference}`);
  }
  for (const [name, tolerance] of [["statistics", 1e-5], ["logits", 1e-4]] as const) {
    const [a, b] = [Array.from(actual[name]), Array.from(expected[name])];
    const isClose = (value: number, n: number) =>
      Math.abs(value - b[n]) <= tolerance * Math.max(1, Math.abs(b[n]));
    if (a.length !== b.length || !a.every(isClose)) found.push(`${name} differ`);
  }
  return found;
}
