/** A model on paper of a distributed step: its computing, and an all-reduce over links. */

/** What the model knows of machines and links. */
export interface CostModel {
  /** Training images a second of one rank alone. */
  readonly imagesPerSecond: number;
  /** Time of a message without content: latency. */
  readonly alphaMs: number;
  /** Bandwidth of a link in one direction. */
  readonly bytesPerMs: number;
}

/** Bytes of LeNet's gradients. */
export const GRADIENT_BYTES = 4 * 61_706;

/** Time of an all-reduce of `bytes` over ranks: a sum of halves, then a gathering of halves.
 *
 * 2 ceil(log2 p) messages, and 2 (p - 1) / p of the bytes through each rank's link. Source: Thakur,
 * Rabenseifner and Gropp 2005, which OpenMPI and MPICH follow for vectors of this length; adding up is
 * left out.
 */
export function allReduceMs(
  ranks: number,
  { alphaMs, bytesPerMs }: CostModel,
  bytes = GRADIENT_BYTES,
): number {
  const share = (ranks - 1) / ranks;
  return 2 * Math.ceil(Math.log2(ranks)) * alphaMs + 2 * share * bytes / bytesPerMs;
}

/** Time of a step of a batch over ranks, of which the one with most images counts. */
export function stepMs(ranks: number, batchSize: number, model: CostModel): number {
  return 1000 * Math.ceil(batchSize / ranks) / model.imagesPerSecond + allReduceMs(ranks, model);
}

/** Latency and bandwidth from all-reduces of two ranks, the least disturbed ones. */
export function fitLink(
  allReduce: readonly { readonly floats: number; readonly leastMs: number }[],
): Pick<CostModel, "alphaMs" | "bytesPerMs"> {
  const [smallest, largest] = [allReduce[0], allReduce[allReduce.length - 1]];
  // Between two ranks both formulas are 2 alpha + bytes / bandwidth.
  const alphaMs = smallest.leastMs / 2;
  return { alphaMs, bytesPerMs: 4 * largest.floats / (largest.leastMs - smallest.leastMs) };
}
