/** The report of a run: one HTML page that needs nothing but itself. */

import type { LabeledImages } from "../data/dataset.ts";
import { invocation, percentText, printable } from "../quote.ts";
import type { Model } from "../nn/sequential.ts";
import {
  type ClassificationReport,
  classificationReport,
  majorityRemark,
} from "../train/metrics.ts";
import { bestEpoch, type EpochMetrics } from "../train/progress.ts";
import { curveSvg } from "./curves.ts";
import { type Fact, Html, html, htmlNote, htmlPage, htmlSection, htmlTiles } from "./html.ts";
import { isElsewhere, type RunConfig } from "../run/config.ts";
import { lossText } from "../run/recipe_text.ts";
import { factsSection } from "./run_report_facts.ts";
import { featureMaps } from "./run_report_features.ts";
import { featureSection, filterSection, summarySection } from "./run_report_model.ts";
import {
  answersFrom,
  classSection,
  confusionSection,
  mistakeSection,
  nameOfImage,
} from "./run_report_results.ts";
import { countOf, formatCount } from "./table.ts";

/** How a run came to its end. */
export interface Ending {
  readonly outcome:
    | "finished"
    | "target reached"
    | "no improvement"
    | "max steps reached"
    | "interrupted"
    | "diverged";
  /** Steps since the start of the run; undefined where nobody counted. */
  readonly step?: number;
  /** Whether the model is that of the best epoch. */
  readonly restored?: boolean;
  /** What went wrong, where something did. */
  readonly message?: string;
}

/** What is reported. */
export interface RunReportInput {
  /** Name of the run's folder. */
  readonly name: string;
  readonly config: RunConfig;
  readonly model: Model;
  readonly history: readonly EpochMetrics[];
  readonly ending: Ending;
  /** Images that the answers belong to: the test set, or the first ones of it. */
  readonly test: LabeledImages;
  /** The trained model; left out where none is worth showing. */
  readonly trained?: {
    readonly parameters: Float32Array;
    readonly statistics?: Float32Array;
    /** Logits [test.count, classCount] of the test images. */
    readonly logits: Float32Array;
  };
}

/** Writes the report of a run as an HTML page. */
export async function runReport(input: RunReportInput): Promise<string> {
  const { config: { model, dataset } } = input;
  const title = `${model.name} on ${dataset.name}`;
  const answers = input.trained && answersFrom(
    input.trained.logits,
    input.test.labels,
    input.model.classCount,
  );
  const report = answers &&
    classificationReport(answers.predictions, input.test.labels, dataset.classNames);
  return htmlPage(
    `${title}: ${input.name}`,
    html`<header><p class="soft">Run ${input.name}, ${input.config.started}</p><h1>${title}</h1>
${notices(input, report)}</header>
<main>${tiles(input, report)}
${await curves(input)}
${report && confusionSection(report)}
${report && classSection(report)}
${answers && mistakeSection(answers, input.test, dataset.classNames)}
${input.trained && filterSection(input.model, input.trained.parameters)}
${features(input)}
${summarySection(input.model)}
${factsSection(input.config)}</main>`,
  );
}

/** What a reader must know before believing the rest. */
function notices(
  { ending, history, trained, test, config: { plan, dataset } }: RunReportInput,
  report: ClassificationReport | undefined,
): Html[] {
  const { outcome, step = 0, message, restored } = ending;
  const best = bestEpoch(history, plan.monitor);
  const stepsInAll = plan.epochs * Math.ceil(dataset.trainCount / plan.batchSize);
  const reached = `after step ${formatCount(step)} of ${formatCount(stepsInAll)}`;
  const saved = trained === undefined
    ? "No epoch was finished before, so that there is no model to show."
    : `What follows shows the model as it was after epoch ${history.length}.`;
  const lines: Readonly<Record<Ending["outcome"], string | undefined>> = {
    "finished": undefined,
    "target reached": `The run ended early: it reached its target, a ` +
      `${best?.chosenOn ?? "test"} accuracy of ${plan.targetAccuracy}.`,
    "no improvement": `The run ended early: ${countOf(plan.patience ?? 0, "epoch")} were no ` +
      `better on the ${best?.chosenOn} set than the best before them.`,
    "max steps reached": `The run ended ${reached}, as it was told to.`,
    "interrupted":
      `The run was interrupted ${reached}. What follows shows the model as it was then. ` +
      `Go on with: ${invocation("train")} --resume and the folder of this report` +
      (isElsewhere(dataset.name) ? ", --dataset and the folder of its data." : "."),
    "diverged": `${message ?? "The loss is not finite: training has diverged"}. ${saved}`,
  };
  const notice = lines[outcome];
  const back = restored
    ? `The model is that of epoch ${best?.metrics.epoch}, the best by ${
      plan.monitor ?? "accuracy"
    } ` +
      `on the ${best?.chosenOn} set; all that follows shows it.`
    : undefined;
  const short = history.length === 0
    ? "No epoch was finished: there are no curves."
    : history.length === 1
    ? "One epoch was finished: each curve is a single point."
    : undefined;
  const part = trained !== undefined && test.count < dataset.testCount
    ? `Confusion, classes and mistakes are those of the first ${formatCount(test.count)} of ` +
      `${formatCount(dataset.testCount)} test images: all would have taken too long.`
    : undefined;
  const remark = report && majorityRemark(report);
  const unlearned = remark && `Test accuracy is ${remark}.`;
  const notes = dataset.notes?.map((note) => `Dataset: ${printable(note)}.`) ?? [];
  return [notice, back, short, part, unlearned, ...notes].filter((line) => line !== undefined)
    .map((line) => html`<p class="notice" role="note">${line}</p>`);
}

