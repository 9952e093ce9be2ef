/** The same training on several backends, in turns, measured: what compare_backends reports. */

import { loadBackend } from "../backends/registry.ts";
import {
  type BackendName,
  BackendUnavailableError,
  type Device,
  type OptimizerSpec,
  type Session,
  type SessionOptions,
} from "../backends/backend.ts";
import type { Dataset, LabeledImages } from "../data/dataset.ts";
import type { Model } from "../nn/sequential.ts";
import { countCorrect } from "../train/metrics.ts";
import { epochOrder } from "../train/plan.ts";

/** What every backend is asked to do. */
export interface ComparisonPlan {
  readonly model: Model;
  readonly dataset: Dataset;
  /** Initial parameters, the same for all. */
  readonly parameters: Float32Array;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Steps of each repeat. */
  readonly steps: number;
  /** Measured repeats of training and of evaluation. */
  readonly repeats: number;
  readonly threads?: number;
}

/** What one backend did. */
export interface Measured {
  readonly backend: BackendName;
  readonly device: Device;
  /** Loading the code, opening the session, attaching the data. */
  readonly startMs: number;
  /** The first step, with all that is compiled or allocated on the way. */
  readonly firstStepMs: number;
  /** Milliseconds of a step, one number a repeat. */
  readonly stepMs: readonly number[];
  readonly trainImagesPerSecond: readonly number[];
  readonly evalImagesPerSecond: readonly number[];
  /** Mean loss and accuracy over the last repeat's batches, before each update. */
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  readonly testAccuracy: number;
  /** Largest difference of a parameter from the first backend's, relative to the largest parameter. */
  readonly parameterDifference: number;
  /** Growth of the process's resident memory from before opening to after the first evaluation. */
  readonly memoryBytes: number;
}

/** A backend that cannot run here, and why. */
export interface Unavailable {
  readonly backend: BackendName;
  readonly reason: string;
}

const PLAIN_SGD: OptimizerSpec = { type: "sgd", momentum: 0 };

/** A backend under way. */
interface Entry {
  readonly backend: BackendName;
  readonly session: Session;
  readonly startMs: number;
  readonly firstStepMs: number;
  readonly memoryBytes: number;
  readonly stepMs: number[];
  readonly trainRates: number[];
  readonly evalRates: number[];
  last: { loss: number; accuracy: number };
  testAccuracy: number;
}

/** Runs the plan on each backend, repeats in turns (A B C A B C), so that drift hits all alike.
 *
 * All train the same batches from the same bits. The first step and a first evaluation warm each
 * up and are not part of the repeats.
 *
 * @param say Called with what is being done.
 * @throws {Error} The signal's reason, once it aborts.
 */
export async function compareBackends(
  names: readonly BackendName[],
  plan: ComparisonPlan,
  { signal, say = () => {} }: {
    readonly signal?: AbortSignal;
    readonly say?: (activity: string) => void;
  } = {},
): Promise<(Measured | Unavailable)[]> {
  const batches = comparisonOrder(plan);
  const entries = new Map<BackendName, Entry>();
  const unavailable = new Map<BackendName, Unavailable>();
  try {
    for (const name of names) {
      signal?.throwIfAborted();
      say(`${name}: start and first step`);
      try {
        entries.set(name, await openEntry(name, plan, batches));
      } catch (error) {
        if (!(error instanceof BackendUnavailableError)) throw error;
        unavailable.set(name, { backend: name, reason: error.message });
      }
    }
    for (let repeat = 0; repeat < plan.repeats; repeat++) {
      for (const entry of entries.values()) {
        signal?.throwIfAborted();
        say(`${entry.backend}: repeat ${repeat + 1} of ${plan.repeats}`);
        await measureRepeat(entry, plan, { batches, repeat, signal });
      }
    }
    return await summarizeEntries(names, entries, unavailable);
  } finally {
    for (const { session } of entries.values()) await session[Symbol.asyncDispose]();
  }
}

/** Samples of all steps: the warm-up step first, then the repeats; epochs follow one another. */
function comparisonOrder(
  { dataset, batchSize, seed, steps, repeats }: ComparisonPlan,
): Uint32Array {
  const { count } = dataset.train;
  const order = new Uint32Array((1 + steps * repeats) * batchSize);
  for (let start = 0, epoch = 1; start < order.length; start += count, epoch++) {
    order.set(
      epochOrder({ seed, shuffle: true }, epoch, count).subarray(0, order.length - start),
      start,
    );
  }
  return order;
}

