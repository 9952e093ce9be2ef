/** The flags of the sweep command. */

import { invocation } from "../quote.ts";
import { defineCommand, parseFlags } from "./flags.ts";
import { TRAIN_COMMAND, type TrainFlags } from "./train_flags.ts";

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

/** The sweep command. */
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

/** Values of the sweep command's flags. */
export type SweepFlags = ReturnType<typeof parseFlags<typeof SWEEP_COMMAND.flags>>["flags"];

/** What all configurations share, as flags of `train`. */
export function baseFlags(flags: SweepFlags): TrainFlags {
  const { grid: _grid, out: _out, retryFailed: _retry, ...shared } = flags;
  return { ...parseFlags(TRAIN_COMMAND, []).flags, ...shared };
}
