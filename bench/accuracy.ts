/** Time to accuracy: from the start of a process to a test accuracy, PyTorch with the same recipe beside it.
 *
 *     deno task bench:accuracy                                   five seeds, 0.90 and 0.92
 *     deno task bench:accuracy --targets 0.88 --recipe="--model lenet --lr 0.3"
 *
 * docs/speedrun.md says what counts and what does not.
 */

// deno-lint-ignore-file no-console
import { fileURLToPath } from "node:url";
import { shellWord } from "../src/quote.ts";
import { UsageError } from "../src/cli/errors.ts";
import type { FlagValues } from "../src/cli/flag_types.ts";
import { defineCommand } from "../src/cli/flags.ts";
import { loadBefore, LoadMeter, loadWarnings } from "../src/compare/load.ts";
import { median } from "../src/compare/statistics.ts";
import { durationText } from "../src/compare/table.ts";
import { folderOf } from "../src/data/fetch.ts";
import { findDataset } from "../src/data/registry.ts";
import { torchGroups, torchModel, torchOptimizer } from "../src/formats/pytorch.ts";
import { initialParameters } from "../src/nn/init.ts";
import { formatTable } from "../src/report/table.ts";
import { configuredModel, parseRunConfig, type RunConfig } from "../src/run/config.ts";
import { parseMetricsLog } from "../src/run/metrics.ts";
import { learningRates } from "../src/train/plan.ts";
import { runBenchmark } from "./program.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PEER = fileURLToPath(new URL("peers/pytorch_accuracy.py", import.meta.url));

/** Flags of `deno task train`, chosen on a validation split; docs/speedrun.md has what else was tried.
 *
 * Adam's short memory and a rate that is up after a fifth of the steps and 0 at the last let LeNet get there
 * in three passes. For 0.92, batch norm and three times the multiplications save more passes than they cost.
 */
const RECIPES: Readonly<Record<string, string>> = {
  "0.90": "--model lenet-relu --standardize --optimizer adam --betas 0.9,0.98 --lr 0.006 " +
    "--schedule one-cycle --anneal linear --warmup 0.2 --batch-size 96 --epochs 3",
  "0.92": "--model vgg-tiny --schedule one-cycle --anneal linear --warmup 0.25 --augment none " +
    "--label-smoothing 0 --epochs 8",
};

/** What of a recipe the peer knows; with anything else it would train by another recipe. */
const KNOWN = [
  ...["epochs", "batchSize", "learningRate", "seed", "shuffle", "targetAccuracy"],
  ...["schedule", "warmup", "stepSize", "gamma", "anneal"], // by the rate of each step
  ...["labelSmoothing", "flip", "shift", "erase"],
];

const COMMAND = defineCommand({
  usage: "deno task bench:accuracy",
  summary: "Take the time from a process's start to a test accuracy, PyTorch beside it.",
  examples: [
    ["", "five seeds to 0.90 and to 0.92"],
    ['--targets 0.88 --recipe="--model lenet --lr 0.3" --seeds 3', "another recipe"],
  ],
  flags: {
    targets: {
      type: "list",
      default: Object.keys(RECIPES),
      help: "test accuracies, each with a recipe of its own unless --recipe names one",
    },
    recipe: { type: "string", placeholder: "FLAGS", help: "flags of deno task train, for all" },
    dataset: { type: "string", default: "fashion-mnist", help: "what deno task fetch has fetched" },
    seeds: { type: "integer", min: 1, max: 100, default: 5, help: "runs of each" },
    peers: {
      type: "list",
      choices: ["pytorch", "pytorch-compile", "none"],
      default: ["pytorch", "pytorch-compile"],
      help: "who trains by the same recipe beside it",
    },
  },
});

/** One process. */
interface Run {
  /** From before it was started until it had ended. */
  readonly wallMs: number;
  /** Steps alone. */
  readonly trainMs: number;
  readonly epochs: number;
  readonly accuracy: number;
  readonly version?: string;
}

/** All runs of one program to one accuracy. */
interface Result {
  readonly target: number;
  readonly who: string;
  readonly recipe: string;
  readonly runs: Run[];
  /** Why there are none. */
  reason?: string;
}

async function measure(
  flags: FlagValues<typeof COMMAND.flags>,
  print: (text: string) => void,
) {
  const jobs = flags.targets.map((text) => {
    const [target, recipe] = [Number(text), flags.recipe ?? RECIPES[text]];
    if (!(target > 0 && target <= 1)) {
      throw new UsageError(`Invalid --targets "${text}": expected accuracies above 0, up to 1`);
    }
    if (recipe === undefined) {
      const known = Object.keys(RECIPES).join(", ");
      throw new UsageError(`No recipe for ${text}: expected one of ${known}, or give --recipe`);
    }
    return { target, recipe };
  });
  print(`${flags.dataset}, seeds 1 to ${flags.seeds}\n`);
  const before = await loadBefore() ?? 0;
  const meter = new LoadMeter();
  const results: Result[] = [];
  for (const job of jobs) {
    const own: Result = { ...job, who: "lenet", runs: [] };
    const peers = flags.peers.filter((name) => name !== "none")
      .map((who): Result => ({ ...job, who, runs: [] }));
    results.push(own, ...peers);
    await train({ ...flags, ...job, seed: 0, extra: ["--max-steps", "1"] }); // files into memory
    for (let seed = 1; seed <= flags.seeds; seed++) {
      const { run, config } = await train({ ...flags, ...job, seed });
      own.runs.push(run);
      console.error(`${job.target}, seed ${seed}: lenet ${durationText(run.wallMs)}`);
      for (const peer of peers) await addPeer(peer, config, { ...flags, seed });
    }
  }
  // Children's time is not told apart from others': only the moment before says who else is there.
  const load = { before, during: Math.min(before, meter.others() ?? 0) };
  for (const warning of loadWarnings(load)) print(`Warning: ${warning}.\n`);
  print(describe(results));
  return { ...flags, load, results };
}

