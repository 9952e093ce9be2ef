/** Measures the `webgpu` engine: images a second beside other engines on the GPU, and time by kernel.
 *
 *     deno task bench:webgpu                 tables on stdout
 *     deno task bench:webgpu --epochs 20     times as many epochs of 60,000 images
 *     ... --repeats 20 (default 9)   --peers none   --json > FILE
 *
 * On a discrete GPU with PyTorch for CUDA, add `--peers pytorch-cuda`.
 */

import { describeAdapters } from "../src/backends/webgpu/adapters.ts";
import { openEngine } from "../src/backends/webgpu/backend.ts";
import { quietDrivers } from "../src/cli/backend_flags.ts";
import type { FlagValues } from "../src/cli/flag_types.ts";
import { defineCommand } from "../src/cli/flags.ts";
import { backendContender } from "../src/compare/contender.ts";
import { type PeerName, startPeers } from "../src/compare/peers.ts";
import { type Quartiles, quartiles } from "../src/compare/statistics.ts";
import { initialParameters } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { lenet, zooModel } from "../src/nn/zoo.ts";
import {
  BATCH_SIZE,
  entrant,
  measureAll,
  measured,
  quartilesTable,
  randomImages,
  sampleParts,
  warm,
} from "./lineup.ts";
import { runBenchmark } from "./program.ts";

const EPOCH = 60_000;
const STEPS = Math.ceil(EPOCH / BATCH_SIZE);
const PEERS = ["jax-js-webgpu", "tfjs-webgpu", "pytorch-cuda"] as const;

const COMMAND = defineCommand({
  usage: "deno task bench:webgpu",
  summary: "Measure the webgpu engine: images a second beside its peers, and time by kernel.",
  examples: [["--epochs 20 --peers none", "times whole epochs too, the engine alone"]],
  flags: {
    repeats: { type: "integer", min: 1, max: 1000, default: 9, help: "measured repeats" },
    epochs: { type: "integer", min: 1, max: 1000, help: "time as many epochs of 60,000 images" },
    peers: {
      type: "list",
      choices: [...PEERS, "none"],
      default: ["jax-js-webgpu", "tfjs-webgpu"],
      help: "other engines beside it",
    },
  },
});

async function measure(
  { repeats, epochs, peers }: FlagValues<typeof COMMAND.flags>,
  print: (text: string) => void,
) {
  quietDrivers();
  const [adapter] = await describeAdapters();
  if (adapter === undefined) throw new Error("No WebGPU adapter was found");
  print(`${adapter.name}${adapter.software ? ", software" : ""}\n`);
  const rates = await measureRates(peers, { repeats, steps: adapter.software ? 16 : STEPS });
  print(quartilesTable([`training, batch ${BATCH_SIZE}`, "images/s"], rates.found, 0));
  for (const text of rates.missing) print(text);
  let kernels: Record<string, Quartiles> = {};
  if (adapter.features.includes("timestamp-query")) {
    kernels = await measureKernels(lenet(), repeats);
    print(quartilesTable([`kernel, lenet, batch ${BATCH_SIZE}`, "µs a step"], kernels, 1));
  } else print("The adapter has no timestamp-query: kernels cannot be timed");
  const epochMs = epochs === undefined ? undefined : await timeEpochs(epochs);
  if (epochMs !== undefined) {
    const { median } = quartiles(epochMs);
    const seconds = epochMs.reduce((sum, ms) => sum + ms, 0) / 1000;
    print(
      `${epochMs.length} epochs of ${EPOCH} images: ${seconds.toFixed(2)} s, ` +
        `median epoch ${median.toFixed(1)} ms, step ${(1000 * median / STEPS).toFixed(0)} µs`,
    );
  }
  return { adapter, repeats, rates: rates.found, kernels, epochMs };
}

/** Training rates of all engines, in turns. */
async function measureRates(
  peers: readonly string[],
  { repeats, steps }: { readonly repeats: number; readonly steps: number },
) {
  await using stack = new AsyncDisposableStack();
  const images = steps * BATCH_SIZE;
  const entrants = [lenet(), zooModel("lenet-relu"), zooModel("mlp")].map((model) =>
    entrant(`webgpu ${model.name}`, backendContender("webgpu"), { model, images })
  );
  for (const name of peers) {
    if (name === "none") continue;
    // What takes a second a step on llvmpipe is given one.
    const options = { model: lenet(), images: name === "pytorch-cuda" ? images : BATCH_SIZE };
    if (name === "tfjs-webgpu") {
      const title = "tfjs-webgpu lenet (TensorFlow.js 4.22.0)";
      entrants.push(entrant(title, backendContender("tfjs-webgpu"), options));
      continue;
    }
    const [peer] = await startPeers([name as PeerName], stack);
    entrants.push(entrant(`${peer.description ?? name}, lenet`, peer, options));
  }
  const rows = await measureAll(entrants, repeats, {});
  return {
    found: Object.fromEntries(
      measured(rows).map((
        { backend, trainImagesPerSecond },
      ) => [backend, warm(trainImagesPerSecond)]),
    ),
    missing: rows.flatMap((row) => "reason" in row ? [`${row.backend}: ${row.reason}`] : []),
  };
}

/** GPU time of each kernel of a training step. */
async function measureKernels(model: Model, repeats: number): Promise<Record<string, Quartiles>> {
  const optimizer = { type: "sgd", momentum: 0 } as const;
  const engine = await openEngine(model, { optimizer, batchSize: BATCH_SIZE, seed: 0 });
  using cleanup = new DisposableStack();
  cleanup.defer(() => engine.dispose());
  engine.load({
    parameters: initialParameters(model, 1),
    statistics: new Float32Array(),
    slots: [],
  });
  const images = await engine.attach(randomImages(model, BATCH_SIZE));
  const indices = Uint32Array.from({ length: BATCH_SIZE }, (_, index) => index);
  return await sampleParts(repeats, async () => {
    const times = await engine.timeKernels(images, indices);
    const sum = times.reduce((sum, { microseconds }) => sum + microseconds, 0);
    return [...times.map(({ name, microseconds }) => [name, microseconds] as const), ["sum", sum]];
  });
}

/** Milliseconds of whole epochs, one call each, as the trainer makes them; one before warms up. */
async function timeEpochs(epochs: number): Promise<number[]> {
  const { plan, contender } = entrant("", backendContender("webgpu"), {
    ...{ model: lenet(), images: EPOCH },
  });
  await using runner = await contender.open(plan);
  const order = Uint32Array.from({ length: EPOCH }, (_, index) => index);
  const elapsedMs: number[] = [];
  for (let epoch = 0; epoch <= epochs; epoch++) {
    elapsedMs.push((await runner.train(order, plan)).elapsedMs);
  }
  return elapsedMs.slice(1);
}

if (import.meta.main) await runBenchmark(COMMAND, measure);
