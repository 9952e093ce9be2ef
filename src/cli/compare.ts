// deno-lint-ignore-file no-console
/** The compare command: the same training on several backends, as tables, JSON and a page. */

import { resolve } from "node:path";
import { chooseBackend } from "../backends/choose.ts";
import { BACKEND_NAMES } from "../backends/registry.ts";
import { type Dataset, sliceImages } from "../data/dataset.ts";
import { invocation } from "../quote.ts";
import { initialParameters } from "../nn/init.ts";
import { ZOO } from "../nn/zoo.ts";
import { isMeasured, measureEntrants } from "../compare/turns.ts";
import { Oracle } from "../compare/agreement.ts";
import { allAgree, type ComparisonFacts, judgeRows } from "../compare/facts.ts";
import type { ComparisonPlan } from "../compare/plan.ts";
import { loadBefore, LoadMeter } from "../compare/load.ts";
import { measureScaling } from "../compare/scaling.ts";
import { describeComparison } from "../compare/table.ts";
import { timeToAccuracy } from "../compare/until.ts";
import { backendContender, type Contender, SLOW_BACKENDS } from "../compare/contender.ts";
import { describeEnvironment } from "../run/environment.ts";
import { type Peer, PEER_NAMES, startPeers } from "../compare/peers.ts";
import { median } from "../compare/statistics.ts";
import { writeAtomic } from "../write_atomic.ts";
import { obtainForTraining } from "./dataset_flag.ts";
import { EXIT, UsageError, withInterrupt } from "./errors.ts";
import type { FlagValues } from "./flag_types.ts";
import { defineCommand, JSON_FLAG, parseFlags } from "./flags.ts";
import { requireWritableFile } from "./permissions.ts";
import { PICTURE_FLAGS, pictureOptions, requirePictures } from "./picture_flags.ts";
import { quietDrivers } from "./backend_flags.ts";
import { recordedDataset } from "./recorded_path.ts";
import { TRAIN_COMMAND } from "./train_flags.ts";
import { modelFor } from "./train_recipe.ts";

/** Test images that are evaluated unless whole epochs are compared. */
const SHORT_TEST_COUNT = 1000;
/** Milliseconds of training in a repeat: with seven repeats of all backends, about a minute. */
const BUDGET_MS = 600;

const { flags: train } = TRAIN_COMMAND;

export const command = defineCommand({
  usage: invocation("compare"),
  summary: "Train the same batches from the same parameters on several backends, and compare them.",
  examples: [
    ["", "every backend, in turns, a minute or two"],
    ["--backends wasm,tfjs-wasm --peers pytorch", "two backends, and PyTorch beside them"],
    ["--target-accuracy 0.80", "time to an accuracy"],
    ["--scaling --html runs/compare.html", "threads and batches, as a page with charts"],
    ["--epochs 1 --repeats 1", "a whole epoch each"],
  ],
  flags: {
    backends: {
      type: "list",
      choices: BACKEND_NAMES,
      defaultText:
        "what auto picks, then the others; with --max-steps or --epochs not the slow ones",
      help: "what to compare; ratios are to the first",
    },
    peers: { type: "list", choices: PEER_NAMES, help: "other programs beside them" },
    "max-steps": {
      type: "integer",
      min: 1,
      defaultText: "by each backend's speed",
      help: "steps of a repeat",
    },
    epochs: {
      type: "integer",
      min: 1,
      max: 1000,
      help: "whole epochs a repeat, in place of steps",
    },
    repeats: { type: "integer", min: 1, max: 1000, default: 7, help: "measured repeats" },
    "target-accuracy": {
      type: "number",
      exclusiveMin: 0,
      max: 1,
      help: "also train each until this test accuracy, and take the time",
    },
    scaling: { type: "boolean", help: "also measure threads 1..N and batches of 32, 256, 1024" },
    model: { ...train.model, default: "lenet", defaultText: undefined, help: "what to train" },
    dataset: train.dataset,
    ...PICTURE_FLAGS,
    standardize: { type: "boolean", help: "(pixel / 255 - mean) / std, not pixel / 255" },
    "batch-size": { ...train["batch-size"], default: 256, defaultText: undefined },
    lr: { ...train.lr, defaultText: "the model's" },
    seed: train.seed,
    threads: train.threads,
    json: JSON_FLAG,
    markdown: { type: "string", placeholder: "FILE", help: "write the tables as Markdown" },
    html: { type: "string", placeholder: "FILE", help: "write a page with charts" },
    quiet: { type: "boolean", help: "print nothing but the figures and errors" },
  },
});

type Flags = FlagValues<typeof command.flags>;

