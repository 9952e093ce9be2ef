// deno-lint-ignore-file no-console
/** The eval command: how well saved parameters do on a test set, class by class. */

import { basename, resolve } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import { loadDataset } from "../data/load.ts";
import { invocation } from "../invocation.ts";
import { printable } from "../printable.ts";
import { quote, quoteWhole } from "../quote.ts";
import { formatCount, formatTable } from "../report/table.ts";
import { type ClassificationReport, classificationReport } from "../train/metrics.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { PICTURE_FLAGS, picturesFor, showPictures } from "./picture_flags.ts";
import { EXIT } from "./errors.ts";
import { defineCommand, parseFlags } from "./flags.ts";
import { helpText } from "./help.ts";
import { findRecorded, type FoundDataset } from "./recorded_path.ts";
import { loadSubject, openTrained, sayNotes, type Subject, SUBJECT_FLAGS } from "./subject.ts";

const COMMAND = defineCommand({
  usage: invocation("eval"),
  summary: "Evaluate saved parameters on a test set: loss, accuracy, precision, recall, confusion.",
  examples: [
    ["", "the newest run below runs/"],
    ["--run runs/first", "a run"],
    ["--weights runs/first/best.safetensors", "a file of parameters"],
  ],
  flags: {
    ...SUBJECT_FLAGS,
    ...DEVICE_FLAGS,
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "the run's, else fashion-mnist",
      help: "whose test set; of pictures, the share that the run kept back",
    },
    "valid-split": { ...PICTURE_FLAGS["valid-split"], defaultText: "the run's, else 0.2" },
    invert: { type: "boolean", help: "turn dark on light into light on dark, as the run did" },
    json: { type: "boolean", help: "print one JSON object on standard output" },
  },
});

export { COMMAND as command, evalCommand as run };

/** Runs the command with its arguments and returns the exit code. */
export async function evalCommand(args: string[]): Promise<number> {
  const { flags, help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  const subject = await loadSubject(flags);
  const { model } = subject;
  const isOwn = flags.dataset === undefined;
  const { run, config } = subject;
  const place = isOwn && run !== undefined && config !== undefined
    ? await findRecorded(config, run)
    : { name: flags.dataset ?? subject.datasetName };
  const whole = await loadForEvaluation(place, subject, flags);
  const { test, name: dataset } = whole;
  const notes = [...subject.notes, ...checkClasses(whole, subject)];
  if (whole.pictures) checkPictures(whole, subject);
  else if (isOwn) requireOwnDataset(whole, subject);
  sayNotes({ label: subject.label, notes });
  const { backend, session: opened } = await openTrained(subject, flags);
  await using session = opened;
  await session.attach(test);
  const started = performance.now();
  const { loss, predictions } = await session.evaluate(test);
  const evalMs = performance.now() - started;
  const classNames = isNamed(subject) ? subject.classNames : whole.classNames;
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
  if (flags.json) {
    console.log(JSON.stringify({ ...facts, ...report, ...(notes.length > 0 && { notes }) }));
  } else printReport(facts, report);
  return EXIT.ok;
}

async function loadForEvaluation(
  { name, dataDir }: Partial<FoundDataset> & { readonly name: string },
  { model, pictures }: Subject,
  flags: { readonly json: boolean; readonly validSplit?: number; readonly invert: boolean },
): Promise<Dataset> {
  const { onPicture, stop } = showPictures(flags.json);
  const validSplit = flags.validSplit ?? pictures?.validSplit;
  const invert = flags.invert || pictures?.invert;
  try {
    return await loadDataset(name, {
      dataDir,
      pictures: picturesFor(model, { validSplit, invert }),
      onPicture,
    });
  } finally {
    stop();
  }
}

/** What a run's own name leads to must be what it was trained on, not another set of this name.
 *
 * @throws {TypeError} If it is not.
 */
function requireOwnDataset({ name, digest: found }: Dataset, { label, digest }: Subject): void {
  if (digest === undefined || digest === found) return;
  throw new TypeError(
    `Cannot evaluate ${label} on dataset ${
      quoteWhole(name)
    }: its content is not what the run was ` +
      `trained on (SHA-256 ${digest.slice(0, 16)}, found ${found.slice(0, 16)}); give that with ` +
      `--dataset DIR, or use this one with --dataset ${name}`,
  );
}

/** Whether anybody has named the classes: without names they are called by their numbers. */
function isNamed({ classNames }: Pick<Dataset, "classNames">): boolean {
  return classNames.some((className, label) => className !== String(label));
}

/** The labels of a dataset must be the model's; what is assumed of them is returned, to be said.
 *
 * @throws {TypeError} If they are not.
 */
function checkClasses(dataset: Dataset, { label, classNames, model }: Subject): string[] {
  const name = quoteWhole(dataset.name);
  const invalid = (reason: string) =>
    new TypeError(`Cannot evaluate ${label} on dataset ${name}: ${reason}`);
  const { length } = dataset.classNames;
  if (length !== model.classCount) {
    throw invalid(
      `the model has ${model.classCount} classes, the dataset ${length}; give one of its classes ` +
        `with --dataset`,
    );
  }
  const wrong = classNames.findIndex((className, k) => className !== dataset.classNames[k]);
  if (wrong < 0) return [];
  const [expected, found] = [classNames[wrong], dataset.classNames[wrong]].map(quote);
  if (!isNamed({ classNames })) return [`its classes are taken to be those of ${name}, in order`];
  const isReordered = isNamed(dataset) &&
    dataset.classNames.every((one) => classNames.includes(one));
  if (dataset.pictures || isReordered) {
    throw invalid(`expected the class ${expected} as number ${wrong}, found ${found}`);
  }
  return [`its names of classes are shown: number ${wrong} is ${expected}, in ${name} ${found}`];
}

/** Pictures should be split as they were for training. */
function checkPictures(dataset: Dataset, { label, datasetName, digest }: Subject): void {
  const isSame = dataset.name === datasetName ||
    basename(resolve(dataset.name)) === basename(datasetName);
  if (isSame && digest !== undefined && dataset.digest !== digest) {
    console.error(
      `note: dataset ${
        quoteWhole(dataset.name)
      } is not what it was when ${label} was trained: its test set may hold ` +
        `pictures that the model was trained on`,
    );
  }
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
    `${printable(facts.weights)} (${facts.model}) on ${formatCount(facts.count)} test images of ` +
      `${printable(facts.dataset)}, ${facts.backend}\n`,
  );
  console.log(
    `accuracy ${accuracy.toFixed(4)}  loss ${facts.loss.toFixed(4)}  ` +
      `${formatCount(facts.imagesPerSecond)} images/s\n`,
  );
  console.log(formatTable(
    ["class", "precision", "recall", "images"],
    perClass.map((row) => [
      printable(row.className),
      percent(row.precision),
      percent(row.recall),
      formatCount(row.support),
    ]),
    "lrrr",
  ));
  console.log("\nConfusion: images of the row's class, predicted as the column's\n");
  console.log(formatTable(
    ["", ...perClass.map((_, k) => String(k))],
    confusion.map((row, k) => [`${k} ${printable(perClass[k].className)}`, ...row.map(String)]),
    "l" + "r".repeat(perClass.length),
  ));
}