async function openEntry(
  name: BackendName,
  plan: ComparisonPlan,
  batches: Uint32Array,
): Promise<Entry> {
  const { model, dataset, batchSize, learningRate, threads } = plan;
  const options: SessionOptions = { optimizer: PLAIN_SGD, batchSize, threads };
  const memoryBefore = Deno.memoryUsage().rss;
  const started = performance.now();
  const session = await (await loadBackend(name)).open(model, options);
  try {
    await session.loadState({ parameters: plan.parameters, slots: [], step: 0 });
    await session.attach(dataset.train);
    await session.attach(dataset.test);
    const ready = performance.now();
    const order = batches.subarray(0, batchSize);
    const learningRates = Float32Array.of(learningRate);
    await session.train(dataset.train, { order, batchSize, learningRates });
    const firstStepMs = performance.now() - ready;
    await session.evaluate(dataset.test);
    return {
      backend: name,
      session,
      startMs: ready - started,
      firstStepMs,
      memoryBytes: Math.max(0, Deno.memoryUsage().rss - memoryBefore),
      stepMs: [],
      trainRates: [],
      evalRates: [],
      last: { loss: NaN, accuracy: NaN },
      testAccuracy: NaN,
    };
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

async function measureRepeat(
  entry: Entry,
  { dataset, batchSize, learningRate, steps }: ComparisonPlan,
  { batches, repeat, signal }: { batches: Uint32Array; repeat: number; signal?: AbortSignal },
): Promise<void> {
  const first = (1 + repeat * steps) * batchSize;
  const order = batches.subarray(first, first + steps * batchSize);
  const learningRates = new Float32Array(steps).fill(learningRate);
  const started = performance.now();
  const result = await entry.session.train(dataset.train, {
    order,
    batchSize,
    learningRates,
    signal,
  });
  const trainMs = performance.now() - started;
  signal?.throwIfAborted();
  entry.stepMs.push(trainMs / steps);
  entry.trainRates.push(order.length / trainMs * 1000);
  const correct = result.corrects.reduce((sum, count) => sum + count, 0);
  const loss = result.losses.reduce((sum, value) => sum + value, 0) / steps;
  entry.last = { loss, accuracy: correct / order.length };
  const { evalMs, accuracy } = await measureEvaluation(entry.session, dataset.test);
  entry.evalRates.push(dataset.test.count / evalMs * 1000);
  entry.testAccuracy = accuracy;
}

async function measureEvaluation(session: Session, test: LabeledImages) {
  const started = performance.now();
  const { predictions } = await session.evaluate(test);
  const evalMs = performance.now() - started;
  return { evalMs, accuracy: countCorrect(predictions, test.labels) / test.count };
}

async function summarizeEntries(
  names: readonly BackendName[],
  entries: ReadonlyMap<BackendName, Entry>,
  unavailable: ReadonlyMap<BackendName, Unavailable>,
): Promise<(Measured | Unavailable)[]> {
  const rows: (Measured | Unavailable)[] = [];
  let expected: Float32Array | undefined;
  for (const name of names) {
    const entry = entries.get(name);
    if (entry === undefined) {
      rows.push(unavailable.get(name)!);
      continue;
    }
    const { parameters } = await entry.session.readState();
    expected ??= parameters;
    rows.push({
      backend: name,
      device: entry.session.device,
      startMs: entry.startMs,
      firstStepMs: entry.firstStepMs,
      stepMs: entry.stepMs,
      trainImagesPerSecond: entry.trainRates,
      evalImagesPerSecond: entry.evalRates,
      trainLoss: entry.last.loss,
      trainAccuracy: entry.last.accuracy,
      testAccuracy: entry.testAccuracy,
      parameterDifference: relativeDifference(parameters, expected),
      memoryBytes: entry.memoryBytes,
    });
  }
  return rows;
}

function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  let [difference, largest] = [0, 0];
  for (let index = 0; index < expected.length; index++) {
    difference = Math.max(difference, Math.abs(actual[index] - expected[index]));
    largest = Math.max(largest, Math.abs(expected[index]));
  }
  return difference / largest;
}