/** Runs the command with its arguments; the exit code is 1 if a backend differs from the reference. */
export async function run(args: string[]): Promise<number> {
  const { flags } = parseFlags(command, args);
  if (flags.epochs !== undefined && flags.maxSteps !== undefined) {
    throw new UsageError("Cannot use --epochs and --max-steps together: choose one of them");
  }
  const outs = [flags.markdown, flags.html].filter((path) => path !== undefined);
  if (new Set(outs.map((path) => resolve(path))).size < outs.length) {
    throw new UsageError("Cannot write --markdown and --html to one file: give each its own");
  }
  for (const path of outs) await requireWritableFile(path);
  return await withInterrupt(async (signal) => {
    await using stack = new AsyncDisposableStack();
    const before = await loadBefore();
    // Peers start first: getting the dataset gives back the permission to start programs.
    const peers = await startPeers(flags.peers ?? [], stack);
    const whole = await obtainForTraining(
      { ...flags, json: false, pictures: pictureOptions(flags) },
      signal,
    );
    requirePictures(whole, flags);
    quietDrivers();
    const plan = makePlan(flags, whole);
    const contenders = [...(await backendsOf(flags, plan)).map(backendContender), ...peers];
    const facts = await compare(contenders, plan, { flags, whole, signal, before, peers });
    await report(facts, flags);
    return allAgree(facts.rows) ? EXIT.ok : EXIT.failure;
  });
}

async function backendsOf(
  { backends, maxSteps, epochs }: Flags,
  { model, batchSize, threads }: ComparisonPlan,
) {
  if (backends !== undefined) return [...new Set(backends)];
  const isFixed = maxSteps !== undefined || epochs !== undefined;
  const names = BACKEND_NAMES.filter((name) => !isFixed || !SLOW_BACKENDS.includes(name));
  const { name: fastest } = await chooseBackend(model, { batchSize, threads });
  return [...new Set([fastest, ...names])];
}

function makePlan(flags: Flags, whole: Dataset): ComparisonPlan {
  const { epochs, maxSteps, batchSize, seed, repeats, threads } = flags;
  const model = modelFor(flags, whole);
  const { recipe } = ZOO[flags.model];
  const testCount = Math.min(SHORT_TEST_COUNT, whole.test.count);
  const stepsPerEpoch = Math.ceil(whole.train.count / batchSize);
  return {
    model,
    dataset: epochs === undefined
      ? { ...whole, test: sliceImages(whole.test, 0, testCount) }
      : whole,
    parameters: initialParameters(model, seed, recipe.init),
    learningRate: flags.lr ?? recipe.learningRate,
    steps: epochs === undefined ? maxSteps : epochs * stepsPerEpoch,
    budgetMs: BUDGET_MS,
    ...{ batchSize, seed, repeats, threads },
  };
}

async function compare(
  contenders: readonly Contender[],
  plan: ComparisonPlan,
  { flags, whole, signal, before, peers }: {
    readonly flags: Flags;
    readonly whole: Dataset;
    readonly signal: AbortSignal;
    readonly before?: number;
    readonly peers: readonly Peer[];
  },
): Promise<ComparisonFacts> {
  const say = (activity: string) => {
    if (!flags.quiet) console.error(activity);
  };
  const meter = new LoadMeter(peers);
  const hooks = { signal, say, oracle: new Oracle() };
  const entrants = contenders.map((contender) => ({ contender, plan }));
  const rows = await measureEntrants(entrants, plan.repeats, hooks);
  const during = meter.others();
  const load = before === undefined || during === undefined ? undefined : { before, during };
  const rates = new Map(
    rows.filter(isMeasured).map((row) => [row.backend, median(row.trainImagesPerSecond)]),
  );
  const maxThreads = flags.threads ?? navigator.hardwareConcurrency;
  const scalingOver = (threads: number[], batchSizes?: number[]) =>
    measureScaling(contenders, plan, { rates, threads, batchSizes, ...hooks });
  const scaling = flags.scaling
    ? await scalingOver(Array.from({ length: maxThreads }, (_, n) => n + 1))
    : undefined;
  const isControlled = maxThreads > 1 && rows.filter(isMeasured).some(({ outside }) => outside);
  const controls = isControlled ? await scalingOver([1], []) : undefined;
  const { targetAccuracy: accuracy } = flags;
  const until = accuracy === undefined ? undefined : {
    accuracy,
    times: await timeToAccuracy(contenders, { ...plan, dataset: whole }, {
      ...{ accuracy, maxEpochs: ZOO[flags.model].recipe.epochs, rates, ...hooks },
    }),
  };
  return {
    model: plan.model.name,
    dataset: recordedDataset(plan.dataset.name),
    notes: whole.notes,
    batchSize: plan.batchSize,
    learningRate: plan.learningRate,
    seed: plan.seed,
    steps: plan.steps,
    repeats: plan.repeats,
    testCount: plan.dataset.test.count,
    date: new Date().toISOString().slice(0, 10),
    environment: describeEnvironment(),
    rows,
    ...judgeRows(rows, { seed: plan.seed, load, controls }),
    ...{ load, controls, until, scaling },
  };
}

async function report(facts: ComparisonFacts, { markdown, json, html }: Flags): Promise<void> {
  const text = describeComparison(facts);
  console.log(json ? JSON.stringify(facts) : text);
  if (markdown !== undefined) await writeAtomic(markdown, `${text}\n`);
  if (html !== undefined) {
    // Charts are a large library, which a run without them need not load.
    const { comparisonPage } = await import("../compare/page.ts");
    await writeAtomic(html, await comparisonPage(facts));
  }
}
