/** Measures the `webgpu` engine on a GPU machine: what README's table of GPUs is made from.
 *
 *     deno task bench:webgpu --epochs 20 --json > FILE       all there is to measure
 *     deno task docs:figures --bench-webgpu FILE             into README
 *     ... --repeats 20 (default 9)   --models lenet   --peers none
 *
 * What is not there, such as PyTorch for CUDA or the dataset, is named in the output.
 */

import { describeAdapters } from "../src/backends/webgpu/adapters.ts";
import { openEngine } from "../src/backends/webgpu/backend.ts";
import { quietDrivers } from "../src/cli/backend_flags.ts";
import type { FlagValues } from "../src/cli/flag_types.ts";
import { defineCommand } from "../src/cli/flags.ts";
import { backendContender } from "../src/compare/contender.ts";
import { PEER_NAMES, type PeerName, startPeers } from "../src/compare/peers.ts";
import { type Quartiles, quartiles } from "../src/compare/statistics.ts";
import { DatasetError } from "../src/data/errors.ts";
import { loadDataset } from "../src/data/load.ts";
import { initialParameters, initialStatistics } from "../src/nn/init.ts";
import type { Model } from "../src/nn/sequential.ts";
import { trainingMacs } from "../src/nn/summary.ts";
import { lenet, MODEL_NAMES, type ModelName, zooModel, zooRecipe } from "../src/nn/zoo.ts";
import { describeEnvironment } from "../src/run/environment.ts";
import { openBackend } from "../src/train/open_backend.ts";
import { train } from "../src/train/trainer.ts";
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
/** Steps of a turn on an emulated GPU, for networks of LeNet's size and larger ones. */
const SOFTWARE_STEPS = { small: 16, large: 1 };
/** Multiply-adds of training on an image beyond which a network is large. */
const LARGE_MACS = 5e6;
const PYTORCH = PEER_NAMES.filter((name) => name.startsWith("pytorch-cuda"));
const PEERS = [...PYTORCH, "jax-js-webgpu", "tfjs-webgpu"] as const;

const COMMAND = defineCommand({
  usage: "deno task bench:webgpu",
  summary: "Measure the webgpu engine: images a second beside its peers, and time by kernel.",
  examples: [
    ["--epochs 20 --json > FILE", "all there is to measure, for docs:figures --bench-webgpu"],
    ["--models lenet --peers none", "the engine alone, on one network"],
  ],
  flags: {
    repeats: { type: "integer", min: 1, max: 1000, default: 9, help: "measured repeats" },
    epochs: { type: "integer", min: 1, max: 1000, help: "also train so long, to an accuracy" },
    dataset: { type: "string", default: "fashion-mnist", help: "what --epochs trains on" },
    models: {
      type: "list",
      choices: MODEL_NAMES,
      default: ["lenet", "lenet-relu", "mlp", "resnet8", "vgg-small"],
      help: "what is trained; kernels are timed of the first",
    },
    peers: { type: "list", choices: [...PEERS, "none"], default: PEERS, help: "others beside it" },
  },
});

async function measure(
  flags: FlagValues<typeof COMMAND.flags>,
  print: (text: string) => void,
) {
  const { repeats } = flags;
  quietDrivers();
  const [adapter] = await describeAdapters();
  if (adapter === undefined) throw new Error("No WebGPU adapter was found");
  const driver = await outputOf("nvidia-smi", [
    "--query-gpu=driver_version",
    "--format=csv,noheader",
  ]);
  const commit = await outputOf("git", ["rev-parse", "--short", "HEAD"]);
  print(
    `${adapter.name}${adapter.software ? ", software" : ""}${driver ? `, driver ${driver}` : ""}\n`,
  );
  const [first, ...others] = flags.models.map((name) => zooModel(name));
  const rates = await measureRates(flags.peers, {
    ...{ models: [first, ...others], repeats, isSoftware: adapter.software },
  });
  print(quartilesTable([`training, batch ${BATCH_SIZE}`, "images/s"], rates.found, 0));
  let kernels: Record<string, Quartiles> = {};
  const missing = [...rates.missing];
  if (adapter.features.includes("timestamp-query")) {
    kernels = await measureKernels(first, repeats);
    const title = `kernel, ${first.name}, batch ${BATCH_SIZE}`;
    print(quartilesTable([title, "µs a step"], kernels, 1));
  } else missing.push("times of kernels: the adapter has no timestamp-query");
  let training: Awaited<ReturnType<typeof trainEpochs>> | undefined;
  if (flags.epochs !== undefined) {
    try {
      training = await trainEpochs(first, flags.dataset, flags.epochs);
      const { median } = quartiles(training.epochMs);
      const seconds = training.epochMs.reduce((sum, ms) => sum + ms, 0) / 1000;
      print(
        `${training.epochMs.length} epochs of ${training.count} images: ${seconds.toFixed(2)} s, ` +
          `median epoch ${median.toFixed(1)} ms, test accuracy ${training.accuracy.toFixed(4)}`,
      );
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      missing.push(`epochs of ${flags.dataset}: ${error.message}`);
    }
  }
  for (const text of missing) print(`not available: ${text}`);
  const { name, software, features, limits } = adapter;
  return {
    adapter: { name, software, driver, features, limits },
    ...{ commit, environment: describeEnvironment(), repeats },
    ...{ rates: rates.found, kernels, training, missing },
  };
}

