/** Cutting a call into slices, between which the event loop takes its turn, and summing their
 * results.
 */

/** How long the threads work before the event loop gets a turn. */
const SLICE_MS = 100;

/** Pieces of work that will take about SLICE_MS, at most twice as many as before. */
export function nextSlice(count: number, elapsedMs: number): number {
  return Math.max(1, Math.min(2 * count, Math.floor(count * SLICE_MS / Math.max(elapsedMs, 0.01))));
}

/** Sum, made in order. */
export function sum(values: Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** Mean, summed in order. */
export function mean(values: Float32Array): number {
  return sum(values) / values.length;
}

/** Predictions that equal the labels of the images at `indices`. */
export function countCorrect(
  predictions: Uint8Array,
  indices: Uint32Array,
  labels: Uint8Array,
): number {
  let correct = 0;
  for (const [position, prediction] of predictions.entries()) {
    if (prediction === labels[indices[position]]) correct++;
  }
  return correct;
}

/** What Deno and Node have for this, and browsers have not. */
const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };

/** Lets the event loop take a turn.
 *
 * In browsers by a message, which arrives sooner than the shortest timer. In Deno 2.9 messages keep all
 * timers waiting, once a package from npm was loaded.
 */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (setImmediate) return setImmediate(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
