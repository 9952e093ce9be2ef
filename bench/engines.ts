/** Measures the `wasm` engine against this machine's limit, and against other engines, in one run.
 *
 *     deno task bench                    tables on stdout
 *     deno task bench --json > FILE      all numbers; the tables go to stderr
 *     deno task bench --repeats 40       more samples of each number; default 20
 */

// deno-lint-ignore-file no-console
import { markdownTable } from "markdown-table";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { Oracle } from "../src/compare/agreement.ts";
import {
  backendContender,
  type Contender,
  peerContender,
  type Runner,
} from "../src/compare/contender.ts";
import { loadBefore, LoadMeter, loadWarnings } from "../src/compare/load.ts";
import { peerCommands, PeerMissingError, PeerProcess } from "../src/compare/peers.ts";
import type { ComparisonPlan } from "../src/compare/plan.ts";
import { median, quartiles } from "../src/compare/statistics.ts";
import { inTurns } from "../src/compare/turns.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import { initialParameters } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { createRandom } from "../src/random.ts";
import { describeEnvironment } from "../src/run/environment.ts";
import { FmaPeak } from "./fma_peak.ts";
import { timeKernels } from "./kernel_times.ts";
import { benchModels, flopOf } from "./models.ts";

/** Images of a sample: long enough for threads to settle on their cores. */
const IMAGES = 4096;
/** Most steps of a sample, for the small batches. */
const MAX_STEPS = 256;
const BATCH_SIZES = [1, 32, 256, 1024];
const BATCH_SIZE = 256;
const LEARNING_RATE = 0.01;

/** What takes part in turns: a runner, and how much of it a sample is. */
interface Entry {
  readonly name: string;
  readonly runner: Runner;
  readonly batchSize: number;
  /** Images of a sample: fewer where a thousand take a second. */
  readonly images: number;
  /** Operations an image, where the share of the machine's limit is asked for. */
  readonly flop?: number;
  readonly threads: number;
  readonly training: number[];
  readonly evaluation: number[];
}

const COMMAND = defineCommand({
  usage: "deno task bench",
  summary:
    "Measure the wasm engine against this machine's limit, other engines and peers, in turns.",
  examples: [["--repeats 40 --json > runs/bench.json", "all numbers in a file"]],
  flags: {
    repeats: { type: "integer", min: 1, default: 20, help: "measured repeats" },
    json: { type: "boolean", help: "print one JSON object; tables go to standard error" },
  },
});

const allThreads = navigator.hardwareConcurrency;
const threadCounts = [...new Set([1, allThreads])];
const data = randomImages();
const models = benchModels();
const [lenet] = models;

async function benchCommand(args: string[]): Promise<number> {
  const { flags: { repeats, json } } = parseFlags(COMMAND, args);
  const print = json ? console.error : console.log;
  print(`${describeMachine()}, ${new Date().toISOString().slice(0, 10)}\n`);
  const before = await loadBefore() ?? 0;
  const engines = await measureEngines(repeats, { before, print });
  const kernels = await measureKernels(repeats, print);
  if (json) {
    const report = { machine: describeMachine(), date: new Date().toISOString(), repeats };
    console.log(JSON.stringify({ ...report, ...engines, kernels }, null, 2));
  }
  return EXIT.ok;
}

type Print = (text: string) => void;

