// deno-lint-ignore-file no-console
/** The eval command: how well saved parameters do on a test set, class by class. */

import type { LabeledImages } from "../data/dataset.ts";
import { formatCount, invocation, printable } from "../quote.ts";
import { answersFrom } from "../report/run_report_results.ts";
import { formatTable } from "../report/table.ts";
import {
  type ClassificationReport,
  classificationReport,
  majorityRemark,
} from "../train/metrics.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { EXIT } from "./errors.ts";
import { type EvaluatedPart, loadForEvaluation } from "./eval_dataset.ts";
import { defineCommand, JSON_FLAG, parseFlags } from "./flags.ts";
import { PICTURE_FLAGS, sayNotes } from "./picture_flags.ts";
import { loadModel, MODEL_FLAGS, openTrained } from "./loaded_model.ts";

export const command = defineCommand({
  usage: invocation("eval"),
  summary: "Evaluate saved parameters on a test set: loss, accuracy, precision, recall, confusion.",
  examples: [
    ["", "the newest run below runs/"],
    ["--run runs/first", "a run"],
    ["--weights runs/first/best.safetensors", "a file of parameters"],
  ],
  flags: {
    ...MODEL_FLAGS,
    ...DEVICE_FLAGS,
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "the run's, else fashion-mnist",
      help: "whose test set; of other pictures than the run's, all",
    },
    "test-split": {
      ...PICTURE_FLAGS["test-split"],
      exclusiveMax: undefined,
      max: 1,
      defaultText: "the run's for its own pictures, else all",
    },
    invert: { type: "boolean", help: "turn dark on light into light on dark, as the run did" },
    "skip-unreadable": PICTURE_FLAGS["skip-unreadable"],
    transpose: PICTURE_FLAGS.transpose,
    json: JSON_FLAG,
  },
});

const PARTS: Readonly<Record<EvaluatedPart, string>> = {
  "test set": "",
  "test share": " (kept back from training)",
  "share": " (a share of its pictures)",
  "all": " (all of its pictures)",
};

/** Most wrong pictures in the printed list. */
const MAX_MISTAKES = 10;

export async function run(args: string[]): Promise<number> {
  const { flags } = parseFlags(command, args);
  const loaded = await loadModel(flags);
  const { dataset, test, classNames, part, notes: assumed } = await loadForEvaluation(
    loaded,
    flags,
  );
  const notes = [...loaded.notes, ...assumed];
  sayNotes({ label: loaded.label, notes });
  const { backend, reason, session: opened } = await openTrained(loaded, flags);
  await using session = opened;
  await session.attach(test);
  const started = performance.now();
  const { loss, predictions } = await session.evaluate(test);
  const evalMs = performance.now() - started;
  const report = classificationReport(predictions, test.labels, classNames);
  // Only pictures have files to be looked at: others need no second pass for their mistakes.
  const mistakes = test.names && nameMistakes(await session.predict(test), test, classNames);
  const facts = {
    weights: loaded.label,
    model: loaded.model.name,
    dataset: dataset.name,
    part,
    count: test.count,
    backend,
    ...(reason !== undefined && { backendReason: reason }),
    device: session.device,
    loss,
    evalMs,
    imagesPerSecond: test.count / evalMs * 1000,
  };
  if (flags.json) {
    const said = [...notes, ...dataset.notes ?? []];
    const noted = said.length > 0 && { notes: said };
    console.log(JSON.stringify({ ...facts, ...report, mistakes, ...noted }));
  } else printReport(facts, report, mistakes);
  return EXIT.ok;
}

/** Pictures that were taken for another class, the most wrong first. */
function nameMistakes(
  logits: Float32Array,
  { labels, names }: LabeledImages,
  classNames: readonly string[],
) {
  return answersFrom(logits, labels, classNames.length).mistakes
    .map(({ index, label, guess, probability }) => ({
      file: names![index], // relative to the dataset's folder
      className: classNames[label],
      guess: classNames[guess],
      probability, // that the guess was given
    }));
}

function printReport(
  facts:
    & Readonly<Record<"weights" | "model" | "dataset" | "backend", string>>
    & Readonly<Record<"count" | "loss" | "imagesPerSecond", number>>
    & { readonly part: EvaluatedPart },
  report: ClassificationReport,
  mistakes: ReturnType<typeof nameMistakes> | undefined,
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
