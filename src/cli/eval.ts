// deno-lint-ignore-file no-console
/** The eval command: how well saved parameters do on a test set, class by class. */

import { join } from "node:path";
import { loadDataset } from "../data/load.ts";
import { decodeSafetensors } from "../formats/safetensors.ts";
import { fromTensors } from "../formats/parameters.ts";
import { type Model, sequential } from "../nn/sequential.ts";
import { MODEL_NAMES, zooModel } from "../nn/zoo.ts";
import { configuredModel } from "../report/run_config.ts";
import { readRunConfig, readRunParameters } from "../report/run_folder.ts";
import { formatCount, formatTable } from "../report/table.ts";
import { readBounded } from "../train/checkpoint.ts";
import { type ClassificationReport, classificationReport } from "../train/metrics.ts";
import { BACKEND_CHOICES, openSession } from "./backend_flags.ts";
import { EXIT, UsageError } from "./errors.ts";
import { defineCommand, parseFlags } from "./flags.ts";
import { helpText } from "./help.ts";

const COMMAND = defineCommand({
  usage: "deno task eval",
  summary: "Evaluate saved parameters on a test set: loss, accuracy, precision, recall, confusion.",
  examples: [
    ["", "the newest run below runs/"],
    ["--run runs/first", "a run"],
    ["--weights runs/first/best.safetensors", "a file of parameters"],
  ],
  flags: {
    run: { type: "string", placeholder: "DIR", defaultText: "newest below runs/", help: "a run" },
    weights: { type: "string", placeholder: "FILE", help: "parameters (.safetensors)" },
    model: {
      type: "choice",
      choices: MODEL_NAMES,
      defaultText: "what the file says, else lenet",
      help: "the model of --weights",
    },
    backend: { type: "choice", choices: BACKEND_CHOICES, default: "auto", help: "what computes" },
    threads: { type: "integer", min: 1, max: 256, defaultText: "all cores", help: "CPU threads" },
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "the run's, else fashion-mnist",
      help: "whose test set",
    },
    json: { type: "boolean", help: "print one JSON object on standard output" },
  },
});

/** What is evaluated. */
interface Subject {
  readonly label: string;
  readonly model: Model;
  readonly parameters: Float32Array;
  readonly datasetName: string;
}

/** Runs the command with its arguments and returns the exit code. */
export async function evalCommand(args: string[]): Promise<number> {
  const { flags, help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  if (flags.run !== undefined && flags.weights !== undefined) {
    throw new UsageError("Cannot use --run and --weights together: choose one of them");
  }
  if (flags.model !== undefined && flags.weights === undefined) {
    throw new UsageError("Cannot use --model without --weights: a run knows its model");
  }
  const subject = flags.weights === undefined
    ? await runSubject(flags.run ?? await newestRun())
    : await weightsSubject(flags.weights, flags.model);
  const { model, parameters } = subject;
  const { test, classNames, name: dataset } = await loadDataset(
    flags.dataset ?? subject.datasetName,
  );
  if (classNames.length !== model.classCount) {
    throw new TypeError(
      `Cannot evaluate ${subject.label} on dataset "${dataset}": the model has ` +
        `${model.classCount} classes, the dataset ${classNames.length}`,
    );
  }
  const { backend, session: opened } = await openSession(flags.backend, model, {
    optimizer: { type: "sgd", momentum: 0 },
    batchSize: 1,
    threads: flags.threads,
  });
  await using session = opened;
  await session.loadState({ parameters, slots: [], step: 0 });
  await session.attach(test);
  const started = performance.now();
  const { loss, predictions } = await session.evaluate(test);
  const evalMs = performance.now() - started;
  const report = classificationReport(predictions, test.labels, classNames);
  const facts = {
    weights: subject.label,
    model: model.name,
    dataset,
    count: test.count,
    backend,
    device: session.device,
    loss,
    evalMs,
    imagesPerSecond: test.count / evalMs * 1000,
  };
  if (flags.json) console.log(JSON.stringify({ ...facts, ...report }));
  else printReport(facts, report);
  return EXIT.ok;
}

async function runSubject(path: string): Promise<Subject> {
  const config = await readRunConfig(path);
  const model = configuredModel(config);
  const parameters = await readRunParameters(path, model);
  return { label: path, model, parameters, datasetName: config.dataset.name };
}

async function weightsSubject(
  path: string,
  name: typeof MODEL_NAMES[number] | undefined,
): Promise<Subject> {
  const { tensors, metadata } = decodeSafetensors(await readBounded(path), path);
  const model = name === undefined ? describedModel(metadata.lenet, path) : zooModel(name);
  const parameters = fromTensors(model, tensors, path);
  return { label: path, model, parameters, datasetName: "fashion-mnist" };
}

/** The model that a file's metadata describes, or LeNet if it comes from elsewhere. */
function describedModel(description: string | undefined, path: string): Model {
  if (description === undefined) return zooModel("lenet");
  try {
    const { name, inputShape, layers } = JSON.parse(description);
    return sequential(layers, { name, inputShape });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SyntaxError(`Cannot read the model in ${path}: ${reason}; name it with --model`);
  }
}

async function newestRun(): Promise<string> {
  const runs: { path: string; started: string }[] = [];
  try {
    for await (const entry of Deno.readDir("runs")) {
      const path = join("runs", entry.name);
      const config = entry.isDirectory
        ? await readRunConfig(path).catch(() => undefined)
        : undefined;
      if (config !== undefined) runs.push({ path, started: config.started });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const newest = runs.sort((a, b) => a.started < b.started ? 1 : -1).at(0);
  if (newest === undefined) {
    throw new TypeError("Cannot find a run below runs/: train one, or name one with --run");
  }
  return newest.path;
}

function printReport(
  facts: {
    readonly weights: string;
    readonly model: string;
    readonly dataset: string;
    readonly count: number;
    readonly backend: string;
    readonly loss: number;
    readonly imagesPerSecond: number;
  },
  { accuracy, confusion, perClass }: ClassificationReport,
): void {
  const percent = (share: number) => share.toFixed(3);
  console.log(
    `${facts.weights} (${facts.model}) on ${formatCount(facts.count)} test images of ` +
      `${facts.dataset}, ${facts.backend}\n`,
  );
  console.log(
    `accuracy ${accuracy.toFixed(4)}  loss ${facts.loss.toFixed(4)}  ` +
      `${formatCount(facts.imagesPerSecond)} images/s\n`,
  );
  console.log(formatTable(
    ["class", "precision", "recall", "images"],
    perClass.map((row) => [
      row.className,
      percent(row.precision),
      percent(row.recall),
      formatCount(row.support),
    ]),
    "lrrr",
  ));
  console.log("\nConfusion: images of the row's class, predicted as the column's\n");
  console.log(formatTable(
    ["", ...perClass.map((_, k) => String(k))],
    confusion.map((row, k) => [`${k} ${perClass[k].className}`, ...row.map(String)]),
    "l" + "r".repeat(perClass.length),
  ));
}
