/** Measures the `wasm` engine against this machine's limit, and against other engines, in one run.
 *
 *     deno task bench                   tables on stdout
 *     deno task bench --json FILE       and all numbers in a file
 *     deno task bench --rounds 40       more samples of each number; default 20
 */

// deno-lint-ignore-file no-console
import { markdownTable } from "markdown-table";
import type { Session } from "../src/backends/backend.ts";
import { BACKEND_NAMES, loadBackend } from "../src/backends/registry.ts";
import { wasmBackend } from "../src/backends/wasm/backend.ts";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { helpText } from "../src/cli/help.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import { initialParameters } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { createRandom } from "../src/random.ts";
import { describeEnvironment } from "../src/report/environment.ts";
import { checkEngine } from "./check_engine.ts";
import { FmaPeak } from "./fma_peak.ts";
import { timeKernels } from "./kernel_times.ts";
import { benchModels, flopOf } from "./models.ts";
import { BenchPeer, listPeers } from "./peers.ts";
import { type Contender, sampleInTurns, type Spread } from "./sampling.ts";

/** Images of a sample: long enough for threads to settle on their cores. */
const IMAGES = 4096;
/** Most steps of a sample, for the small batches. */
const MAX_STEPS = 256;
const BATCH_SIZES = [1, 32, 256, 1024];
const BATCH_SIZE = 256;
const SLOW_ROUNDS = 3;

interface Row {
  readonly name: string;
  readonly training: Spread;
  readonly evaluation?: Spread;
  /** Share of the multiply-add limit of as many threads. */
  readonly share?: number;
  readonly note?: string;
}

const COMMAND = defineCommand({
  usage: "deno task bench",
  summary:
    "Measure the wasm engine against this machine's limit, other engines and peers, in turns.",
  examples: [["--rounds 40 --json runs/bench.json", "all numbers in a file as well"]],
  flags: {
    rounds: { type: "integer", min: 1, default: 20, help: "samples of each number" },
    json: { type: "string", placeholder: "FILE", help: "write all numbers there" },
  },
});

const allThreads = navigator.hardwareConcurrency;
const data = randomImages();
const models = benchModels();
const [lenet] = models;

