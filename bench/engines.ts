/** Measures the `wasm` engine against this machine's limit, and against other engines, in one run.
 *
 *     deno task bench                              tables on stdout
 *     deno task bench --json > FILE                all numbers; the tables go to stderr
 *     deno task bench --repeats 40                 more samples of each number; default 20
 *     deno task bench --models lenet-relu,mlp      other networks of the zoo
 */

// deno-lint-ignore-file no-console
import { markdownTable } from "markdown-table";
import { defineCommand } from "../src/cli/flags.ts";
import { backendContender } from "../src/compare/contender.ts";
import { loadBefore, LoadMeter, loadWarnings } from "../src/compare/load.ts";
import { type Peer, PEER_NAMES, type PeerName, startPeers } from "../src/compare/peers.ts";
import { median } from "../src/compare/statistics.ts";
import { type Entrant, isMeasured } from "../src/compare/turns.ts";
import type { Model } from "../src/nn/sequential.ts";
import { MODEL_NAMES, zooModel } from "../src/nn/zoo.ts";
import { countOf, formatCount, percentText } from "../src/quote.ts";
import { FmaPeak } from "./fma_peak.ts";
import { timeKernels } from "./kernel_times.ts";
import { BATCH_SIZE, entrant, flopOf, IMAGES, measureAll, randomImages, warm } from "./lineup.ts";
import { runBenchmark } from "./program.ts";

/** Most steps of a sample, for the small batches. */
const MAX_STEPS = 256;
const BATCH_SIZES = [1, 32, 256, 1024];
/** Images of Fashion-MNIST's epoch, by which the first one is reckoned. */
const EPOCH = 60_000;

const allThreads = navigator.hardwareConcurrency;
const threadCounts = [...new Set([1, allThreads])];

const COMMAND = defineCommand({
  usage: "deno task bench",
  summary:
    "Measure the wasm engine against this machine's limit, other engines and peers, in turns.",
  examples: [
    ["--repeats 40 --json > runs/bench.json", "all numbers in a file"],
    ["--models lenet-relu --peers pytorch", "another network, PyTorch beside it"],
  ],
  flags: {
    repeats: { type: "integer", min: 1, max: 1000, default: 20, help: "measured repeats" },
    models: {
      type: "list",
      choices: MODEL_NAMES,
      default: ["lenet", "lenet-relu", "lenet-d2l", "mlp"],
      help: "networks; the first in every batch size and number of threads",
    },
    peers: {
      type: "list",
      choices: [...PEER_NAMES, "none"],
      default: ["pytorch", "pytorch-compile", "jax-js", "jax-js-tuned"],
      help: "other programs beside them, on the first two networks",
    },
  },
});

interface Options {
  readonly repeats: number;
  readonly peers: readonly PeerName[];
  readonly print: (text: string) => void;
}

/** All models, threads and batch sizes of the engine, the peers and the peak, in turns. */
async function measureEngines(models: readonly Model[], { repeats, peers, print }: Options) {
  const before = await loadBefore() ?? 0;
  await using stack = new AsyncDisposableStack();
  const peaks: { threads: number; peak: FmaPeak; rates: number[] }[] = [];
  for (const threads of threadCounts) {
    peaks.push({ threads, peak: stack.use(await FmaPeak.open(threads)), rates: [] });
  }
  const started = await startPeers(peers, stack, { everyProgram: true });
  const entrants = [...lineup(models), ...peerLineup(models, started)];
  let meter = new LoadMeter();
  const rows = await measureAll(entrants, repeats, {
    say: (activity) => activity.includes("start") && console.error(activity),
    async onRound(round) {
      if (round === 1) meter = new LoadMeter(started);
      for (const { peak, rates } of peaks) rates.push(await peak.measure());
    },
  });
  const load = { before, during: meter.others() ?? 0 };
  const missing = rows.flatMap((row) => "reason" in row ? [`${row.backend}: ${row.reason}`] : []);
  const limits = new Map(peaks.map(({ threads, rates }) => [threads, warm(rates)]));
  const figures = rows.flatMap((row, index) => {
    if (!isMeasured(row)) return [];
    const { backend: name, outside, device: { threads } } = row;
    const flop = flopOf(entrants[index].plan.model).training;
    const [training, evaluation] = [row.trainImagesPerSecond, row.evalImagesPerSecond].map(warm);
    const peak = limits.get(threads)?.median ?? limits.get(1)!.median * threads;
    const share = name.startsWith("wasm ") ? training.median * flop / 1e9 / peak : undefined;
    const firstStep = { ms: row.firstStepMs, images: row.firstBatchSize };
    // Peers compile on their first step: what an epoch from the start is like.
    const firstEpoch = outside
      ? EPOCH / (firstStep.ms / 1000 + (EPOCH - firstStep.images) / training.median)
      : undefined;
    return [{ name, training, evaluation, share, mflop: flop / 1e6, firstStep, firstEpoch }];
  });
  for (const warning of loadWarnings(load)) print(`Warning: ${warning}.\n`);
  const limit: Record<string, number> = {};
  for (const [threads, { median, low, high }] of limits) {
    limit[threads] = median * 1e9 / flopOf(models[0]).training;
    print(
      `Multiply-add peak, ${countOf(threads, "thread")}: ${median.toFixed(1)} GFLOP/s ` +
        `(${low.toFixed(1)}-${high.toFixed(1)}), ` +
        `${models[0].name}'s direct limit ${formatCount(limit[threads])} images/s`,
    );
  }
  print(
    "\n" + markdownTable([
      [
        ...["", "training, images/s", "quartiles", "MFLOP an image", "share of limit"],
        ...["first epoch, images/s", "evaluation, images/s"],
      ],
      ...figures.map(({ name, training, evaluation, share, mflop, firstEpoch }) => [
        name,
        formatCount(training.median),
        `${formatCount(training.low)}-${formatCount(training.high)}`,
        mflop.toFixed(2),
        share === undefined ? "" : percentText(share, 0),
        firstEpoch === undefined ? "" : formatCount(firstEpoch),
        formatCount(evaluation.median),
      ]),
      ...missing.map((text) => [text, "", "", "", "", "", ""]),
    ]) + "\n",
  );
  return { load, peaks: Object.fromEntries(limits), limit, rows: figures, missing };
}

