/** A benchmark of wrong results is worthless: gradients are compared before anything is timed. */

import { referenceBackend } from "../src/backends/reference/backend.ts";
import { wasmBackend } from "../src/backends/wasm/backend.ts";
import { initialParameters } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { createRandom } from "../src/random.ts";

const COUNT = 19;
const TOLERANCE = 1e-4;

/** Compares one batch's gradients with the float64 reference.
 *
 * @throws {Error} If they differ by more than 1e-4 of a parameter tensor's largest.
 */
export async function checkEngine(model: Model): Promise<void> {
  const random = createRandom(2, "bench check");
  const [channels, height, width] = model.inputShape;
  const data = {
    images: Uint8Array.from(
      { length: COUNT * channels * height * width },
      () => random.below(256),
    ),
    labels: Uint8Array.from({ length: COUNT }, () => random.below(model.classCount)),
    count: COUNT,
    shape: model.inputShape,
  };
  const indices = Uint32Array.from({ length: COUNT }, (_, index) => index);
  const gradientsOf = async (backend: typeof wasmBackend) => {
    const options = { optimizer: { type: "sgd", momentum: 0 } as const, batchSize: COUNT };
    await using session = await backend.open(model, options);
    await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
    await session.attach(data);
    return (await session.gradients(data, indices)).gradients;
  };
  const [actual, expected] = [
    await gradientsOf(wasmBackend),
    await gradientsOf(referenceBackend),
  ];
  for (const { name, offset, size } of model.parameters) {
    const part = expected.subarray(offset, offset + size);
    const largest = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = part.reduce(
      (most, value, index) => Math.max(most, Math.abs(value - actual[offset + index])),
      0,
    );
    if (!(difference <= TOLERANCE * largest)) {
      throw new Error(
        `Cannot time the engine: its gradient of ${name} differs by ${difference} of ${largest}`,
      );
    }
  }
}
