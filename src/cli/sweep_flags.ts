/** The flags of the sweep command, and its grid: every combination of some flags' values. */

import { invocation } from "../quote.ts";
import { UsageError } from "./errors.ts";
import { defineCommand, didYouMean, parseFlags } from "./flags.ts";
import { checkCombination, TRAIN_COMMAND, type TrainFlags } from "./train_flags.ts";

// What concerns the folder and the course of one run is no matter of many.
const {
  out: _out,
  resume: _resume,
  "checkpoint-every": _interval,
  mpi: _mpi,
  "log-steps": _logs,
  "dry-run": _dry,
  live: _live,
  ...train
} = TRAIN_COMMAND.flags;

export const SWEEP_COMMAND = defineCommand({
  usage: invocation("sweep"),
  summary: "Train every combination of some flags' values, in this process or on mpirun's ranks.",
  examples: [
    ["--grid lr=0.1,0.2,0.4 --grid seed=1..5", "fifteen trainings, one after the other"],
    ["--grid lr=0.1,0.2 --out runs/rates", "in a folder of your choice; the same again goes on"],
  ],
  flags: {
    grid: {
      type: "repeated",
      placeholder: "FLAG=VALUES",
      help: "values of a flag of train: a,b,c or 1..5; may be given several times",
    },
    out: {
      type: "string",
      placeholder: "DIR",
      defaultText: "runs/sweep-DATE-TIME",
      help: "folder of the sweep; with a sweep in it, goes on with that",
    },
    "retry-failed": { type: "boolean", help: "try again what failed before" },
    ...train,
    "valid-split": { ...train["valid-split"], defaultText: "0: compared on the test set" },
  },
});

export type SweepFlags = ReturnType<typeof parseFlags<typeof SWEEP_COMMAND.flags>>["flags"];

/** What all configurations share, as flags of `train`. */
export function baseFlags(flags: SweepFlags): TrainFlags {
  const { grid: _grid, out: _out, retryFailed: _retry, ...shared } = flags;
  return { ...parseFlags(TRAIN_COMMAND, []).flags, ...shared };
}

/** Flags of `train` that a grid may vary. */
const GRID_NAMES = [
  ...["model", "epochs", "batch-size", "lr", "optimizer", "momentum", "schedule", "seed"],
  ...["shuffle", "standardize", "augment", "max-steps", "backend", "threads", "weight-decay"],
  ...["clip-norm", "warmup", "step-size", "gamma", "anneal", "label-smoothing", "class-weights"],
  ...["monitor", "patience"],
];

const MOST_CONFIGURATIONS = 10_000;

/** Values of the varied flags, by name and as text. */
export type Settings = Readonly<Record<string, string>>;

/** Parses `lr=0.1,0.2` and `seed=1..5`, and combines them; the last varies fastest.
 *
 * @throws {UsageError} If a name or a value is not one that `train` takes.
 */
export function parseGrid(texts: readonly string[]): Settings[] {
  let grid: Settings[] = [{}];
  for (const text of texts) {
    const [, name, list] = /^([^=]*)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || list === undefined) {
      throw new UsageError(`Invalid --grid "${text}": expected a flag and values, as lr=0.1,0.2`);
    }
    if (!GRID_NAMES.includes(name)) {
      throw new UsageError(
        `Invalid --grid "${text}": expected one of ${GRID_NAMES.join(", ")}` +
          didYouMean(name, GRID_NAMES),
      );
    }
    if (Object.hasOwn(grid[0], name)) {
      throw new UsageError(`Invalid --grid "${text}": ${name} has its values already`);
    }
    const values = [...new Set(list.split(",").flatMap(expandRange))];
    if (grid.length * values.length > MOST_CONFIGURATIONS) {
      throw new UsageError(`Cannot sweep more than ${MOST_CONFIGURATIONS} configurations`);
    }
    grid = grid.flatMap((settings) => values.map((value) => ({ ...settings, [name]: value })));
  }
  return grid;
}

/** The flags of `train` that a configuration stands for.
 *
 * @throws {UsageError} If they contradict each other, or a value is not accepted.
 */
export function flagsOf(base: TrainFlags, settings: Settings): TrainFlags {
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const parsed: Readonly<Record<string, unknown>> = parseFlags(TRAIN_COMMAND, args).flags;
  const changed = Object.keys(settings).map((name) => {
    const key = name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    return [key, parsed[key]];
  });
  // What fits own data standardizes pixels unless that is refused.
  const normalize = base.normalize || settings.standardize === "false";
  const flags = { ...base, normalize, ...Object.fromEntries(changed) };
  checkCombination(args, flags);
  return flags;
}

/** `lr 0.2, seed 3`. */
export function settingsText(settings: Settings): string {
  const parts = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  return parts.join(", ") || "the flags as given";
}

function expandRange(text: string): string[] {
  const [, first, last] = /^(\d{1,15})\.\.(\d{1,15})$/.exec(text) ?? [];
  if (first === undefined) return [text];
  const count = Number(last) - Number(first) + 1;
  if (count < 1 || count > MOST_CONFIGURATIONS) {
    throw new UsageError(
      `Invalid --grid range "${text}": expected 1 to ${MOST_CONFIGURATIONS} integers, as 1..5`,
    );
  }
  return Array.from({ length: count }, (_, n) => String(Number(first) + n));
}
