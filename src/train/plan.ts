/** What to train and for how long: the numbers of a recipe. */

import {
  checkName,
  checkNumber,
  checkObject,
  checkSeed,
  type NumberRange,
  withoutGaps,
} from "../check.ts";
import { countOf } from "../quote.ts";
import { createRandom, permutation } from "../random.ts";

/** How the learning rate changes over a run, after its warm-up.
 *
 * - `cosine`: from the learning rate towards 0 at the end. Loshchilov and Hutter 2017, without restarts;
 *   PyTorch's `CosineAnnealingLR`.
 * - `step`: times `gamma` after every `stepSize` epochs; PyTorch's `StepLR`.
 * - `one-cycle`: from 1/25 of the learning rate up to it and down to 1/250,000 of it. Smith and Topin 2018;
 *   PyTorch's `OneCycleLR` with `cycle_momentum=False`.
 */
export type Schedule = "constant" | "cosine" | "step" | "one-cycle";

/** What the learning rate of a step is multiplied by: 0 or more, and finite.
 *
 * It must give the same for the same place, since a training may go on anywhere.
 */
export type ScheduleFunction = (place: {
  /** Epochs done, with a fraction for a part of one: from 0 up to, but not including, `epochs`. */
  readonly epoch: number;
  /** Of the whole run, which may go beyond these. */
  readonly epochs: number;
  /** Steps done. */
  readonly step: number;
  /** Of the whole run. */
  readonly steps: number;
}) => number;

/** All schedules, the default first. */
export const SCHEDULES: readonly Schedule[] = ["constant", "cosine", "step", "one-cycle"];

/** The way between two rates of `one-cycle`. */
export type Anneal = "cosine" | "linear";

/** What an epoch is judged by. */
export type Monitor = "accuracy" | "loss";

/** All monitors, the default first. */
export const MONITORS: readonly Monitor[] = ["accuracy", "loss"];

/** The numbers of a training run, apart from model, data and optimiser. */
export interface TrainPlan {
  /** Passes over the training set, 1 or more. */
  readonly epochs: number;
  /** Images in a step, 1 or more; the last batch of an epoch may be smaller. */
  readonly batchSize: number;
  /** Learning rate, the highest of a schedule; above 0. */
  readonly learningRate: number;
  /** How the learning rate changes over the run. */
  readonly schedule: Schedule;
  /** How long the rate rises in a line from near 0 before the schedule begins: 1 or more are epochs, what
   * is less is a share of all steps; default 0. Of `one-cycle`, the length of its rise; default 0.3.
   */
  readonly warmup?: number;
  /** Epochs between the falls of `step`; default: a third of the run, rounded up. */
  readonly stepSize?: number;
  /** What `step` multiplies the rate by, above 0 and at most 1; default 0.1. */
  readonly gamma?: number;
  /** How `one-cycle` goes from rate to rate; default `cosine`. */
  readonly anneal?: Anneal;
  /** Draws initial parameters and orders; an integer in 0 .. 2^53 - 1. */
  readonly seed: number;
  /** Whether each epoch has its own random order. */
  readonly shuffle: boolean;
  /** Ends the run after this many steps in all. */
  readonly maxSteps?: number;
  /** Ends the run after the first epoch whose accuracy reaches this, in 0 .. 1: on the validation set
   * where there is one, else on the test set.
   */
  readonly targetAccuracy?: number;
  /** What the best epoch is chosen by, on the validation set where there is one, else on the test set;
   * default `accuracy`.
   */
  readonly monitor?: Monitor;
  /** Ends the run after so many epochs in a row that were not better than the best before them, 1 or
   * more; such a run goes back to its best epoch, unless it was interrupted or reached its target.
   */
  readonly patience?: number;
}

/** A plan of which only epochs and learning rate must be said.
 *
 * Its schedule may be a function, which no file of a run can hold.
 */
export type PlanOptions =
  & Pick<TrainPlan, "epochs" | "learningRate">
  & Partial<Omit<TrainPlan, "schedule">>
  & { readonly schedule?: Schedule | ScheduleFunction };

/** A plan without gaps, whose schedule may be a function. */
export type AnyPlan = Omit<TrainPlan, "schedule"> & Required<Pick<PlanOptions, "schedule">>;

const RANGES: Readonly<Record<string, NumberRange>> = {
  epochs: { whole: true, min: 1 },
  batchSize: { whole: true, min: 1 },
  learningRate: { above: 0 },
  maxSteps: { whole: true, min: 0 },
  targetAccuracy: { min: 0, max: 1 },
  warmup: { min: 0 },
  stepSize: { whole: true, min: 1 },
  gamma: { above: 0, max: 1 },
  patience: { whole: true, min: 1 },
};

const NAMES: Readonly<Record<string, readonly string[]>> = {
  anneal: ["cosine", "linear"] satisfies Anneal[],
  monitor: MONITORS,
};

/** Fills a plan's gaps: batches of 256, a constant learning rate, seed 0, shuffled.
 *
 * @throws {TypeError} If the options are no object, a name is none, or an option belongs to another schedule.
 * @throws {RangeError} If a number is missing or out of range, or the warm-up is as long as the run.
 */
