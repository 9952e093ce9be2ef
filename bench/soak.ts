/** Trains for a long time on every engine, opens and disposes many sessions, and watches the memory.
 *
 *     deno task soak                                an hour on each engine, then 1,000 sessions on each
 *     deno task soak --minutes 5 --sessions 50      less of it
 *     deno task soak --backends wasm,webgpu         some of the engines
 */

// deno-lint-ignore-file no-console
import { markdownTable } from "markdown-table";
import type { Backend, Session } from "../src/backends/backend.ts";
import { BACKEND_NAMES, listAvailable, loadBackend } from "../src/backends/registry.ts";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { helpText } from "../src/cli/help.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import { initialParameters } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { MODEL_NAMES, zooModel } from "../src/nn/zoo.ts";
import { createRandom } from "../src/random.ts";

/** Measurements of a soak; a quarter of them is for warming up. */
const SAMPLES = 20;

/** What memory may gain after warming up: collectors let tens of MB come and go. */
const MAX_GROWTH_BYTES = 64e6;

const OPTIMIZER = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/** Memory over a soak, in bytes, and what was done. */
export interface Soak {
  readonly rss: readonly number[];
  readonly steps: number;
  /** Median of the last quarter less that of the second. */
  readonly growth: number;
}

/** What a soak trains, and how long each of its parts goes on. */
export interface SoakOptions {
  readonly model: Model;
  readonly batchSize: number;
  /** Says whether a part of the work has gone on long enough. */
  readonly isPartDone: (part: { readonly elapsedMs: number; readonly rounds: number }) => boolean;
}

/** Trains one session over and over, with an evaluation and a reading of its state now and then. */
export async function soakSteps(backend: Backend, options: SoakOptions): Promise<Soak> {
  const { model, batchSize } = options;
  const data = randomImages(model, 8 * batchSize + 1);
  await using session = await openSession(backend, options);
  await session.attach(data);
  return await soak(options, async () => {
    const { steps } = await trainOnce(session, data, batchSize);
    await session.evaluate(data);
    await session.loadState(await session.readState());
    return steps;
  });
}

/** Opens, uses and disposes one session after the other. */
export async function soakSessions(backend: Backend, options: SoakOptions): Promise<Soak> {
  const data = randomImages(options.model, options.batchSize);
  return await soak(options, async () => {
    await using session = await openSession(backend, options);
    await session.attach(data);
    return (await trainOnce(session, data, options.batchSize)).steps;
  });
}

async function soak({ isPartDone }: SoakOptions, work: () => Promise<number>): Promise<Soak> {
  const rss: number[] = [];
  let steps = 0;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const started = performance.now();
    let rounds = 0;
    do {
      steps += await work();
      rounds++;
    } while (!isPartDone({ elapsedMs: performance.now() - started, rounds }));
    rss.push(Deno.memoryUsage().rss);
  }
  const quarter = SAMPLES / 4;
  return {
    rss,
    steps,
    growth: median(rss.slice(-quarter)) - median(rss.slice(quarter, 2 * quarter)),
  };
}

async function openSession(
  backend: Backend,
  { model, batchSize }: SoakOptions,
): Promise<Session> {
  const session = await backend.open(model, { optimizer: OPTIMIZER, batchSize });
  await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
  return session;
}

async function trainOnce(session: Session, data: LabeledImages, batchSize: number) {
  const order = Uint32Array.from({ length: data.count }, (_, index) => index);
  const learningRates = new Float32Array(Math.ceil(data.count / batchSize)).fill(1e-4);
  return await session.train(data, { order, batchSize, learningRates });
}

function randomImages({ inputShape, classCount }: Model, count: number): LabeledImages {
  const random = createRandom(1, "soak");
  const [channels, height, width] = inputShape;
  const pixels = count * channels * height * width;
  return {
    images: Uint8Array.from({ length: pixels }, () => random.below(256)),
    labels: Uint8Array.from({ length: count }, () => random.below(classCount)),
    count,
    shape: inputShape,
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const COMMAND = defineCommand({
  usage: "deno task soak",
  summary: "Train for a long time and open many sessions on every engine; memory must stay flat.",
  examples: [["--minutes 5 --sessions 50", "a short one"]],
  flags: {
    backends: { type: "list", choices: BACKEND_NAMES, help: "which engines", defaultText: "all" },
    model: { type: "choice", choices: MODEL_NAMES, default: "lenet", help: "what to train" },
    "batch-size": { type: "integer", min: 1, default: 64, help: "images per step" },
    minutes: { type: "number", exclusiveMin: 0, default: 60, help: "of training, on each engine" },
    sessions: { type: "integer", min: SAMPLES, default: 1_000, help: "sessions, on each engine" },
  },
});

async function soakCommand(args: string[]): Promise<number> {
  const { flags, help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  const model = zooModel(flags.model);
  const { batchSize } = flags;
  const rows: string[][] = [];
  let isFlat = true;
  for (const name of flags.backends ?? await listAvailable()) {
    const backend = await loadBackend(name);
    const soaks = {
      [`${flags.minutes} min of training`]: () =>
        soakSteps(backend, {
          model,
          batchSize,
          isPartDone: ({ elapsedMs }) => elapsedMs >= flags.minutes * 60_000 / SAMPLES,
        }),
      [`${flags.sessions} sessions`]: () =>
        soakSessions(backend, {
          model,
          batchSize,
          isPartDone: ({ rounds }) => rounds >= flags.sessions / SAMPLES,
        }),
    };
    for (const [what, start] of Object.entries(soaks)) {
      const { rss, steps, growth } = await start();
      const megabytes = rss.map((bytes) => Math.round(bytes / 1e6));
      console.log(`${name}, ${what}, ${steps} steps; MB: ${megabytes.join(" ")}`);
      const verdict = growth <= MAX_GROWTH_BYTES ? "flat" : "GROWS";
      isFlat &&= verdict === "flat";
      rows.push([name, what, String(steps), `${(growth / 1e6).toFixed(1)} MB`, verdict]);
    }
  }
  console.log("\n" + markdownTable([["engine", "what", "steps", "growth", "memory"], ...rows]));
  return isFlat ? EXIT.ok : EXIT.failure;
}

if (import.meta.main) await runCommand(soakCommand);
