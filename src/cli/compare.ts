// deno-lint-ignore-file no-console
/** The compare command: the same training on several backends, as a table and JSON. */

import { BACKEND_NAMES } from "../backends/registry.ts";
import type { Dataset, LabeledImages } from "../data/dataset.ts";
import { initialParameters } from "../nn/init.ts";
import { MODEL_NAMES, ZOO, zooModel } from "../nn/zoo.ts";
import { describeEnvironment, type Environment } from "../report/environment.ts";
import { spread } from "../report/statistics.ts";
import { countOf, formatCount, formatTable } from "../report/table.ts";
import { writeAtomic } from "../write_atomic.ts";
import { compareBackends, type Measured, type Unavailable } from "../report/comparison.ts";
import { obtainForTraining } from "./dataset_flag.ts";
import { EXIT, UsageError, withInterrupt } from "./errors.ts";
import { defineCommand, parseFlags } from "./flags.ts";
import { helpText } from "./help.ts";
import { requireWritableFile } from "./permissions.ts";
import { quietDrivers } from "./quiet_drivers.ts";

/** Test images that are evaluated unless whole epochs are compared. */
const SHORT_TEST_COUNT = 1000;

/** Left out unless asked for: a step of 256 images takes them seconds. */
const SLOW_BACKENDS: readonly string[] = ["tfjs-cpu", "reference"];

const COMMAND = defineCommand({
  usage: "deno task compare",
  summary: "Train the same batches from the same parameters on several backends, and compare them.",
  examples: [
    ["", "ten steps, three times, on every backend but the slow ones"],
    ["--backends tfjs-wasm,reference --max-steps 2", "two backends of your choice"],
    ["--epochs 1 --repeats 1", "a whole epoch each"],
    ["--json compare.json --markdown compare.md", "keep the figures"],
  ],
  flags: {
    backends: {
      type: "list",
      choices: BACKEND_NAMES,
      default: BACKEND_NAMES.filter((name) => !SLOW_BACKENDS.includes(name)),
      help: "what to compare; the first is what the others' parameters are compared with",
    },
    "max-steps": { type: "integer", min: 1, defaultText: "10", help: "steps of a repeat" },
    epochs: {
      type: "integer",
      min: 1,
      max: 1000,
      help: "whole epochs a repeat, in place of steps",
    },
    repeats: { type: "integer", min: 1, max: 1000, default: 3, help: "measured repeats" },
    model: { type: "choice", choices: MODEL_NAMES, default: "lenet", help: "what to train" },
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "fashion-mnist, or the sample if it cannot be had",
      help: "fashion-mnist, mnist, sample, or a folder of IDX files",
    },
    "batch-size": { type: "integer", min: 1, max: 65_536, default: 256, help: "images per step" },
    lr: {
      type: "number",
      exclusiveMin: 0,
      max: 1000,
      defaultText: "the model's",
      help: "learning rate",
    },
    seed: {
      type: "integer",
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
      default: 0,
      help: "draws initial weights and order",
    },
    threads: { type: "integer", min: 1, max: 256, defaultText: "all cores", help: "CPU threads" },
    json: { type: "string", placeholder: "FILE", help: "write all figures as JSON" },
    markdown: { type: "string", placeholder: "FILE", help: "write the table as Markdown" },
    quiet: { type: "boolean", help: "print the table only" },
  },
});

