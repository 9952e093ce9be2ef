/** A recipe in words, as the start of a run and its report have it. */

import type { LossOptions } from "../nn/loss.ts";
import type { Model } from "../nn/sequential.ts";
import { completeOptimizer, type OptimizerSpec } from "../nn/optimizers.ts";
import { countOf, formatCount } from "../quote.ts";
import type { TrainPlan } from "../train/plan.ts";
import type { RunConfig } from "./config.ts";

/** Weights of classes that are named one by one. */
const MOST_NAMED = 10;

/** `sgd with momentum 0.9, weight decay 0.01, nesterov`: a type, and the fields that are not as usual. */
export function optimizerText(optimizer: OptimizerSpec): string {
  const { type, ...fields } = optimizer;
  const usual: object = completeOptimizer({ type });
  const changed = Object.entries(fields)
    .filter(([name, value]) => value !== usual[name as keyof typeof usual])
    .map(([name, value]) =>
      [
        name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
        ...(value === true ? [] : [value]),
      ].join(" ")
    );
  return [type, ...changed.length > 0 ? [`with ${changed.join(", ")}`] : []].join(" ");
}

/** `cosine learning rate 0.01 after a rise over 0.25 of all steps`. */
export function scheduleText(plan: TrainPlan): string {
  const { schedule, learningRate, warmup, stepSize, gamma = 0.1, anneal = "cosine" } = plan;
  const name = `${schedule} learning rate ${learningRate}`;
  const length = warmup === undefined || warmup >= 1
    ? countOf(warmup ?? 0, "epoch")
    : `${warmup} of all steps`;
  return [
    name,
    ...(schedule === "step" ? [`times ${gamma} every ${countOf(stepSize ?? 1, "epoch")}`] : []),
    ...(schedule === "one-cycle" && anneal === "linear" ? ["in lines"] : []),
    ...(warmup ? [`${schedule === "one-cycle" ? "with" : "after"} a rise over ${length}`] : []),
  ].join(" ");
}

/** `label smoothing 0.1, class weights cat 0.5, dog 2`; undefined where the loss is plain. */
export function lossText(
  loss: LossOptions | undefined,
  classNames: readonly string[],
): string | undefined {
  if (loss === undefined) return undefined;
  const { labelSmoothing, classWeights } = loss;
  const number = (weight: number) => Number(weight.toPrecision(4));
  const weights = classWeights === undefined
    ? []
    : classWeights.every((weight) => weight === classWeights[0])
    ? [`class weights all ${number(classWeights[0])}`]
    : classWeights.length > MOST_NAMED
    ? [`class weights ${number(Math.min(...classWeights))} to ${number(Math.max(...classWeights))}`]
    : [`class weights ${classWeights.map((w, k) => `${classNames[k]} ${number(w)}`).join(", ")}`];
  return [...(labelSmoothing ? [`label smoothing ${labelSmoothing}`] : []), ...weights].join(", ");
}

/** `conv1, conv2: 2,572 of 61,706 parameters stay as they are`. */
export function frozenText({ frozen, parameters, parameterCount }: Model): string {
  const still = parameters.reduce((sum, { trained, size }) => sum + (trained ? 0 : size), 0);
  return `${frozen.join(", ")}: ${formatCount(still)} of ${
    formatCount(parameterCount)
  } parameters ` +
    `stay as they are`;
}

/** `lenet.safetensors, but fc3 drawn anew`, or how all was drawn. */
export function initText(init: RunConfig["init"]): string {
  if (init.type === "normal") return `normal, standard deviation ${init.standardDeviation}`;
  if (init.type !== "file") return init.type;
  return init.path + (init.replaced ? `, but ${init.replaced.join(", ")} drawn anew` : "");
}