/** All models, threads and batch sizes of the engine, the peers and the peak, in turns. */
async function measureEngines(
  repeats: number,
  { before, print }: { readonly before: number; readonly print: Print },
) {
  await using stack = new AsyncDisposableStack();
  const peaks: { threads: number; peak: FmaPeak; rates: number[] }[] = [];
  for (const threads of threadCounts) {
    peaks.push({ threads, peak: stack.use(await FmaPeak.open(threads)), rates: [] as number[] });
  }
  const entries: Entry[] = [];
  const add = async (
    { name, contender, ...rest }: Pick<Entry, "name"> & Partial<Entry> & {
      readonly contender: Contender;
      readonly model?: Model;
    },
  ) => {
    const { model = lenet, threads = 1, batchSize = BATCH_SIZE } = rest;
    const images = Math.min(rest.images ?? IMAGES, MAX_STEPS * batchSize);
    const plan = planOf(model, { threads, batchSize });
    const runner = stack.use(await contender.open(plan));
    // A benchmark of wrong results is worthless.
    if (model === lenet && batchSize === BATCH_SIZE) {
      await requireAgreement(contender, runner, plan);
    }
    const samples = { training: [], evaluation: [] };
    entries.push({ name, runner, batchSize, images, flop: rest.flop, threads, ...samples });
  };
  for (const { model, threads, batchSize } of lineup()) {
    const name = `wasm ${model.name}, ${plural(threads)}, batch ${batchSize}`;
    const flop = flopOf(model).training;
    await add({ name, contender: backendContender("wasm"), model, threads, batchSize, flop });
  }
  await add({ name: "tfjs-wasm", contender: backendContender("tfjs-wasm"), images: 1024 });
  const peers: PeerProcess[] = [];
  const missing: string[] = [];
  for (const peer of ["pytorch", "jax-js"] as const) {
    const started = await startPeers(peer);
    if (typeof started === "string") missing.push(`${peer}: ${started}`);
    else peers.push(...started.map((process) => stack.use(process)));
  }
  for (const peer of peers) {
    const isJax = peer.name === "jax-js";
    for (const threads of isJax ? [1] : threadCounts) {
      const title = isJax ? "jax-js wasm" : `PyTorch, ${plural(threads)}`;
      const images = isJax ? BATCH_SIZE : 8 * BATCH_SIZE;
      const contender = peerContender(peer.name, peer);
      await add({ name: `${title} (${peer.description})`, contender, threads, images });
    }
  }
  const peersMs = () => peers.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  let [meter, peersBefore] = [new LoadMeter(), 0];
  await inTurns([...peaks, ...entries], repeats + 1, async (entry, round) => {
    if (round === 1 && entry === peaks[0]) [meter, peersBefore] = [new LoadMeter(), peersMs()];
    if ("peak" in entry) {
      const rate = await entry.peak.measure();
      if (round > 0) entry.rates.push(rate);
    } else {
      const { training, evaluation } = await sample(entry);
      if (round === 0) return; // to warm up
      entry.training.push(training);
      entry.evaluation.push(evaluation);
    }
  });
  const load = { before, during: meter.others(peersMs() - peersBefore) ?? 0 };
  const limits = new Map(peaks.map(({ threads, rates }) => [threads, quartiles(rates)]));
  const rows = entries.map(({ name, flop, threads, training, evaluation }) => {
    const peak = limits.get(threads)?.median ?? limits.get(1)!.median * threads;
    const share = flop === undefined ? undefined : median(training) * flop / 1e9 / peak;
    return { name, training: quartiles(training), evaluation: quartiles(evaluation), share };
  });
  for (const warning of loadWarnings(load)) print(`Warning: ${warning}.\n`);
  for (const [threads, { median, low, high }] of limits) {
    print(
      `Multiply-add peak, ${plural(threads)}: ${median.toFixed(1)} GFLOP/s ` +
        `(${low.toFixed(1)}-${high.toFixed(1)}), ` +
        `LeNet's limit ${rate(median * 1e9 / flopOf(lenet).training)} images/s`,
    );
  }
  print(
    "\n" + markdownTable([
      ["", "training, images/s", "quartiles", "share of limit", "evaluation, images/s"],
      ...rows.map(({ name, training, evaluation, share }) => [
        name,
        rate(training.median),
        `${rate(training.low)}-${rate(training.high)}`,
        share === undefined ? "" : percent(share),
        rate(evaluation.median),
      ]),
      ...missing.map((text) => [text, "", "", "", ""]),
    ]) + "\n",
  );
  const limit = Object.fromEntries(
    [...limits].map(([threads, { median }]) =>
      [threads, median * 1e9 / flopOf(lenet).training] as const
    ),
  );
  return { load, peaks: Object.fromEntries(limits), limit, rows, missing };
}

/** The engine's models, threads and batch sizes. */
function lineup() {
  const threads = Array.from({ length: allThreads }, (_, index) => index + 1);
  return [
    ...threads.flatMap((threads) =>
      BATCH_SIZES.map((batchSize) => ({ model: lenet, threads, batchSize }))
    ),
    ...models.slice(1).flatMap((model) =>
      threadCounts.map((threads) => ({ model, threads, batchSize: BATCH_SIZE }))
    ),
  ];
}

function planOf(
  model: Model,
  { threads, batchSize }: { readonly threads: number; readonly batchSize: number },
): ComparisonPlan {
  const classNames = Array.from({ length: model.classCount }, (_, label) => `${label}`);
  return {
    ...{ model, threads, batchSize, learningRate: LEARNING_RATE, seed: 1, repeats: 1, budgetMs: 1 },
    dataset: { name: "noise", classNames, train: data, test: data, digest: "" },
    parameters: initialParameters(model, 1),
  };
}

/** The peer on every program that has it, each version once; a sentence where none has. */
async function startPeers(name: "pytorch" | "jax-js"): Promise<PeerProcess[] | string> {
  const started = new Map<string, PeerProcess>();
  let refusal = "";
  for (const command of peerCommands(name)) {
    try {
      const peer = await PeerProcess.start(name, allThreads, [command]);
      if (started.has(peer.description)) await peer[Symbol.asyncDispose]();
      else started.set(peer.description, peer);
    } catch (error) {
      if (!(error instanceof PeerMissingError)) throw error;
      refusal = error.message;
    }
  }
  return started.size > 0 ? [...started.values()] : refusal;
}

let oracle: Oracle | undefined;

/** Compares first steps with the float64 reference, and begins anew. */
async function requireAgreement(contender: Contender, runner: Runner, plan: ComparisonPlan) {
  oracle ??= new Oracle(plan);
  const { verdict, parameterDifference } = await oracle.judge(contender, runner);
  if (verdict !== "agrees") {
    throw new Error(
      `Cannot time ${contender.name}: its parameters differ from the reference's by ` +
        `${parameterDifference}`,
    );
  }
  await runner.load(plan.parameters);
}

/** Images a second of training and of evaluation. */
async function sample({ name, runner, images, batchSize }: Entry) {
  const order = Uint32Array.from({ length: images }, (_, index) => index);
  const options = { batchSize, learningRate: LEARNING_RATE };
  const { losses, elapsedMs } = await runner.train(order, options);
  if (!losses.every(Number.isFinite)) throw new Error(`${name} diverged: its rate means nothing`);
  const evaluation = await runner.evaluate(images);
  return { training: 1000 * images / elapsedMs, evaluation: 1000 * images / evaluation.elapsedMs };
}

async function measureKernels(repeats: number, print: Print) {
  using peak = await FmaPeak.open(1);
  const times = await timeKernels(lenet, data, repeats);
  const rates: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) rates.push(await peak.measure());
  const limit = median(rates);
  print(
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

function plural(threads: number): string {
  return `${threads} thread${threads > 1 ? "s" : ""}`;
}

function rate(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)}%`;
}

if (import.meta.main) await runCommand(benchCommand);