/** Runs the command with its arguments and returns the exit code. */
export async function compareCommand(args: string[]): Promise<number> {
  const { flags, help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  if (flags.epochs !== undefined && flags.maxSteps !== undefined) {
    throw new UsageError("Cannot use --epochs and --max-steps together: choose one of them");
  }
  const { json, markdown } = flags;
  for (const path of [json, markdown]) {
    if (path !== undefined) await requireWritableFile(path);
  }
  return await withInterrupt(async (signal) => {
    const whole = await obtainForTraining({ ...flags, json: false }, signal);
    const dataset = flags.epochs === undefined ? withShortTest(whole) : whole;
    const model = zooModel(flags.model, {
      inputShape: dataset.train.shape,
      classCount: dataset.classNames.length,
    });
    const { recipe } = ZOO[flags.model];
    const stepsPerEpoch = Math.ceil(dataset.train.count / flags.batchSize);
    const plan = {
      model,
      dataset,
      parameters: initialParameters(model, flags.seed, recipe.init),
      batchSize: flags.batchSize,
      learningRate: flags.lr ?? recipe.learningRate,
      seed: flags.seed,
      steps: flags.epochs === undefined ? flags.maxSteps ?? 10 : flags.epochs * stepsPerEpoch,
      repeats: flags.repeats,
      threads: flags.threads,
    };
    const say = (activity: string) => {
      if (!flags.quiet) console.error(activity);
    };
    quietDrivers();
    const rows = await compareBackends([...new Set(flags.backends)], plan, { signal, say });
    const facts = {
      model: model.name,
      dataset: dataset.name,
      batchSize: plan.batchSize,
      steps: plan.steps,
      repeats: plan.repeats,
      testCount: dataset.test.count,
      date: new Date().toISOString().slice(0, 10),
      environment: describeEnvironment(),
    };
    const text = describeRows(facts, rows);
    console.log(text);
    if (markdown !== undefined) await writeAtomic(markdown, `${text}\n`);
    if (json !== undefined) {
      await writeAtomic(json, JSON.stringify({ ...facts, rows }, undefined, 2) + "\n");
    }
    return EXIT.ok;
  });
}

function withShortTest(dataset: Dataset): Dataset {
  const { test } = dataset;
  const count = Math.min(SHORT_TEST_COUNT, test.count);
  const short: LabeledImages = {
    ...test,
    count,
    images: test.images.subarray(0, count * (test.images.length / test.count)),
    labels: test.labels.subarray(0, count),
  };
  return { ...dataset, test: short };
}

interface Facts {
  readonly model: string;
  readonly dataset: string;
  readonly batchSize: number;
  readonly steps: number;
  readonly repeats: number;
  readonly testCount: number;
  readonly date: string;
  readonly environment: Environment;
}

function describeRows(facts: Facts, rows: readonly (Measured | Unavailable)[]): string {
  const { environment } = facts;
  const measured = rows.filter((row) => "device" in row);
  const table = formatTable(
    [
      "backend",
      "start",
      "first step",
      "step (min..max)",
      "train images/s",
      "eval images/s",
      "loss",
      "train acc",
      "test acc",
      "difference",
      "memory",
    ],
    rows.map((row) => "device" in row ? measuredCells(row) : [row.backend, "unavailable"]),
    "l" + "r".repeat(10),
  );
  return [
    `${facts.model} on ${facts.dataset}, batch ${facts.batchSize}: ` +
    `${countOf(facts.repeats, "repeat")} of ${countOf(facts.steps, "step")}, ` +
    `evaluation on ${countOf(facts.testCount, "image")}`,
    `${environment.cpu}, ${environment.cores} cores, ${environment.os} ${environment.arch}, ` +
    `Deno ${environment.deno}, ${facts.date}`,
    "",
    table,
    "",
    ...measured.map(({ backend, device }) =>
      `- ${backend}: ${device.description}, ` +
      (device.kind === "cpu" ? countOf(device.threads, "thread") : "GPU") +
      (device.software ? " emulated by the CPU" : "")
    ),
    ...rows.flatMap((row) => "device" in row ? [] : [`- ${row.backend}: ${row.reason}`]),
    "",
    "Rates are medians of the repeats, which took turns; start and first step are not part of " +
    "them. difference: largest difference of a parameter from the first backend's, relative to " +
    "the largest parameter. memory: growth of resident memory.",
  ].join("\n");
}

function measuredCells(row: Measured): string[] {
  const step = spread(row.stepMs);
  return [
    row.backend,
    `${formatCount(row.startMs)} ms`,
    `${formatCount(row.firstStepMs)} ms`,
    `${step.median.toFixed(1)} ms (${step.min.toFixed(1)}..${step.max.toFixed(1)})`,
    formatCount(spread(row.trainImagesPerSecond).median),
    formatCount(spread(row.evalImagesPerSecond).median),
    row.trainLoss.toFixed(4),
    row.trainAccuracy.toFixed(3),
    row.testAccuracy.toFixed(3),
    row.parameterDifference === 0 ? "0" : row.parameterDifference.toExponential(1),
    `${formatCount(row.memoryBytes / 2 ** 20)} MiB`,
  ];
}
