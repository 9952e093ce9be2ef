/** Measures the `webgpu` engine: images a second beside other WebGPU engines, and time by kernel.
 *
 *     deno task bench:webgpu                 tables on stdout
 *     deno task bench:webgpu --epochs 20     times as many epochs of 60,000 images
 *     ... --repeats 20 (default 9)   --peers none   --json > FILE
 *
 * On a discrete GPU, compare with `python3 bench/peers/pytorch_gpu_lenet.py` on the same machine.
 */

// deno-lint-ignore-file no-console
import { markdownTable } from "markdown-table";
import type { Backend, Session } from "../src/backends/backend.ts";
import { referenceBackend } from "../src/backends/reference/backend.ts";
import { describeAdapters } from "../src/backends/webgpu/adapters.ts";
import { openEngine, webgpuBackend } from "../src/backends/webgpu/backend.ts";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { quietDrivers } from "../src/cli/backend_flags.ts";
import type { LabeledImages } from "../src/data/dataset.ts";
import { initialParameters } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { lenet, zooModel } from "../src/nn/zoo.ts";
import { type Quartiles, quartiles } from "../src/compare/statistics.ts";
import { inTurns } from "../src/compare/turns.ts";
import { createRandom } from "../src/random.ts";

const BATCH_SIZE = 256;
const EPOCH = 60_000;
const SGD = { type: "sgd", momentum: 0 } as const;

/** What takes part in turns. */
interface Entry {
  readonly name: string;
  /** Does some work and returns images a second. */
  measure(): number | Promise<number>;
}

type Adapter = Awaited<ReturnType<typeof describeAdapters>>[number];

const PEERS = { "jax-js": openJax, "tfjs-webgpu": openTfjs };
const PEER_NAMES = Object.keys(PEERS) as (keyof typeof PEERS)[];

const COMMAND = defineCommand({
  usage: "deno task bench:webgpu",
  summary: "Measure the webgpu engine: images a second beside its peers, and time by kernel.",
  examples: [["--epochs 20 --peers none", "times whole epochs too, the engine alone"]],
  flags: {
    repeats: { type: "integer", min: 1, default: 9, help: "measured repeats" },
    epochs: { type: "integer", min: 1, help: "time as many epochs of 60,000 images" },
    peers: {
      type: "list",
      choices: [...PEER_NAMES, "none"],
      default: PEER_NAMES,
      help: "other engines beside it",
    },
    json: { type: "boolean", help: "print one JSON object; tables go to standard error" },
  },
});

let print: (text: string) => void = console.log;

async function benchCommand(args: string[]): Promise<number> {
  const { flags: { repeats, epochs, peers, json } } = parseFlags(COMMAND, args);
  if (json) print = console.error;
  quietDrivers();
  const [adapter] = await describeAdapters();
  if (adapter === undefined) throw new Error("No WebGPU adapter was found");
  print(
    `${adapter.name}${
      adapter.software ? ", software" : ""
    }, ${Deno.build.os} ${Deno.build.arch}, ` +
      `Deno ${Deno.version.deno}, ${new Date().toISOString().slice(0, 10)}\n`,
  );
  const models = [lenet(), zooModel("lenet-relu"), zooModel("mlp")];
  for (const model of models) await checkGradients(model);
  const rates = await measureRates(models, { adapter, repeats, peers });
  const kernels = await measureKernels(lenet(), { adapter, repeats });
  const epochMs = epochs === undefined ? undefined : await timeEpochs(epochs);
  if (json) {
    const report = { adapter, date: new Date().toISOString(), repeats, rates, kernels, epochMs };
    console.log(JSON.stringify(report, null, 2));
  }
  return EXIT.ok;
}

/** Training rates of all engines, in turns. */
async function measureRates(
  models: readonly Model[],
  { adapter, repeats, peers }: {
    readonly adapter: Adapter;
    readonly repeats: number;
    readonly peers: readonly string[];
  },
): Promise<Record<string, Quartiles>> {
  await using stack = new AsyncDisposableStack();
  const contenders: Entry[] = [];
  const steps = adapter.software ? 16 : 235;
  for (const model of models) {
    const session = stack.use(await openSession(webgpuBackend, model));
    const data = randomImages(model, 4096);
    await session.attach(data);
    contenders.push({
      name: `webgpu ${model.name}`,
      measure: () => trainingRate(session, data, steps),
    });
  }
  for (const name of peers) {
    if (name !== "none") contenders.push(await PEERS[name as keyof typeof PEERS](stack));
  }
  const samples = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  await inTurns(contenders, repeats + 1, async ({ name, measure }, round) => {
    const rate = await measure();
    if (round > 0) samples.get(name)!.push(rate); // the first is to warm up
  });
  const spreads = Object.fromEntries([...samples].map(([name, rates]) => [name, quartiles(rates)]));
  printTable(`training, batch ${BATCH_SIZE}`, "images/s", spreads, 0);
  return spreads;
}

async function openJax(): Promise<Entry> {
  const { openJaxLenet } = await import("./peers/jax_webgpu_lenet.ts");
  const trainJax = await openJaxLenet(BATCH_SIZE);
  const loss = await trainJax();
  if (!(loss > 1 && loss < 4)) throw new Error(`jax-js does not train: loss ${loss}`);
  return {
    name: "jax-js 0.1.25 WebGPU, lenet",
    async measure() {
      const start = performance.now();
      await trainJax();
      return 1000 * BATCH_SIZE / (performance.now() - start);
    },
  };
}

