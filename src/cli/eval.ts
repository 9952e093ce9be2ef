// deno-lint-ignore-file no-console
/** The eval command: how well saved parameters do on a test set, class by class. */

import { basename, resolve } from "node:path";
import type { Dataset, LabeledImages } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import { DEFAULT_TEST_SPLIT } from "../data/image_folder.ts";
import { loadDataset } from "../data/load.ts";
import { joinImages } from "../data/split.ts";
import { invocation } from "../invocation.ts";
import { printable } from "../printable.ts";
import { quote, quoteWhole } from "../quote.ts";
import { formatCount, formatTable } from "../report/table.ts";
import { answersFrom } from "../report/run_report_results.ts";
import {
  type ClassificationReport,
  classificationReport,
  majorityRemark,
} from "../train/metrics.ts";
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
      help: "whose test set; of other pictures than the run's, all",
    },
    "test-split": {
      ...PICTURE_FLAGS["test-split"],
      defaultText: "the run's for its own pictures, else all",
    },
    invert: { type: "boolean", help: "turn dark on light into light on dark, as the run did" },
    json: { type: "boolean", help: "print one JSON object on standard output" },
  },
});

const PARTS: Readonly<Record<EvaluatedPart, string>> = {
  "test set": "",
  "test share": " (kept back from training)",
  "all": " (all of its pictures)",
};

/** Most wrong pictures in the printed list. */
const MAX_MISTAKES = 10;

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
  const { dataset: whole, part } = await loadForEvaluation(place, subject, flags);
  if (isOwn && !whole.pictures) requireOwnDataset(whole, subject);
  const { classNames } = subject.hasNames ? subject : whole;
  const test = inModelClasses(whole, subject);
  const dataset = whole.name;
  const notes = [...subject.notes, ...classNotes(whole, subject)];
  sayNotes({ label: subject.label, notes });
  const { backend, session: opened } = await openTrained(subject, flags);
  await using session = opened;
  await session.attach(test);
  const started = performance.now();
  const { loss, predictions } = await session.evaluate(test);
  const evalMs = performance.now() - started;
  const report = classificationReport(predictions, test.labels, classNames);
  // Only pictures have files to be looked at: others need no second pass for their mistakes.
  const mistakes = test.names && nameMistakes(await session.predict(test), test, classNames);
  const facts = {
    weights: subject.label,
    model: model.name,
    dataset,
    part,
    count: test.count,
    backend,
    device: session.device,
    loss,
    evalMs,
    imagesPerSecond: test.count / evalMs * 1000,
  };
  const noted = { ...facts, ...report, mistakes, ...(notes.length > 0 && { notes }) };
  if (flags.json) console.log(JSON.stringify(noted));
  else printReport(facts, report, mistakes);
  return EXIT.ok;
}

/** Which images of a dataset are evaluated, as printed and in JSON. */
type EvaluatedPart = "test set" | "test share" | "all";

/** Loads what is to be evaluated: the test set, or of pictures that have none what fits the case.
 *
 * Of the pictures that the model was trained on, only the share that training kept back says
 * anything; of others, all do.
 */
async function loadForEvaluation(
  { name, dataDir }: Partial<FoundDataset> & { readonly name: string },
  subject: Subject,
  flags: { readonly json: boolean; readonly testSplit?: number; readonly invert: boolean },
): Promise<{ readonly dataset: Dataset; readonly part: EvaluatedPart }> {
  const { model, pictures, digest, label } = subject;
  const { onPicture, stop } = showPictures(flags.json);
  const invert = flags.invert || pictures?.invert;
  const load = async (testSplit: number | undefined) => {
    try {
      const options = picturesFor(model, { testSplit, invert });
      return await loadDataset(name, { dataDir, pictures: options, onPicture });
    } finally {
      stop();
    }
  };
  const split = flags.testSplit ?? pictures?.testSplit;
  const dataset = await load(split).catch((error) => {
    // One picture a class is enough to evaluate, though not to split.
    if (!(error instanceof DatasetError) || flags.testSplit !== undefined) throw error;
    return load(1);
  });
  const { pictures: facts, train, validation, test } = dataset;
  if (facts?.testSplit === undefined) return { dataset, part: "test set" };
  const quoted = quoteWhole(dataset.name);
  const isSame = isSameFolder(dataset, subject);
  const isTrainedOn = digest === dataset.digest;
  if (isSame && !isTrainedOn && digest !== undefined) {
    console.error(
      `note: dataset ${quoted} is not what it was when ${label} was trained: its test set may ` +
        `hold pictures that the model was trained on`,
    );
  }
  const isShare = isSame || isTrainedOn || flags.testSplit !== undefined;
  if (isShare && test.count > 0 && train.count > 0) return { dataset, part: "test share" };
  if (digest === undefined) {
    console.error(
      `note: nobody knows what ${label} was trained on: if it was on pictures of ${quoted}, take ` +
        `those that training kept back with --test-split ${DEFAULT_TEST_SPLIT}`,
    );
  }
  const parts = [train, test, ...(validation ? [validation] : [])];
  return { dataset: { ...dataset, test: joinImages(parts) }, part: "all" };
}