interface TrainJob {
  readonly target: number;
  readonly recipe: string;
  readonly dataset: string;
  readonly seed: number;
  readonly extra?: readonly string[];
}

/** Trains in a process of its own, as a user does. */
async function train({ target, recipe, dataset, seed, extra = [] }: TrainJob) {
  const folder = await Deno.makeTempDir({ prefix: "lenet-accuracy-" });
  try {
    const out = `${folder}/run`;
    const args = [
      ...["task", "train", ...recipe.split(/\s+/).filter(Boolean), "--dataset", dataset],
      ...["--seed", `${seed}`, "--target-accuracy", `${target}`, "--out", out, "--quiet", ...extra],
    ];
    const started = performance.now();
    const { code, stderr } = await new Deno.Command("deno", { args, cwd: ROOT }).output();
    const wallMs = performance.now() - started;
    if (code !== 0) {
      const line = args.map(shellWord).join(" ");
      throw new Error(`deno ${line} failed: ${new TextDecoder().decode(stderr).trim()}`);
    }
    const read = (name: string) => Deno.readTextFile(`${out}/${name}`);
    const config = parseRunConfig(await read("config.json"), "config.json");
    const metrics = parseMetricsLog(await read("metrics.jsonl"), "metrics.jsonl");
    const trainMs = metrics.reduce((sum, epoch) => sum + epoch.trainMs, 0);
    const accuracy = metrics.at(-1)?.testAccuracy ?? 0;
    return { run: { wallMs, trainMs, epochs: metrics.length, accuracy }, config };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Trains the same network on the same images by the same recipe in PyTorch. */
async function addPeer(
  peer: Result,
  config: RunConfig,
  { dataset, seed }: { readonly dataset: string; readonly seed: number },
): Promise<void> {
  if (peer.reason !== undefined) return;
  const { plan, optimizer, init, clipNorm, frozen, loss, augmentation } = config;
  const { trainCount, validationCount } = config.dataset;
  const recipe = { ...plan, ...loss, ...augmentation, clipNorm, frozen, validationCount };
  const unknown = Object.entries(recipe)
    .find(([field, value]) => value !== undefined && !KNOWN.includes(field))?.[0];
  if (unknown !== undefined || init.type === "file") {
    peer.reason = `does not know the recipe's ${unknown ?? "initial parameters"}`;
    return;
  }
  const [model, entry] = [configuredModel(config), findDataset(dataset)];
  const stepsPerEpoch = Math.ceil(trainCount / plan.batchSize);
  const count = stepsPerEpoch * plan.epochs;
  const parameters = initialParameters(model, seed, init);
  const job = JSON.stringify({
    ...{ ...plan, ...model.standardization, seed, target: peer.target },
    ...{ labelSmoothing: loss?.labelSmoothing ?? 0, augmentation: augmentation ?? {} },
    threads: navigator.hardwareConcurrency,
    compile: peer.who === "pytorch-compile",
    folder: entry === undefined ? dataset : folderOf(entry),
    model: torchModel(model.specs, model.inputShape),
    groups: torchGroups(optimizer),
    optimizer: torchOptimizer(optimizer, "0.0"),
    learningRates: [...learningRates(plan, { first: 0, count, stepsPerEpoch })],
    parameters: new Uint8Array(parameters.buffer).toBase64(),
  });
  try {
    const started = performance.now();
    const child = new Deno.Command("python3", {
      ...{ args: [PEER], stdin: "piped", stdout: "piped", stderr: "piped" },
    }).spawn();
    const input = child.stdin.getWriter();
    const writing = input.write(new TextEncoder().encode(job)).then(() => input.close())
      .catch(() => {}); // who ended before it had read says why
    const { code, stdout, stderr } = await child.output();
    const wallMs = performance.now() - started;
    await writing;
    if (code !== 0) {
      peer.reason = new TextDecoder().decode(stderr).trim().split("\n").at(-1) ??
        `exit code ${code}`;
      return;
    }
    peer.runs.push({ wallMs, ...JSON.parse(new TextDecoder().decode(stdout)) });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    peer.reason = "not installed; pip install torch";
  }
}

/** The table, and each recipe. */
function describe(results: readonly Result[]): string {
  const rows = results.map(({ target, who, runs, reason }) => {
    if (runs.length === 0) return [`${target}`, who, reason ?? "", "", "", "", ""];
    const reached = runs.filter(({ accuracy }) => accuracy >= target);
    const name = runs[0].version ? `PyTorch ${runs[0].version}${who.slice("pytorch".length)}` : who;
    // Who does not get there takes for ever: the median is one over all seeds.
    const times = runs.map((run) => run.accuracy >= target ? run.wallMs : Infinity);
    const time = (ms: number) => ms < Infinity ? durationText(ms) : "not reached";
    return [
      `${target}`,
      name,
      time(median(times)),
      `${time(Math.min(...times))}..${time(Math.max(...times))}`,
      durationText(median(runs.map(({ trainMs }) => trainMs))),
      `${median(runs.map(({ epochs }) => epochs))}`,
      `${reached.length} of ${runs.length}`,
    ];
  });
  const header = ["accuracy", "", "from start", "range", "training", "epochs", "reached"];
  const recipes = new Map(results.map(({ target, recipe }) => [target, recipe]));
  return formatTable(header, rows, "rlrrrrr") + "\n\n" +
    [...recipes].map(([target, recipe]) => `${target}: deno task train ${recipe}`).join("\n");
}

if (import.meta.main) await runBenchmark(COMMAND, measure);