function tiles(
  { history, test, config }: RunReportInput,
  report: ClassificationReport | undefined,
): Html {
  const { plan: { monitor } } = config;
  const best = bestEpoch(history, monitor);
  const totalMs = history.reduce((sum, { trainMs, evalMs }) => sum + trainMs + evalMs, 0);
  const rates = history.map(({ imagesPerSecond }) => imagesPerSecond).sort((a, b) => a - b);
  const subject = test.count < config.dataset.testCount
    ? `accuracy, first ${formatCount(test.count)} test images`
    : "test accuracy";
  const facts: Fact[] = report === undefined ? [] : [
    [subject, percentText(report.accuracy, 2)],
    [`largest class, ${report.majority.className}`, percentText(report.majority.share, 2)],
  ];
  if (best !== undefined) {
    const { chosenOn, accuracy, metrics: { epoch, testAccuracy } } = best;
    const name = monitor === "loss"
      ? `${chosenOn} accuracy after epoch ${epoch}: chosen by the loss on the ${chosenOn} set`
      : `best ${chosenOn} accuracy, after epoch ${epoch}: chosen on the ${chosenOn} set`;
    const isValidated = chosenOn === "validation";
    facts.push(
      [name, percentText(accuracy, 2)],
      [
        `test accuracy after epoch ${epoch}`,
        isValidated ? percentText(testAccuracy, 2) : undefined,
      ],
      ["training and evaluation", `${(totalMs / 1000).toFixed(1)} s`],
      ["training images/s, median", formatCount(rates[rates.length >> 1])],
    );
  }
  return htmlTiles(facts);
}

async function curves(
  { history, config: { loss, dataset } }: RunReportInput,
): Promise<Html | undefined> {
  if (history.length === 0) return undefined;
  const { trainLoss, testLoss, trainAccuracy, testAccuracy } = history.at(-1)!;
  const number = (value: number) => Number.isFinite(value) ? value.toFixed(3) : "not a number";
  const chart = async (field: "loss" | "accuracy", label: string) =>
    html`<div class="chart" role="img" aria-label="${label}">${new Html(
      await curveSvg(field, history),
    )}</div>`;
  const charts = [
    await chart("loss", `Loss over epochs; at the end ${number(testLoss)} on the test set`),
    await chart("accuracy", `Accuracy over epochs; at the end ${number(testAccuracy)}`),
  ];
  const trained = loss
    ? ` The train loss is the one that was trained on, with ${
      lossText(loss, dataset.classNames)
    }; ` +
      `all other losses are plain cross-entropy, and not to be compared with it.`
    : "";
  const text =
    `After ${countOf(history.length, "epoch")}: train loss ${number(trainLoss)}, test loss ` +
    `${number(testLoss)}, train accuracy ${number(trainAccuracy)}, test accuracy ` +
    `${number(testAccuracy)}. Training values are taken on the batches as they are trained, test ` +
    `values after the epoch.${trained}`;
  return htmlSection(
    "Learning curves",
    html`<div class="charts">${charts}</div>`,
    htmlNote(text),
  );
}

/** Feature maps of the first test image. */
function features({ trained, model, test, config }: RunReportInput): Html | undefined {
  if (trained === undefined || test.count === 0) return undefined;
  const images = test.images.subarray(0, test.images.length / test.count);
  const one: LabeledImages = { images, labels: new Uint8Array(1), count: 1, shape: test.shape };
  const maps = featureMaps(model, { ...trained, one });
  const title = `${nameOfImage(test, 0)}, ${config.dataset.classNames[test.labels[0]]}`;
  return featureSection(maps, { one, title });
}