async function benchCommand(args: string[]): Promise<number> {
  const { flags: { rounds, json }, help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  console.log(`${describeMachine()}, ${new Date().toISOString().slice(0, 10)}\n`);
  await checkEngine(lenet);
  const engines = await measureEngines(rounds);
  const kernels = await measureKernels(rounds);
  if (json !== undefined) {
    const report = { machine: describeMachine(), date: new Date().toISOString(), rounds };
    await Deno.writeTextFile(json, JSON.stringify({ ...report, ...engines, kernels }, null, 2));
  }
  return EXIT.ok;
}

/** All models, threads and batch sizes of the engine, the peers and the peak, in turns. */
async function measureEngines(rounds: number) {
  await using stack = new AsyncDisposableStack();
  const contenders: Contender[] = [];
  const limits: Record<string, { flop: number; threads: number }> = {};
  for (const threads of new Set([1, allThreads])) {
    const peak = stack.use(await FmaPeak.open(threads));
    contenders.push({ name: peakName(threads), measure: () => peak.measure() });
  }
  const lineup = [
    ...range(allThreads).flatMap((threads) =>
      BATCH_SIZES.map((batchSize) => ({ model: lenet, threads, batchSize }))
    ),
    ...models.slice(1).flatMap((model) =>
      [...new Set([1, allThreads])].map((threads) => ({ model, threads, batchSize: BATCH_SIZE }))
    ),
  ];
  for (const { model, threads, batchSize } of lineup) {
    const options = { optimizer: { type: "sgd", momentum: 0 } as const, batchSize, threads };
    const session = stack.use(await wasmBackend.open(model, options));
    await prepare(session, model);
    const name = `wasm ${model.name}, ${plural(threads)}, batch ${batchSize}`;
    limits[name] = { flop: flopOf(model).training, threads };
    contenders.push({ name, measure: () => trainingRate(session, batchSize) });
    contenders.push({ name: `${name}: evaluation`, measure: () => evaluationRate(session) });
  }
  const missing: string[] = [];
  const parameters = initialParameters(lenet, 1);
  const isThere = (name: string) => contenders.some((contender) => contender.name.startsWith(name));
  const refusals = new Map<string, string>();
  for (const turn of listPeers(allThreads, BATCH_SIZE)) {
    const peer = await BenchPeer.start(turn, { data, parameters, batchSize: BATCH_SIZE });
    if (typeof peer === "string") {
      refusals.set(turn.name, peer);
      continue;
    }
    stack.use(peer);
    const name = `${turn.name} (${peer.description})`;
    if (isThere(name)) continue; // two names of one Python
    let evaluate = 0;
    contenders.push({
      name,
      async measure() {
        const sample = await peer.sample();
        evaluate = sample.evaluate;
        return sample.train;
      },
    }, { name: `${name}: evaluation`, measure: () => evaluate });
  }
  for (const [name, reason] of refusals) {
    if (!isThere(name)) missing.push(`${name}: ${reason}`);
  }
  const rates = await sampleInTurns(contenders, rounds);
  for (const [name, spread] of await measureTfjs(missing)) rates.set(name, spread);
  const peaks = new Map(
    [...new Set([1, allThreads])].map((threads) => [threads, rates.get(peakName(threads))!]),
  );
  const perThread = peaks.get(1)!.median;
  const rows = [...rates].filter(([name]) => !/evaluation$|peak/.test(name)).map(
    ([name, training]): Row => {
      const limit = limits[name];
      const peak = limit && (peaks.get(limit.threads)?.median ?? perThread * limit.threads);
      const share = limit && training.median * limit.flop / 1e9 / peak!;
      return { name, training, evaluation: rates.get(`${name}: evaluation`), share };
    },
  );
  for (const [threads, { median, low, high }] of peaks) {
    console.log(
      `${peakName(threads)}: ${median.toFixed(1)} GFLOP/s (${low.toFixed(1)}-${
        high.toFixed(1)
      }), ` +
        `LeNet's limit ${rate(median * 1e9 / flopOf(lenet).training)} images/s`,
    );
  }
  console.log(
    "\n" + markdownTable([
      ["", "training, images/s", "quartiles", "share of limit", "evaluation, images/s"],
      ...rows.map(({ name, training, evaluation, share }) => [
        name,
        rate(training.median),
        `${rate(training.low)}-${rate(training.high)}`,
        share === undefined ? "" : percent(share),
        evaluation ? rate(evaluation.median) : "",
      ]),
      ...missing.map((text) => [text, "", "", "", ""]),
    ]) + "\n",
  );
  return { peaks: Object.fromEntries(peaks), rows, missing };
}

/** The engine of TensorFlow.js, too slow for as many samples. */
async function measureTfjs(missing: string[]): Promise<[string, Spread][]> {
  const name = BACKEND_NAMES.find((backend) => backend === "tfjs-wasm");
  if (name === undefined) {
    missing.push("tfjs-wasm: not built in");
    return [];
  }
  const backend = await loadBackend(name);
  const options = { optimizer: { type: "sgd", momentum: 0 } as const, batchSize: BATCH_SIZE };
  await using session = await backend.open(lenet, options);
  await prepare(session, lenet);
  const rates = await sampleInTurns([
    { name, measure: () => trainingRate(session, BATCH_SIZE) },
    { name: `${name}: evaluation`, measure: () => evaluationRate(session) },
  ], SLOW_ROUNDS);
  return [...rates];
}

async function measureKernels(rounds: number) {
  using peak = await FmaPeak.open(1);
  const times = await timeKernels(lenet, data, rounds);
  const limit = (await sampleInTurns([{ name: "peak", measure: () => peak.measure() }], rounds))
    .get("peak")!.median;
  console.log(
    markdownTable([
      [`kernel, LeNet, 1 thread`, "µs an image", "quartiles", "GFLOP/s", "share of peak"],
      ...times.map(({ name, microsecondsPerImage: { median, low, high }, gigaflops }) => [
        name,
        median.toFixed(2),
        `${low.toFixed(2)}-${high.toFixed(2)}`,
        gigaflops?.toFixed(1) ?? "",
        gigaflops === undefined ? "" : percent(gigaflops / limit),
      ]),
    ]),
  );
  return times;
}

async function prepare(session: Session, model: Model): Promise<void> {
  await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
  await session.attach(data);
}

async function trainingRate(session: Session, batchSize: number): Promise<number> {
  const count = Math.min(IMAGES, MAX_STEPS * batchSize);
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  const learningRates = new Float32Array(Math.ceil(count / batchSize)).fill(0.01);
  const start = performance.now();
  const { losses } = await session.train(data, { order, batchSize, learningRates });
  const elapsedMs = performance.now() - start;
  if (!losses.every(Number.isFinite)) throw new Error("The model diverged: its rate means nothing");
  return 1000 * count / elapsedMs;
}

async function evaluationRate(session: Session): Promise<number> {
  const start = performance.now();
  await session.evaluate(data);
  return 1000 * IMAGES / (performance.now() - start);
}

/** Noise: the time of every kernel but max pooling's is independent of what the images show. */
function randomImages(): LabeledImages {
  const random = createRandom(1, "bench");
  return {
    images: Uint8Array.from({ length: IMAGES * 784 }, () => random.below(256)),
    labels: Uint8Array.from({ length: IMAGES }, () => random.below(10)),
    count: IMAGES,
    shape: [1, 28, 28],
  };
}

function describeMachine(): string {
  const { cpu, os, arch, deno } = describeEnvironment();
  return `${cpu}, ${allThreads} threads, ${os} ${arch}, Deno ${deno}`;
}

function peakName(threads: number): string {
  return `Multiply-add peak, ${plural(threads)}`;
}

function plural(threads: number): string {
  return `${threads} thread${threads > 1 ? "s" : ""}`;
}

function range(end: number): number[] {
  return Array.from({ length: end }, (_, index) => index + 1);
}

function rate(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)}%`;
}

if (import.meta.main) await runCommand(benchCommand);
