// deno-lint-ignore-file no-console
/** What the train command says while it runs: lines for people, or JSON for programs. */

import { countOf, formatCount, invocation, printable, shellWord } from "../quote.ts";
import type { Dataset } from "../data/dataset.ts";
import { findDataset } from "../data/registry.ts";
import type { OpenedSession } from "./backend_flags.ts";
import { liveChart, type Screen } from "../report/live_chart.ts";
import { type ProgressBar, startProgress } from "../report/progress.ts";
import { partsText, type RunConfig } from "../run/config.ts";
import { showAugmentation } from "../data/augment.ts";
import type { Model } from "../nn/sequential.ts";
import { isNormalized } from "../nn/standardization.ts";
import { frozenText, initText, lossText, optimizerText, scheduleText } from "../run/recipe_text.ts";
import type { RunFolder } from "../run/folder.ts";
import { compareWithMajority, type MajorityComparison, majorityRemark } from "../train/metrics.ts";
import type { Monitor } from "../train/plan.ts";
import {
  bestEpoch,
  type Checkpoint,
  decidingAccuracy,
  type EpochMetrics,
  scoreOf,
} from "../train/progress.ts";
import type { Outcome } from "../train/trainer.ts";
import { said, unlessClosed, widthOf, wrapLine } from "./wrap.ts";

/** One that has been closed shows nothing: the run that it was to show can still be saved. */
const TERMINAL: Screen = {
  size: () => unlessClosed(() => Deno.consoleSize()) ?? { columns: 0, rows: 0 },
  write: (text) => unlessClosed(() => Deno.stdout.writeSync(new TextEncoder().encode(text))),
  color: !Deno.noColor,
};

/** Listens to a run and shows it. */
export type TrainDisplay = ReturnType<typeof trainDisplay>;

/** Shows a run as flags `--quiet`, `--json` and `--live` ask. */
export function trainDisplay(
  { quiet, json, live }: Readonly<Record<"quiet" | "json" | "live", boolean>>,
) {
  const isLive = live && !quiet && !json && Deno.stdout.isTerminal();
  const chart = isLive ? liveChart(TERMINAL) : undefined;
  const say = (line: string, indent = 2) => {
    if (quiet || json) return;
    // A command to copy is indented, and stays whole.
    const text = line.startsWith(" ") ? line : wrapLine(line, widthOf(Deno.stdout), indent);
    if (chart) chart.print(text);
    else console.log(text);
  };
  const emit = (event: Record<string, unknown>) => {
    if (json) console.log(JSON.stringify(event));
  };
  let run: RunConfig | undefined;
  let epochs = 0;
  let first: { step: number; atMs: number } | undefined;
  let bar: { epoch: number; progress: ProgressBar } | undefined;
  const stop = () => {
    bar?.progress.stop();
    bar = undefined;
  };
  const remark = (line: string) => {
    stop();
    if (quiet) return;
    const text = Deno.stderr.isTerminal() ? wrapLine(line, widthOf(Deno.stderr), 2) : line;
    if (chart) chart.print(text);
    else console.error(text);
  };
  const add = (metrics: EpochMetrics) => {
    chart?.add(metrics);
    epochs++;
  };
  return {
    /** Comes before all else but remarks; `notes` say what was assumed, `history` what was trained before. */
    start(
      config: RunConfig,
      model: Model,
      opened: OpenedSession,
      { out, notes = [], history = [] }: {
        readonly out?: string;
        readonly notes?: readonly string[];
        readonly history?: readonly EpochMetrics[];
      },
    ): void {
      run = config;
      history.forEach(add);
      for (const note of notes) remark(printable(`note: ${note}`));
      for (const line of startLines(config, model, opened, out)) say(line, 9);
      const measured = config.loss && { measured: "plain cross-entropy, but for trainLoss" };
      const noted = notes.length > 0 && { notes };
      emit({ type: "start", out: out ?? null, ...config, ...measured, ...noted });
    },
    /** Steps done in an epoch. */
    progress({ epoch, steps }: { readonly epoch: number; readonly steps: number }): void {
      const { plan: { epochs, batchSize, maxSteps = Infinity }, dataset: { trainCount } } = run!;
      const [total, now] = [trainCount, performance.now()];
      const stepsPerEpoch = Math.ceil(total / batchSize);
      const step = (epoch - 1) * stepsPerEpoch + steps;
      first ??= { step, atMs: now };
      const seconds = (now - first.atMs) / 1000 / (step - first.step); // of a step, with evaluation
      const left = (Math.min(epochs * stepsPerEpoch, maxSteps) - step) * seconds;
      if (bar?.epoch !== epoch) {
        stop();
        const label = `epoch ${epoch}/${epochs}`;
        const progress = startProgress(label, { unit: "images", total, quiet: quiet || json });
        bar = { epoch, progress };
      }
      const leftInAll = Number.isFinite(left) ? left : undefined;
      bar.progress.update(Math.min(steps * batchSize, total), { leftInAll });
    },
    /** Losses of steps. */
    steps: (losses: Iterable<number>) => chart?.addSteps(losses),
    /** Whether steps are drawn, and so wanted often. */
    get drawsSteps(): boolean {
      return chart !== undefined && epochs < 2;
    },
    epoch(metrics: EpochMetrics): void {
      stop();
      add(metrics);
      say(epochLine(metrics, run!.plan));
      emit({ type: "epoch", ...metrics });
    },
    end(outcome: string, lines: readonly string[], facts: Record<string, unknown>): void {
      stop();
      for (const line of lines) say(line);
      emit({ type: "end", outcome, ...facts });
    },
    /** A remark for people. */
    note: remark,
    /** Removes a progress bar that is still there. */
    stop,
  };
}

