/** The trainings that the pages tell of: run by the product, and recorded. */

import type { Standardization } from "../../src/nn/standardization.ts";
import { readMetrics, readRunConfig } from "../../src/run/folder.ts";

/** A recorded training. */
export interface Training {
  readonly name: string;
  readonly command: string;
  /** When it began, YYYY-MM-DD. */
  readonly date: string;
  /** "AMD EPYC, 2 cores". */
  readonly machine: string;
  readonly standardization: Standardization;
  readonly epochs: readonly {
    readonly epoch: number;
    readonly trainLoss: number;
    readonly trainAccuracy: number;
    readonly testLoss: number;
    readonly testAccuracy: number;
  }[];
}

/** One thread, product by product: then a seed gives the same bits however many cores there are, and as in
 * version 0.1. */
const COMMON = ["--dataset", "fashion-mnist", "--backend", "wasm", "--exact", "--threads", "1"];

/** Epochs after which trainings are compared. */
export const COMPARED_EPOCHS = 10;

const SHORT = ["--epochs", String(COMPARED_EPOCHS)];

/** Each training and its flags; the first is the README's. */
const TRAININGS: Readonly<Record<string, readonly string[]>> = {
  "lenet-0": [],
  "lenet-1": [...SHORT, "--seed", "1"],
  "lenet-standardize-0": [...SHORT, "--standardize"],
  "lenet-standardize-1": [...SHORT, "--standardize", "--seed", "1"],
  "mlp-0": ["--model", "mlp", ...SHORT],
  "softmax-0": ["--model", "softmax", ...SHORT],
  "relu-adam-0": [
    ...["--model", "lenet-relu", "--optimizer", "adam", "--schedule", "cosine", "--standardize"],
    ...SHORT,
  ],
};

/** Trains what has not been trained below `runs/docs`, and reads all results. */
export async function runTrainings(say: (line: string) => void): Promise<Training[]> {
  const trainings: Training[] = [];
  for (const [name, flags] of Object.entries(TRAININGS)) {
    const path = `runs/docs/${name}`;
    const args = [...COMMON, ...flags];
    if (!await isFinished(path)) {
      say(`deno task train ${args.join(" ")}`);
      const { success } = await new Deno.Command("deno", {
        args: ["task", "--quiet", "train", ...args, "--quiet", "--out", path],
      }).spawn().status;
      if (!success) {
        throw new Error(`Cannot measure ${name}: its training failed; remove ${path} to try again`);
      }
    }
    trainings.push(await readTraining(name, path, args));
  }
  return trainings;
}

async function isFinished(path: string): Promise<boolean> {
  try {
    const { plan } = await readRunConfig(path);
    return (await readMetrics(path)).length === plan.epochs;
  } catch {
    return false;
  }
}

async function readTraining(
  name: string,
  path: string,
  args: readonly string[],
): Promise<Training> {
  const { started, environment, model } = await readRunConfig(path);
  const epochs = (await readMetrics(path)).map((line) => ({
    epoch: line.epoch,
    trainLoss: rounded(line.trainLoss),
    trainAccuracy: rounded(line.trainAccuracy),
    testLoss: rounded(line.testLoss),
    testAccuracy: rounded(line.testAccuracy),
  }));
  return {
    name,
    command: `deno task train ${args.join(" ")}`,
    date: started.slice(0, 10),
    machine: `${environment.cpu}, ${environment.cores} cores`,
    standardization: model.standardization ?? { mean: 0, std: 1 },
    epochs,
  };
}

/** Five digits are more than any page shows. */
function rounded(value: number): number {
  return Number(value.toFixed(5));
}