async function openTfjs(stack: AsyncDisposableStack): Promise<Entry> {
  const { tfjsWebgpuBackend } = await import("../src/backends/tfjs/backend.ts");
  const tfjs = stack.use(await openSession(tfjsWebgpuBackend, lenet()));
  const data = randomImages(lenet(), BATCH_SIZE);
  await tfjs.attach(data);
  return { name: "tfjs-webgpu lenet", measure: () => trainingRate(tfjs, data, 1) };
}

/** GPU time of each kernel of a training step. */
async function measureKernels(
  model: Model,
  { adapter, repeats }: { readonly adapter: Adapter; readonly repeats: number },
): Promise<Record<string, Quartiles>> {
  if (!adapter.features.includes("timestamp-query")) {
    print("The adapter has no timestamp-query: kernels cannot be timed");
    return {};
  }
  const engine = await openEngine(model, { optimizer: SGD, batchSize: BATCH_SIZE, seed: 0 });
  using cleanup = new DisposableStack();
  cleanup.defer(() => engine.dispose());
  engine.load({
    parameters: initialParameters(model, 1),
    statistics: new Float32Array(),
    slots: [],
  });
  const images = await engine.attach(randomImages(model, BATCH_SIZE));
  const indices = Uint32Array.from({ length: BATCH_SIZE }, (_, index) => index);
  const samples: Record<string, number[]> = {};
  for (let round = -2; round < repeats; round++) {
    const times = await engine.timeKernels(images, indices);
    const total = times.reduce((sum, { microseconds }) => sum + microseconds, 0);
    if (round < 0) continue;
    for (const { name, microseconds } of [...times, { name: "sum", microseconds: total }]) {
      (samples[name] ??= []).push(microseconds);
    }
  }
  const spreads = Object.fromEntries(
    Object.entries(samples).map(([name, values]) => [name, quartiles(values)]),
  );
  printTable(`kernel, ${model.name}, batch ${BATCH_SIZE}`, "µs a step", spreads, 1);
  return spreads;
}

/** Milliseconds of whole epochs, one call each, as the trainer makes them. */
async function timeEpochs(epochs: number): Promise<number[]> {
  const model = lenet();
  await using session = await openSession(webgpuBackend, model);
  const data = randomImages(model, EPOCH);
  await session.attach(data);
  await trainingRate(session, data, Math.ceil(EPOCH / BATCH_SIZE));
  const elapsedMs: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const rate = await trainingRate(session, data, Math.ceil(EPOCH / BATCH_SIZE));
    elapsedMs.push(1000 * EPOCH / rate);
  }
  const total = elapsedMs.reduce((sum, ms) => sum + ms, 0);
  const { median } = quartiles(elapsedMs);
  print(
    `${epochs} epochs of ${EPOCH} images: ${(total / 1000).toFixed(2)} s, ` +
      `median epoch ${median.toFixed(1)} ms, step ${(1000 * median / 235).toFixed(0)} µs`,
  );
  return elapsedMs;
}

/** Compares a small batch's gradients with the float64 reference: a fast wrong result is worthless. */
async function checkGradients(model: Model): Promise<void> {
  const data = randomImages(model, 19);
  const indices = Uint32Array.from({ length: data.count }, (_, index) => index);
  const results = [];
  for (const backend of [webgpuBackend, referenceBackend]) {
    await using session = await openSession(backend, model);
    await session.attach(data);
    results.push((await session.gradients(data, indices)).gradients);
  }
  const [actual, expected] = results;
  for (const { name, offset, size } of model.parameters) {
    let [difference, largest] = [0, 0];
    for (let index = offset; index < offset + size; index++) {
      difference = Math.max(difference, Math.abs(actual[index] - expected[index]));
      largest = Math.max(largest, Math.abs(expected[index]));
    }
    if (!(difference <= 1e-4 * largest)) {
      throw new Error(
        `Cannot time ${model.name}: the gradient of ${name} differs by ${difference} of ${largest}`,
      );
    }
  }
}

async function openSession(backend: Backend, model: Model): Promise<Session> {
  const session = await backend.open(model, { optimizer: SGD, batchSize: BATCH_SIZE, seed: 0 });
  await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
  return session;
}

async function trainingRate(
  session: Session,
  data: LabeledImages,
  steps: number,
): Promise<number> {
  const length = Math.min(steps * BATCH_SIZE, data.count === EPOCH ? EPOCH : Infinity);
  const order = Uint32Array.from({ length }, (_, index) => index % data.count);
  const learningRates = new Float32Array(steps).fill(0.01);
  const start = performance.now();
  const { losses } = await session.train(data, { order, batchSize: BATCH_SIZE, learningRates });
  const elapsedMs = performance.now() - start;
  if (!losses.every(Number.isFinite)) throw new Error("The model diverged: its rate means nothing");
  return 1000 * length / elapsedMs;
}

function randomImages({ inputShape, classCount }: Model, count: number): LabeledImages {
  const random = createRandom(1, "bench");
  const pixels = inputShape[0] * inputShape[1] * inputShape[2];
  return {
    images: Uint8Array.from({ length: count * pixels }, () => random.below(256)),
    labels: Uint8Array.from({ length: count }, () => random.below(classCount)),
    count,
    shape: inputShape,
  };
}

function printTable(
  title: string,
  unit: string,
  spreads: Readonly<Record<string, Quartiles>>,
  digits: number,
): void {
  const show = (value: number) => value.toFixed(digits);
  const rows = Object.entries(spreads).map(([name, { median, low, high }]) => [
    name,
    show(median),
    `${show(low)}-${show(high)}`,
  ]);
  print(markdownTable([[title, unit, "quartiles"], ...rows]) + "\n");
}

if (import.meta.main) await runCommand(benchCommand);
