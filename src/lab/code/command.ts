/** An experiment as a command line. */

import type { Written } from "./typescript.ts";

/** Writes the command; layers of one's own begin with the file of their first weights. */
export function commandOf({ experiment, threads, rates, inputShape }: Written): string {
  const { data, model, engine, optimizer, batchSize, epochs, schedule, seed, standardize } =
    experiment;
  const isOwnData = data === "own";
  const words = [
    "deno task train",
    isOwnData ? `--dataset photos/ --image-size ${inputShape[1]}` : `--dataset ${data}`,
    model === "own" ? "--init start.safetensors" : `--model ${model}`,
    `--backend ${engine}${engine === "wasm" ? ` --threads ${threads}` : ""}`,
    `--optimizer ${optimizer} --lr ${experiment.learningRate} --batch-size ${batchSize}`,
    `--epochs ${epochs} --seed ${seed}`,
    ...(schedule === "constant" ? [] : [`--schedule ${schedule}`]),
    // A file says by itself what becomes of pixels.
    ...(model === "own" ? [] : standardize ? ["--standardize"] : isOwnData ? ["--normalize"] : []),
  ];
  const note = rates.length > 1
    ? "# The learning rate was changed while it trained: this trains with the last one.\n"
    : "";
  return `${note}${words.join(" \\\n  ")}\n`;
}