/** The engine's models, threads and batch sizes, and TensorFlow.js. */
function lineup(models: readonly Model[]): Entrant[] {
  const wasm = backendContender("wasm");
  const one = (model: Model, threads: number, batchSize: number) =>
    entrant(`wasm ${model.name}, ${countOf(threads, "thread")}, batch ${batchSize}`, wasm, {
      ...{ model, threads, batchSize, images: Math.min(IMAGES, MAX_STEPS * batchSize) },
    });
  const [first, ...others] = models;
  const threads = Array.from({ length: allThreads }, (_, index) => index + 1);
  return [
    ...threads.flatMap((threads) => BATCH_SIZES.map((size) => one(first, threads, size))),
    ...others.flatMap((model) => threadCounts.map((threads) => one(model, threads, BATCH_SIZE))),
    ...models.slice(0, 2).map((model) => {
      const name = `tfjs-wasm${networkOf(model)} (TensorFlow.js 4.22.0)`;
      return entrant(name, backendContender("tfjs-wasm"), { model, images: 1024 });
    }),
  ];
}

/** Peers on the first two networks, each number of threads; one that is missing says so once. */
function peerLineup(models: readonly Model[], peers: readonly Peer[]): Entrant[] {
  return models.slice(0, 2).flatMap((model, index) =>
    peers.flatMap((peer) => {
      const { name, description, threaded, slow } = peer;
      if (description === undefined) {
        return index === 0 ? [entrant(name, peer, { model, images: 1 })] : [];
      }
      const title = name.startsWith("pytorch") ? "PyTorch" : "jax-js";
      if (title === "jax-js" && model.name !== "lenet") return []; // it knows no other
      return (threaded ? threadCounts : [1]).map((threads) => {
        const what = threaded ? `, ${countOf(threads, "thread")}` : " wasm";
        const images = (slow ? 1 : threaded ? 8 : 2) * BATCH_SIZE;
        const full = `${title}${networkOf(model)}${what} (${description})`;
        return entrant(full, peer, { model, threads, images });
      });
    })
  );
}

/** LeNet is what names without a network are of. */
function networkOf({ name }: Model): string {
  return name === "lenet" ? "" : ` ${name}`;
}

async function measureKernels(model: Model, repeats: number, print: Options["print"]) {
  using peak = await FmaPeak.open(1);
  const times = await timeKernels(model, randomImages(model, IMAGES), repeats);
  const rates: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) rates.push(await peak.measure());
  const limit = median(rates);
  print(
    markdownTable([
      [`kernel, ${model.name}, 1 thread`, "µs an image", "quartiles", "GFLOP/s", "share of peak"],
      ...times.map(({ name, microsecondsPerImage: { median, low, high }, gigaflops }) => [
        name,
        median.toFixed(2),
        `${low.toFixed(2)}-${high.toFixed(2)}`,
        gigaflops?.toFixed(1) ?? "",
        gigaflops === undefined ? "" : percentText(gigaflops / limit, 0),
      ]),
    ]),
  );
  return times;
}

if (import.meta.main) {
  await runBenchmark(COMMAND, async ({ repeats, ...flags }, print) => {
    const models = [...new Set(flags.models)].map((name) => zooModel(name));
    const peers = flags.peers.filter((name) => name !== "none") as PeerName[];
    const engines = await measureEngines(models, { repeats, peers, print });
    return { repeats, ...engines, kernels: await measureKernels(models[0], repeats, print) };
  });
}
