/** The flags of how a model is trained: optimiser, schedule, loss, and when to stop. */

import type { SessionOptions } from "../backends/backend.ts";
import { withoutGaps } from "../check.ts";
import type { Dataset } from "../data/dataset.ts";
import { balancedWeights } from "../nn/loss.ts";
import {
  completeOptimizer,
  definitionOf,
  optimizerPresets,
  type OptimizerSpec,
} from "../nn/optimizers.ts";
import { MONITORS, SCHEDULES } from "../train/plan.ts";
import { readClassWeights } from "./class_weights.ts";
import { UsageError } from "./errors.ts";
import type { FlagTable, FlagValues } from "./flag_types.ts";

/** The flags of the recipe. */
export const RECIPE_FLAGS = {
  optimizer: {
    type: "choice",
    choices: Object.keys(optimizerPresets()),
    defaultText: "the model's: sgd, or of those with batch norm adamw",
    help: "how parameters follow from gradients",
  },
  momentum: {
    type: "number",
    min: 0,
    exclusiveMax: 1,
    defaultText: "0.9 for momentum and nesterov, else 0",
    help: "share of the last update that is kept",
  },
  "weight-decay": {
    type: "number",
    min: 0,
    max: 1,
    defaultText: "the model's; for adamw by name 0.01, else 0",
    help: "what draws weights towards 0, but not biases: of sgd by the gradient, of adamw apart",
  },
  betas: {
    type: "string",
    placeholder: "B1,B2",
    defaultText: "the model's; for adam and adamw by name 0.9,0.999",
    help: "shares that the means of adam and adamw keep",
  },
  "clip-norm": {
    type: "number",
    exclusiveMin: 0,
    help: "shorten gradients whose norm, of all parameters together, is above this",
  },
  schedule: {
    type: "choice",
    choices: SCHEDULES,
    defaultText: "the model's: constant, or of those with batch norm cosine",
    help: "how the learning rate changes over the run",
  },
  warmup: {
    type: "number",
    min: 0,
    defaultText: "the model's; for a schedule by name 0, for one-cycle 0.3",
    help: "length of the rate's rise before that: epochs, or below 1 a share of all steps",
  },
  "step-size": {
    type: "integer",
    min: 1,
    defaultText: "a third of the run",
    help: "epochs between the falls of --schedule step",
  },
  gamma: {
    type: "number",
    exclusiveMin: 0,
    max: 1,
    defaultText: "0.1",
    help: "what --schedule step multiplies the rate by",
  },
  anneal: {
    type: "choice",
    choices: ["cosine", "linear"],
    defaultText: "cosine",
    help: "how --schedule one-cycle goes up and down",
  },
  "label-smoothing": {
    type: "number",
    min: 0,
    exclusiveMax: 1,
    defaultText: "the model's, 0 or 0.1",
    help: "share of each label that all classes get alike, in training",
  },
  "class-weights": {
    type: "string",
    placeholder: "balanced|FILE",
    help: "weight of each class in the loss that is trained on: JSON of names or a list",
  },
  monitor: {
    type: "choice",
    choices: MONITORS,
    defaultText: "accuracy",
    help: "what the best epoch is chosen by: of the validation set if any, else of the test set",
  },
  patience: {
    type: "integer",
    min: 1,
    help: "end after so many epochs without a better one, and go back to the best",
  },
} as const satisfies FlagTable;

export type RecipeFlags = FlagValues<typeof RECIPE_FLAGS>;

/** Flags that only some optimisers have a field for, and that field. */
const OWN_FIELDS = [
  ["momentum", "momentum", "momentum"],
  ["weightDecay", "weight-decay", "weightDecay"],
  ["betas", "betas", "beta1"],
] as const;

/** Flags that only one schedule has. */
const OWN_SCHEDULES = [
  ["stepSize", "step-size", "step"],
  ["gamma", "gamma", "step"],
  ["anneal", "anneal", "one-cycle"],
] as const;

/** Checks that no flag of the recipe contradicts another.
 *
 * @throws {UsageError} If one does, or is malformed.
 */
export function checkRecipe(flags: RecipeFlags): void {
  const { optimizer, schedule = "constant" } = flags;
  for (const [key, name, owner] of OWN_SCHEDULES) {
    if (flags[key] === undefined || schedule === owner) continue;
    throw new UsageError(`Cannot use --${name} with --schedule ${schedule}: it is for ${owner}`);
  }
  betasOf(flags);
  if (optimizer !== undefined) optimizerOf({ ...flags, optimizer });
}

/** The optimiser that the flags ask for.
 *
 * @throws {UsageError} If a flag is not for it, or malformed.
 */
export function optimizerOf(
  flags:
    & Pick<RecipeFlags, "momentum">
    & Partial<Pick<RecipeFlags, "weightDecay" | "betas">>
    & { readonly optimizer: string },
): OptimizerSpec {
  const { optimizer, momentum, weightDecay } = flags;
  const preset = optimizerPresets()[optimizer];
  const { fields } = definitionOf(preset.type);
  for (const [key, name, field] of OWN_FIELDS) {
    if (flags[key] === undefined || field in fields) continue;
    throw new UsageError(`Cannot use --${name} with --optimizer ${optimizer}: choose one of them`);
  }
  if (momentum === 0 && "nesterov" in preset) {
    throw new UsageError(
      `Cannot use --momentum 0 with --optimizer ${optimizer}: it needs one above 0`,
    );
  }
  const given = withoutGaps({ momentum, weightDecay, ...betasOf(flags) });
  return asUsage(() => completeOptimizer({ ...preset, ...given }));
}

/** What a function gives, whose numbers are those of flags.
 *
 * @throws {UsageError} If one is out of range.
 */
export function asUsage<Result>(make: () => Result): Result {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

function betasOf({ betas }: { readonly betas?: string }) {
  if (betas === undefined) return undefined;
  const [, ...numbers] = /^(\d*\.?\d+),(\d*\.?\d+)$/.exec(betas) ?? [];
  const [beta1, beta2] = numbers.map(Number);
  if (beta1 < 1 && beta2 < 1) return { beta1, beta2 };
  throw new UsageError(
    `Invalid --betas "${betas}": expected two numbers from 0 to below 1, as 0.9,0.999`,
  );
}

/** The loss to train towards on a dataset, and how far gradients may reach.
 *
 * @throws {TypeError} If the file of weights is not one for its classes.
 */
export async function lossOf(
  { labelSmoothing, classWeights, clipNorm }: RecipeFlags,
  { train, classNames }: Dataset,
): Promise<Pick<SessionOptions, "loss" | "clipNorm">> {
  const weights = classWeights === undefined
    ? undefined
    : classWeights === "balanced"
    ? balancedWeights(train.labels, classNames.length)
    : await readClassWeights(classWeights, classNames);
  const loss = withoutGaps({ labelSmoothing: labelSmoothing || undefined, classWeights: weights });
  return { loss: Object.keys(loss).length > 0 ? loss : undefined, clipNorm };
}