/** What a program says of the machine; undefined where it is not there or fails. */
async function outputOf(program: string, args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(program, { args, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim().split("\n")[0] : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Training rates of all, in turns: the engine, `wasm` by threads, and peers, on LeNet each but for PyTorch. */
async function measureRates(
  peers: readonly string[],
  { models, repeats, isSoftware }: {
    readonly models: readonly Model[];
    readonly repeats: number;
    readonly isSoftware: boolean;
  },
) {
  await using stack = new AsyncDisposableStack();
  const imagesOf = (model: Model) => {
    const size = trainingMacs(model) > LARGE_MACS ? "large" : "small";
    return BATCH_SIZE * (isSoftware ? SOFTWARE_STEPS[size] : STEPS);
  };
  const taskOf = (model: Model) => ({ model, images: imagesOf(model) });
  const webgpu = backendContender("webgpu");
  const entrants = models.map((model) => entrant(`webgpu ${model.name}`, webgpu, taskOf(model)));
  for (let threads = 1, cores = navigator.hardwareConcurrency; threads <= cores; threads *= 2) {
    const name = `wasm ${models[0].name}, ${threads} thread${threads > 1 ? "s" : ""}`;
    entrants.push(entrant(name, backendContender("wasm"), { ...taskOf(models[0]), threads }));
  }
  for (const name of peers) {
    if (name === "none") continue;
    // What takes a second a step on llvmpipe is given one.
    const one = { model: lenet(), images: isSoftware ? BATCH_SIZE : imagesOf(lenet()) };
    if (name === "tfjs-webgpu") {
      const title = "tfjs-webgpu lenet (TensorFlow.js 4.22.0)";
      entrants.push(entrant(title, backendContender("tfjs-webgpu"), one));
      continue;
    }
    const [peer] = await startPeers([name as PeerName], stack);
    const isPyTorch = PYTORCH.includes(name as PeerName);
    for (const model of isPyTorch ? models : [lenet()]) {
      const title = `${peer.description ?? name}, ${model.name}`;
      entrants.push(entrant(title, peer, isPyTorch ? taskOf(model) : one));
    }
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
    statistics: initialStatistics(model),
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

/** Trains by the model's own recipe; one epoch before, of other parameters, warms up.
 *
 * @throws {DatasetError} If the dataset is not on this machine.
 */
async function trainEpochs(model: Model, dataset: string, epochs: number) {
  const data = await loadDataset(dataset);
  const { learningRate, batchSize, init, optimizer } = zooRecipe(model.name as ModelName);
  const epochMs: number[] = [];
  let accuracy = 0;
  for (const count of [1, epochs]) {
    epochMs.length = 0;
    await using session = await openBackend("webgpu", model, { batchSize, init, optimizer });
    await train(session, data, { epochs: count, learningRate, batchSize }, {
      onEpoch({ trainMs, testAccuracy }) {
        epochMs.push(trainMs);
        accuracy = testAccuracy;
      },
    });
  }
  return { model: model.name, dataset: data.name, count: data.train.count, epochMs, accuracy };
}

if (import.meta.main) await runBenchmark(COMMAND, measure);
