/** How fast a session trains, by a short trial of it. */

import { initialParameters, initialStatistics } from "../nn/init.ts";
import type { Model } from "../nn/sequential.ts";
import type { LabeledImages } from "../data/dataset.ts";
import type { Session } from "./backend.ts";

/** Images of a call, about: those of an epoch of MNIST, after each of which a device may have to be waited for. */
const CALL_IMAGES = 60_000;
/** Images of the call that compiles. */
const FEW = 32;

/** Trains new parameters for a moment, and returns images a second.
 *
 * Compilation is not counted; before what is counted comes half as much, after which the session knows
 * how much work it may submit at once. A call returns when the device is done. The learning rate is 0.
 */
export async function trainingRate(
  session: Session,
  model: Model,
  { data, batchSize, elapsedMs }: {
    readonly data: LabeledImages;
    readonly batchSize: number;
    /** How long; a step that takes longer is waited for. */
    readonly elapsedMs: number;
  },
): Promise<number> {
  const [parameters, statistics] = [initialParameters(model, 0), initialStatistics(model)];
  await session.loadState({ parameters, statistics, slots: [], step: 0 });
  await session.attach(data);
  // Whole batches: batch norm refuses a last one of a single image.
  const length = batchSize * Math.ceil(CALL_IMAGES / batchSize);
  const order = Uint32Array.from({ length }, (_, place) => place % data.count);
  const train = (images: Uint32Array, signal?: AbortSignal) =>
    session.train(data, {
      order: images,
      batchSize,
      learningRates: new Float32Array(Math.ceil(images.length / batchSize)),
      signal,
    });
  const rateFor = async (milliseconds: number) => {
    const started = performance.now();
    const signal = AbortSignal.timeout(milliseconds);
    let images = 0;
    while (!signal.aborted) {
      const { steps } = await train(order, signal);
      images += steps * batchSize;
    }
    return 1000 * images / (performance.now() - started);
  };
  await train(order.subarray(0, Math.min(batchSize, FEW)));
  await rateFor(elapsedMs / 2);
  return await rateFor(elapsedMs);
}