/** `epoch  3/20  loss 0.612  acc 0.765  test acc 0.771  5.1 s  11,800 img/s`: loss and accuracy are of
 * training.
 *
 * With a validation set, `valid acc` stands in the place of `test acc`, which then decides nothing; where
 * the loss decides, `valid loss` or `test loss`.
 */
export function epochLine(
  metrics: EpochMetrics,
  { epochs, monitor }: { readonly epochs: number; readonly monitor?: Monitor },
): string {
  const { epoch, trainLoss, trainAccuracy, trainMs, imagesPerSecond } = metrics;
  const deciding = metrics.validationAccuracy === undefined ? "test" : "valid";
  return [
    `epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}`,
    `loss ${trainLoss.toFixed(3)}`,
    `acc ${trainAccuracy.toFixed(3)}`,
    monitor === "loss"
      ? `${deciding} loss ${(-scoreOf(metrics, monitor)).toFixed(3)}`
      : `${deciding} acc ${decidingAccuracy(metrics).toFixed(3)}`,
    `${(trainMs / 1000).toFixed(1)} s`,
    `${formatCount(imagesPerSecond)} img/s`,
  ].join("  ");
}

/** What a run has come to: facts of its `end` event. */
type Standing = ReturnType<typeof standingOf>;

/** Judges the epochs of a run.
 *
 * @returns The epoch that `best.safetensors` holds, with the loss where that chose it, and the accuracies of the
 * last epoch, or of the best where the run went back to it; nothing where none was finished.
 */
export function standingOf(
  history: readonly EpochMetrics[],
  { train, test, classNames }: Dataset,
  { monitor, restored = false }: { readonly monitor?: Monitor; readonly restored?: boolean } = {},
) {
  const best = bestEpoch(history, monitor);
  if (best === undefined) return { best };
  const { metrics, accuracy, chosenOn } = best;
  const { epoch, testAccuracy } = metrics;
  const loss = monitor === "loss" ? -scoreOf(metrics, monitor) : undefined;
  const last = restored ? metrics : history[history.length - 1];
  return {
    best: { epoch, accuracy, chosenOn, testAccuracy, loss },
    test: compareWithMajority(last.testAccuracy, test.labels, classNames),
    train: compareWithMajority(last.trainAccuracy, train.labels, classNames),
  };
}

/** What is said at the end of a run: where it got to, and what to do next. */
export function endLines(
  outcome: Outcome,
  { path, history, config }: RunFolder,
  { step, backend, standing: { best, test, train }, lost, restored, sinceBest = 0 }:
    & Checkpoint["progress"]
    & {
      readonly backend: string;
      /** Whether the model is that of the best epoch. */
      readonly restored?: boolean;
      readonly standing: Standing;
      /** Folder of the dataset, where it must be named to go on. */
      readonly lost?: string;
    },
): string[] {
  const saved =
    `Saved ${path}: report.html, model.safetensors, best.safetensors, model/, metrics.jsonl, ` +
    `curves.svg`;
  switch (outcome) {
    case "interrupted":
      return [
        `Stopped after step ${step}; everything is saved. Go on with:`,
        `  ${invocation("train")} --resume ${shellWord(path)}` +
        (lost === undefined ? "" : ` --dataset ${shellWord(lost)}`),
      ];
    case "target reached":
      return said([
        `Reached the target: ${best?.chosenOn} accuracy ` +
        decidingAccuracy(history.at(-1)!).toFixed(3),
        best && bestLine(best),
        saved,
      ]);
    default: {
      const seconds = history.reduce((sum, epoch) => sum + epoch.trainMs + epoch.evalMs, 0) / 1000;
      const cost = `after ${countOf(step, "step")}, ${seconds.toFixed(1)} s with evaluation on ` +
        backend;
      const accuracy = `test accuracy ${(test?.accuracy ?? 0).toFixed(3)}`;
      const remark = test && majorityRemark(test);
      return said([
        outcome === "no improvement" &&
        `Ended early: ${countOf(sinceBest, "epoch")} were no better on the ${best?.chosenOn} set`,
        ...(remark
          ? [`Done, but ${accuracy} is ${remark}`, cost, `Try ${advice(config, train)}`]
          : [`Done: ${accuracy} ${cost}`]),
        best && bestLine(best) + (restored ? "; the model is that epoch's" : ""),
        saved,
      ]);
    }
  }
}