export function completePlan(options: Partial<TrainPlan> & PlanOptions): TrainPlan;
export function completePlan(options: PlanOptions): AnyPlan;
export function completePlan(options: PlanOptions): AnyPlan {
  checkObject("plan", options, "an object with epochs and learningRate");
  const { epochs, learningRate, batchSize = 256, schedule = "constant", seed = 0 } = options;
  const { shuffle = true, maxSteps, targetAccuracy, warmup, gamma, anneal } = options;
  const { monitor, patience } = options;
  // What the epochs decide must stay as it was when a run goes on for more of them.
  const { stepSize = schedule === "step" ? Math.ceil(epochs / 3) : undefined } = options;
  const needed = { epochs, batchSize, learningRate };
  const lengths = { maxSteps, targetAccuracy, warmup, stepSize, gamma };
  const rest = withoutGaps({ ...lengths, anneal, monitor, patience });
  for (const [name, value] of Object.entries({ ...needed, ...rest })) {
    if (Object.hasOwn(RANGES, name)) checkNumber(name, value, RANGES[name]);
    if (Object.hasOwn(NAMES, name)) checkName(name, value, NAMES[name]);
  }
  if (typeof schedule !== "function") checkName("schedule", schedule, SCHEDULES);
  checkSeed(seed);
  for (const [name, owner] of [["stepSize", "step"], ["gamma", "step"], ["anneal", "one-cycle"]]) {
    if (options[name as "gamma"] === undefined || schedule === owner) continue;
    const other = typeof schedule === "function"
      ? "a function as schedule"
      : `schedule ${schedule}`;
    throw new TypeError(`Cannot use ${name} with ${other}: it belongs to ${owner}`);
  }
  if (warmup !== undefined && warmup >= epochs) {
    throw new RangeError(
      `Invalid warmup: expected less than ${countOf(epochs, "epoch")}, the whole run, found ` +
        `${warmup}${warmup === 1 ? "; a share of all steps is below 1" : ""}`,
    );
  }
  return { ...needed, schedule, seed, shuffle: Boolean(shuffle), ...rest };
}

/** Order of an epoch's samples, a function of seed and epoch alone, so that a run can go on anywhere.
 *
 * @param epoch Number of the epoch, from 1.
 */
export function epochOrder(
  { seed, shuffle }: Pick<TrainPlan, "seed" | "shuffle">,
  epoch: number,
  count: number,
): Uint32Array<ArrayBuffer> {
  return shuffle
    ? permutation(count, createRandom(seed, `order of epoch ${epoch}`))
    : Uint32Array.from({ length: count }, (_, index) => index);
}

/** Learning rates of the steps first .. first + count - 1, counted from 0 over the whole run.
 *
 * A rate that the length of the run decides stays, beyond its end, at that of the end.
 *
 * @throws {RangeError} If a schedule's function gives no factor, 0 or more.
 */
export function learningRates(
  plan: AnyPlan,
  { first, count, stepsPerEpoch }: {
    readonly first: number;
    readonly count: number;
    readonly stepsPerEpoch: number;
  },
): Float32Array<ArrayBuffer> {
  const { learningRate, epochs, warmup = plan.schedule === "one-cycle" ? 0.3 : 0 } = plan;
  const steps = epochs * stepsPerEpoch;
  const rise = warmup < 1 ? warmup * steps : warmup * stepsPerEpoch;
  const { schedule } = plan;
  const shareOf = typeof schedule === "function" ? shareBy(schedule) : SHARES[schedule];
  return Float32Array.from(
    { length: count },
    (_, index) => learningRate * shareOf(first + index, { plan, rise, steps, stepsPerEpoch }),
  );
}

/** What the learning rate is multiplied by in a step, from 0. */
type Share = (step: number, lengths: {
  readonly plan: AnyPlan;
  /** Steps of the warm-up, and of the run. */
  readonly rise: number;
  readonly steps: number;
  readonly stepsPerEpoch: number;
}) => number;

const SHARES: { readonly [Name in Schedule]: Share } = {
  "constant": warmed(() => 1),
  "cosine": warmed((step, { rise, steps }) => cosine(1, 0, step / Math.max(1, steps - rise))),
  "step": warmed((step, { plan: { stepSize = 1, gamma = 0.1 }, stepsPerEpoch }) =>
    gamma ** Math.floor(step / (stepSize * stepsPerEpoch))
  ),
  "one-cycle"(step, { plan: { anneal = "cosine" }, rise, steps }) {
    const between = anneal === "cosine" ? cosine : linear;
    const top = rise - 1; // where the highest rate is reached: steps count from 0
    if (step < top) return between(1 / 25, 1, step / top);
    return between(1, 1 / 250_000, Math.max(0, step - top) / Math.max(1, steps - 1 - top));
  },
};

/** A caller's schedule, whose steps count over the whole run: its warm-up only multiplies them. */
function shareBy(schedule: ScheduleFunction): Share {
  return (step, { plan: { epochs }, rise, steps, stepsPerEpoch }) => {
    const factor = schedule({ epoch: step / stepsPerEpoch, epochs, step, steps });
    checkNumber(`schedule at step ${step}`, factor, { min: 0 });
    const warm = Math.round(rise);
    return step < warm ? factor * (step + 1) / (warm + 1) : factor;
  };
}

/** A schedule that begins after a rise from near 0, whole steps long, as PyTorch's `SequentialLR` of a
 * `LinearLR` from 1 / (steps + 1) and the schedule. */
function warmed(after: Share): Share {
  return (step, lengths) => {
    const rise = Math.round(lengths.rise);
    return step < rise ? (step + 1) / (rise + 1) : after(step - rise, { ...lengths, rise });
  };
}

function cosine(from: number, to: number, share: number): number {
  return to + (from - to) * (1 + Math.cos(Math.PI * Math.min(1, share))) / 2;
}

function linear(from: number, to: number, share: number): number {
  return from + (to - from) * Math.min(1, share);
}
