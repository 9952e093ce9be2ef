/** An experiment as a command line. */

import { ZOO } from "../../nn/zoo.ts";
import { ownOptimizer } from "../experiment.ts";
import type { Written } from "./typescript.ts";

/** Writes the command; layers of one's own begin with the file of their first weights. */
export function commandOf({ experiment, threads, rates, inputShape }: Written): string {
  const { data, model, engine, optimizer, batchSize, epochs, schedule, seed, standardize } =
    experiment;
  const { learningRate, warmup, labelSmoothing } = experiment;
  const isOwnData = data === "own";
  const recipe = model === "own" ? undefined : ZOO[model].recipe;
  const pixels = standardize
    ? ["--standardize"]
    : isOwnData || recipe?.standardize
    ? ["--normalize"]
    : [];
  const words = [
    "deno task train",
    isOwnData
      ? `--dataset photos/ --image-size ${inputShape[1]} --channels ${inputShape[0]}`
      : `--dataset ${data}`,
    model === "own" ? "--init start.safetensors" : `--model ${model}`,
    `--backend ${engine}${engine === "wasm" ? ` --threads ${threads}` : ""}`,
    // A recipe's own optimiser has numbers of its own.
    ...(ownOptimizer(experiment) ? [] : [`--optimizer ${optimizer}`]),
    `--lr ${learningRate} --batch-size ${batchSize} --epochs ${epochs} --seed ${seed}`,
    `--schedule ${schedule}${warmup > 0 ? ` --warmup ${warmup}` : ""}`,
    ...(labelSmoothing > 0 || recipe?.labelSmoothing
      ? [`--label-smoothing ${labelSmoothing}`]
      : []),
    // A file says by itself what becomes of pixels.
    ...(model === "own" ? [] : pixels),
  ];
  const note = rates.length > 1
    ? "# The learning rate was changed while it trained: this trains with the last one.\n"
    : "";
  return `${note}${words.join(" \\\n  ")}\n`;
}
