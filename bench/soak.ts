/** Trains for a long time on every engine, opens and disposes many sessions, and watches the memory.
 *
 * What leaks, leaks by the step. So an hour of training is as many steps as the engine makes of the usual
 * 256 images in an hour, but of few images each: that takes minutes.
 *
 *     deno task soak                             an hour's steps on each engine, then 1,000 sessions on each
 *     deno task soak --minutes 5 --sessions 50   less of it
 *     deno task soak --backends wasm,webgpu      some of the engines
 *     deno task soak --batch-size 256            a whole hour on each
 */

import { markdownTable } from "markdown-table";
import type { Backend, Session } from "../src/backends/backend.ts";
import { BACKEND_NAMES, listAvailable, loadBackend } from "../src/backends/registry.ts";
import type { FlagValues } from "../src/cli/flag_types.ts";
import { defineCommand } from "../src/cli/flags.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import { initialParameters } from "../src/nn/init.ts";
import { median } from "../src/compare/statistics.ts";
import type { Model } from "../src/nn/sequential.ts";
import { MODEL_NAMES, zooModel } from "../src/nn/zoo.ts";
import { randomImages } from "./lineup.ts";
import { runBenchmark } from "./program.ts";

/** Images of the steps by which an engine's pace is told. */
const USUAL_BATCH_SIZE = 256;
const PACE_MS = 3_000;

/** Steps of a round, before memory may be looked at. */
const BATCHES_PER_ROUND = 32;

/** Measurements of a soak; a quarter of them is for warming up. */
const SAMPLES = 20;

/** What memory may gain after warming up: collectors let tens of MB come and go. */
const MAX_GROWTH_BYTES = 64e6;

const OPTIMIZER = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/** Memory over a soak, in bytes, and what was done. */
export interface Soak {
  readonly rss: readonly number[];
  /** Steps, or sessions. */
  readonly done: number;
  /** Median of the last quarter less that of the second. */
  readonly growth: number;
}

/** What a soak trains, and how long each of its parts goes on. */
export interface SoakOptions {
  readonly model: Model;
  readonly batchSize: number;
  /** Steps, or sessions, in all; made in equal parts, after each of which memory is measured. */
  readonly count: number;
}

/** Trains one session over and over, with an evaluation and a reading of its state now and then. */
export async function soakSteps(backend: Backend, options: SoakOptions): Promise<Soak> {
  const data = randomImages(options.model, BATCHES_PER_ROUND * options.batchSize);
  await using session = await openSession(backend, options, data);
  return await soak(options.count, async () => {
    const steps = await trainOnce(session, data, options);
    await session.evaluate(data);
    await session.loadState(await session.readState());
    return steps;
  });
}

/** Opens, uses and disposes one session after the other. */
export async function soakSessions(backend: Backend, options: SoakOptions): Promise<Soak> {
  const data = randomImages(options.model, options.batchSize);
  return await soak(options.count, async () => {
    await using session = await openSession(backend, options, data);
    return await trainOnce(session, data, options);
  });
}

/** Works until `count` is reached; `work` says how far it brought it. */
async function soak(count: number, work: () => Promise<number>): Promise<Soak> {
  const rss: number[] = [];
  let done = 0;
  for (let sample = 1; sample <= SAMPLES; sample++) {
    while (done < count * sample / SAMPLES) done += await work();
    rss.push(Deno.memoryUsage().rss);
  }
  const quarter = SAMPLES / 4;
  return {
    rss,
    done,
    growth: median(rss.slice(-quarter)) - median(rss.slice(quarter, 2 * quarter)),
  };
}

/** Steps of {@linkcode USUAL_BATCH_SIZE} images that an engine makes in a second. */
async function measurePace(backend: Backend, model: Model): Promise<number> {
  const options = { model, batchSize: USUAL_BATCH_SIZE };
  const data = randomImages(model, USUAL_BATCH_SIZE);
  await using session = await openSession(backend, options, data);
  await trainOnce(session, data, options); // the first step compiles
  const start = performance.now();
  let steps = 0;
  do {
    steps += await trainOnce(session, data, options);
  } while (performance.now() - start < PACE_MS);
  return 1_000 * steps / (performance.now() - start);
}

type Training = Pick<SoakOptions, "model" | "batchSize">;

async function openSession(
  backend: Backend,
  { model, batchSize }: Training,
  data: LabeledImages,
): Promise<Session> {
  const session = await backend.open(model, { optimizer: OPTIMIZER, batchSize });
  await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
  await session.attach(data);
  return session;
}

/** Trains on all images, and says in how many steps. */
async function trainOnce(session: Session, data: LabeledImages, { batchSize }: Training) {
  const order = Uint32Array.from({ length: data.count }, (_, index) => index);
  const learningRates = new Float32Array(Math.ceil(data.count / batchSize)).fill(1e-4);
  return (await session.train(data, { order, batchSize, learningRates })).steps;
}

const COMMAND = defineCommand({
  usage: "deno task soak",
  summary: "Train for a long time and open many sessions on every engine; memory must stay flat.",
  examples: [["--minutes 5 --sessions 50", "a short one"]],
  flags: {
    backends: { type: "list", choices: BACKEND_NAMES, help: "which engines", defaultText: "all" },
    model: { type: "choice", choices: MODEL_NAMES, default: "lenet", help: "what to train" },
    "batch-size": { type: "integer", min: 1, default: 8, help: "images per step" },
    minutes: {
      type: "number",
      exclusiveMin: 0,
      default: 60,
      help: `as many steps as these hold of ${USUAL_BATCH_SIZE} images, on each engine`,
    },
    sessions: { type: "integer", min: SAMPLES, default: 1_000, help: "sessions, on each engine" },
  },
});

async function soakAll(
  { batchSize, ...flags }: FlagValues<typeof COMMAND.flags>,
  print: (text: string) => void,
) {
  const model = zooModel(flags.model);
  const found: (Soak & { readonly backend: string; readonly what: string })[] = [];
  const rows: string[][] = [];
  let isFlat = true;
  for (const name of flags.backends ?? await listAvailable()) {
    const backend = await loadBackend(name);
    const pace = await measurePace(backend, model);
    const steps = Math.ceil(60 * flags.minutes * pace);
    print(`${name}: ${steps} steps, then ${flags.sessions} sessions`);
    const soaks = {
      [`steps of ${flags.minutes} min`]: () =>
        soakSteps(backend, { model, batchSize, count: steps }),
      sessions: () => soakSessions(backend, { model, batchSize, count: flags.sessions }),
    };
    for (const [what, start] of Object.entries(soaks)) {
      const measured = await start();
      const { rss, done, growth } = measured;
      found.push({ backend: name, what, ...measured });
      const megabytes = rss.map((bytes) => Math.round(bytes / 1e6));
      print(`${name}, ${done} ${what}; MB: ${megabytes.join(" ")}`);
      const verdict = growth <= MAX_GROWTH_BYTES ? "flat" : "GROWS";
      isFlat &&= verdict === "flat";
      rows.push([name, `${done} ${what}`, `${(growth / 1e6).toFixed(1)} MB`, verdict]);
    }
  }
  print("\n" + markdownTable([["engine", "what", "growth", "memory"], ...rows]));
  return { failed: !isFlat, soaks: found };
}

if (import.meta.main) await runBenchmark(COMMAND, soakAll);