function bestLine(
  { epoch, accuracy, chosenOn, testAccuracy, loss }: NonNullable<Standing["best"]>,
) {
  const lossText = loss === undefined ? "" : ` loss ${loss.toFixed(3)}`;
  return `Best: epoch ${epoch}, ` +
    (chosenOn === "test"
      ? `${lossText && `test${lossText}, `}test accuracy ${accuracy.toFixed(3)}, chosen on the ` +
        `test set (see --valid-split)`
      : `chosen on validation${lossText || ` accuracy ${accuracy.toFixed(3)}`}; test accuracy ` +
        testAccuracy.toFixed(3));
}

/** What may help a run that is no better than its largest class. */
function advice({ chosen, dataset, plan }: RunConfig, train: MajorityComparison | undefined) {
  const hasLearnt = train?.isBetterThanMajority === true && train.accuracy > 0.8;
  if (hasLearnt) {
    return `more images${dataset.pictures ? ", or larger ones: --image-size 64" : ""}; ` +
      `accuracy in training is ${train.accuracy.toFixed(3)}`;
  }
  const isOwn = findDataset(dataset.name) === undefined;
  return [
    ...(isOwn && chosen === undefined ? ["without --model, so that the recipe fits"] : []),
    `--epochs ${3 * plan.epochs}`,
    `--lr ${Number((plan.learningRate / 5).toPrecision(2))}`,
    "and look at the images in report.html",
  ].join(", ");
}

function startLines(
  { dataset, plan, optimizer, loss, clipNorm, augmentation, init, chosen }: RunConfig,
  model: Model,
  { backend, reason, session: { device } }: OpenedSession,
  out: string | undefined,
): string[] {
  const threads = device.kind === "cpu"
    ? `, ${countOf(device.threads, "thread")}`
    : device.software
    ? " (software)"
    : "";
  const recipe = [
    countOf(plan.epochs, "epoch"),
    plan.maxSteps !== undefined && `at most ${countOf(plan.maxSteps, "step")}`,
    `batch ${plan.batchSize}`,
    optimizerText(optimizer),
    scheduleText(plan),
    clipNorm !== undefined && `gradients clipped to ${clipNorm}`,
    plan.patience !== undefined &&
    `patience of ${countOf(plan.patience, "epoch")} by ${plan.monitor ?? "accuracy"} on the ` +
      `${dataset.validationCount === undefined ? "test" : "validation"} set`,
    `seed ${plan.seed}`,
    !isNormalized(model.standardization) && "standardized pixels",
    augmentation && `augmented by ${showAugmentation(augmentation)}`,
    !plan.shuffle && "not shuffled",
  ];
  const classes = `${dataset.classNames.length} classes`;
  return said([
    `Model    ${model.name}, ${formatCount(model.parameterCount)} parameters` +
    (init.type === "file" ? ` from ${initText(init)}` : ""),
    model.frozen.length > 0 && printable(`Frozen   ${frozenText(model)}`),
    `Data     ${dataset.name}, ${partsText(dataset)} images, ${classes}`,
    `Backend  ${backend}: ${device.description}${threads}${reason ? `; ${reason}` : ""}`,
    `Recipe   ${said(recipe).join(", ")}`,
    loss && `Loss     ${lossText(loss, dataset.classNames)} in training; measured plain elsewhere`,
    chosen &&
    `Chosen   for ${formatCount(dataset.trainCount)} images of ${classes}: ${chosen.join(", ")}`,
    out !== undefined && `Run      ${out}`,
  ]);
}