/** Whether a folder is the run's, by its name: of a folder elsewhere, a run records the last name. */
function isSameFolder({ name }: Dataset, { datasetName }: Subject): boolean {
  return name === datasetName || basename(resolve(name)) === basename(datasetName);
}

/** The test images, labelled by the model's classes.
 *
 * Named classes are found by name, so that a folder may lack some of them.
 *
 * @throws {TypeError} If the dataset has a class that the model has not, or another number of them.
 */
function inModelClasses(
  { test, classNames, name, pictures }: Dataset,
  { label, model, classNames: known, hasNames }: Subject,
): LabeledImages {
  const start = `Cannot evaluate ${label} on dataset ${quoteWhole(name)}`;
  if (!pictures || !hasNames) {
    if (classNames.length === model.classCount) return test;
    throw new TypeError(
      `${start}: the model has ${model.classCount} classes, the dataset ${classNames.length}`,
    );
  }
  const indices = classNames.map((className) => known.indexOf(className));
  const unknown = indices.indexOf(-1);
  if (unknown >= 0) {
    throw new TypeError(
      `${start}: it has the class ${quote(classNames[unknown])}, which the model does not know: ` +
        `expected some of ${known.slice(0, 10).map((each) => quote(each)).join(", ")}` +
        (known.length > 10 ? ", ..." : ""),
    );
  }
  return { ...test, labels: test.labels.map((index) => indices[index]) };
}

/** What was taken for another class, the most wrong first. */
function nameMistakes(
  logits: Float32Array,
  { labels, names }: LabeledImages,
  classNames: readonly string[],
): NamedMistake[] {
  return answersFrom(logits, labels, classNames.length).mistakes
    .map(({ index, label, guess, probability }) => ({
      file: names![index],
      className: classNames[label],
      guess: classNames[guess],
      probability,
    }));
}

/** A picture that was taken for another class. */
interface NamedMistake {
  /** Relative to the dataset's folder. */
  readonly file: string;
  readonly className: string;
  readonly guess: string;
  /** Probability that the guess was given. */
  readonly probability: number;
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

/** What is assumed of classes that are called otherwise, or by nobody.
 *
 * @throws {TypeError} If they have the model's names, in another order.
 */
function classNotes(
  { name, classNames: found, pictures }: Dataset,
  { label, classNames: known, hasNames }: Subject,
): string[] {
  const place = quoteWhole(name);
  const wrong = known.findIndex((className, k) => className !== found[k]);
  if (wrong < 0) return [];
  if (!hasNames) return [`its classes are taken to be those of ${place}, in order`];
  if (pictures) return []; // found by name
  const differing = `number ${wrong} is ${quote(known[wrong])}, in ${place} ${quote(found[wrong])}`;
  if (found.every((className) => known.includes(className))) {
    throw new TypeError(
      `Cannot evaluate ${label} on dataset ${place}: its classes are in another order, ${differing}; ` +
        `put the labels of one of them in order`,
    );
  }
  return [`its names of classes are shown: ${differing}`];
}

function printReport(
  facts: {
    readonly weights: string;
    readonly model: string;
    readonly dataset: string;
    readonly part: EvaluatedPart;
    readonly count: number;
    readonly backend: string;
    readonly loss: number;
    readonly imagesPerSecond: number;
  },
  report: ClassificationReport,
  mistakes: readonly NamedMistake[] | undefined,
): void {
  const { accuracy, majority, confusion, perClass } = report;
  const percent = (share: number) => share.toFixed(3);
  console.log(
    `${printable(facts.weights)} (${facts.model}) on ${formatCount(facts.count)} test images of ` +
      `${printable(facts.dataset)}${PARTS[facts.part]}, ${facts.backend}\n`,
  );
  console.log(
    `accuracy ${accuracy.toFixed(4)}  loss ${facts.loss.toFixed(4)}  ` +
      `largest class ${majority.share.toFixed(4)}  ` +
      `${formatCount(facts.imagesPerSecond)} images/s\n`,
  );
  const remark = majorityRemark(report);
  if (remark) console.log(`That is ${printable(remark)}\n`);
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
  if (!mistakes?.length) return;
  console.log(`\nThe most wrong of ${formatCount(mistakes.length)} (all with --json)\n`);
  console.log(formatTable(
    ["file", "taken for", "sure"],
    mistakes.slice(0, MAX_MISTAKES).map(({ file, guess, probability }) => [
      printable(file),
      printable(guess),
      `${(100 * probability).toFixed(1)}%`,
    ]),
    "llr",
  ));
}
