/** What a report says about how to repeat the run. */

import type { Device } from "../backends/backend.ts";
import { showAugmentation } from "../data/augment.ts";
import { definitionOf } from "../nn/optimizers.ts";
import { NORMALIZED, showPixels } from "../nn/standardization.ts";
import { type Fact, type Html, htmlFacts, htmlSection } from "./html.ts";
import { partsText, type RunConfig } from "../run/config.ts";
import { initText, lossText, scheduleText } from "../run/recipe_text.ts";
import { countOf } from "./table.ts";

/** Configuration, device and versions.
 *
 * A configuration that was read from a file was checked only where training relies on it: what is
 * missing elsewhere must not spoil the end of a run.
 */
export function factsSection(config: RunConfig): Html {
  const { dataset, plan, optimizer, loss, clipNorm, augmentation, init, environment } = config;
  const by = plan.monitor === "loss" ? "chosen by the loss" : "chosen";
  const { validationCount, validSplit } = dataset;
  const share = validSplit === undefined
    ? "the dataset's own"
    : `${validSplit} of each class of the training set`;
  const resumed = config.resumed?.map(({ step, backend, device, started }): Fact => [
    "Gone on",
    `after step ${step} on ${backend}: ${deviceText(device)}, ${started}`,
  ]);
  const trainedOn = loss && `; in training with ${lossText(loss, dataset.classNames)}`;
  const facts: readonly Fact[] = [
    [
      "Dataset",
      `${dataset.name}: ${partsText(dataset)} images, ${dataset.classNames.length} classes`,
    ],
    [
      "Best epoch",
      `${by} on the ${validationCount === undefined ? "test set" : `validation set, ${share}`}`,
    ],
    ["Chosen to fit", config.chosen?.join(", ")],
    ["Content", `SHA-256 ${dataset.digest}`],
    [
      "Epochs",
      countOf(plan.epochs, "epoch") +
      (plan.maxSteps === undefined ? "" : `, at most ${countOf(plan.maxSteps, "step")}`) +
      (plan.targetAccuracy === undefined ? "" : `, until accuracy ${plan.targetAccuracy}`) +
      (plan.patience === undefined ? "" : `, patience of ${countOf(plan.patience, "epoch")}`),
    ],
    ["Pixels", showPixels(config.model?.standardization ?? NORMALIZED)],
    ["Batch size", String(plan.batchSize)],
    ["Learning rate", scheduleText(plan)],
    ["Loss", `softmax cross-entropy${trainedOn ?? ""}`],
    ["Gradients", clipNorm === undefined ? undefined : `clipped to a norm of ${clipNorm}`],
    ["Optimiser", optimizerText(optimizer)],
    ["Augmentation", augmentation && showAugmentation(augmentation)],
    ["Seed", `${plan.seed}${plan.shuffle ? "" : ", not shuffled"}`],
    ["Initial weights", (init.type === "file" ? "from " : "") + initText(init)],
    ["Frozen", config.frozen?.join(", ")],
    ["Backend", `${config.backend}: ${deviceText(config.device)}${config.exact ? ", exact" : ""}`],
    ...(resumed ?? []),
    [
      "Machine",
      `${environment?.cpu}, ${countOf(environment?.cores, "core")}, ` +
      `${environment?.os} ${environment?.arch}`,
    ],
    ["Versions", `lenet ${environment?.lenet}, Deno ${environment?.deno}, V8 ${environment?.v8}`],
  ];
  return htmlSection("Configuration", htmlFacts(facts));
}

/** `SGD, momentum 0.9`. */
function optimizerText({ type, ...fields }: RunConfig["optimizer"]): string {
  const values = Object.entries(fields).map(([name, value]) => `${name} ${value}`);
  return [definitionOf(type).title, ...values].join(", ");
}

function deviceText(device: Device | undefined): string {
  if (device === undefined) return "unknown";
  const { kind, description, threads, software } = device;
  if (kind === "cpu") return `${description}, ${countOf(threads, "thread")}`;
  return software ? `${description} (software)` : description;
}
