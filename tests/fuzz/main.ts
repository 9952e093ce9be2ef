// deno-lint-ignore-file no-console
/** `deno task fuzz`: many mutated files of each kind; a failure is told by its number and kept. */

import { EXIT, runCommand } from "../../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../../src/cli/flags.ts";
import { FUZZ_KINDS } from "./kinds.ts";
import { type FuzzFailure, type FuzzResult, mutatedFile } from "./fuzz.ts";
import type { FuzzOrder } from "./worker.ts";

/** Far longer than any file of some hundred bytes may take, also on a busy machine. */
const HANG_MS = 60_000;

interface Outcome extends FuzzResult {
  readonly seconds: number;
}

/** Runs one kind in a worker of its own, and ends it if one file takes too long. */
async function run(order: Omit<FuzzOrder, "progress">): Promise<Outcome> {
  const progress = new SharedArrayBuffer(4);
  const current = new Int32Array(progress);
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const { promise, resolve } = Promise.withResolvers<FuzzResult>();
  const fail = (reason: string) => {
    const failure: FuzzFailure = { index: Atomics.load(current, 0), reason };
    resolve({ refused: 0, accepted: 0, peakBytes: 0, failure });
  };
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    fail(`the process of reading ended: ${event.message}`);
  };
  let last = { index: -1, since: performance.now() };
  const watch = setInterval(() => {
    const index = Atomics.load(current, 0);
    if (index !== last.index) last = { index, since: performance.now() };
    else if (performance.now() - last.since > HANG_MS) fail("it does not come to an end");
  }, 1_000);
  const started = performance.now();
  try {
    worker.postMessage({ ...order, progress } satisfies FuzzOrder);
    return { ...await promise, seconds: (performance.now() - started) / 1000 };
  } finally {
    clearInterval(watch);
    worker.terminate();
  }
}

const KIND_NAMES = Object.keys(FUZZ_KINDS);

const COMMAND = defineCommand({
  usage: "deno task fuzz",
  summary: "Read many mutated files of every kind: each must be refused in one line, or be valid.",
  examples: [["--kind png --seed 2", "other files, of one kind"]],
  flags: {
    count: { type: "integer", min: 1, default: 100_000, help: "files of each kind" },
    seed: { type: "integer", min: 0, default: 1, help: "which files" },
    first: { type: "integer", min: 0, default: 0, help: "number of the first, to go on from" },
    kind: { type: "choice", choices: KIND_NAMES, defaultText: "all", help: "a kind" },
  },
});

async function fuzzCommand(args: string[]): Promise<number> {
  const { flags: { count, seed, first, kind } } = parseFlags(COMMAND, args);
  let exitCode: number = EXIT.ok;
  for (const kindName of kind === undefined ? KIND_NAMES : [kind]) {
    const { refused, accepted, peakBytes, failure, seconds } = await run({
      kindName,
      seed,
      first,
      count,
    });
    const megabytes = Math.round(peakBytes / 2 ** 20);
    if (failure === undefined) {
      console.log(
        `${kindName.padEnd(12)} ${refused + accepted} files: ${refused} refused, ${accepted} ` +
          `valid, at most ${megabytes} MiB more memory, ${seconds.toFixed(0)} s`,
      );
      continue;
    }
    exitCode = EXIT.failure;
    const path = `/tmp/lenet-fuzz-${kindName}-${seed}-${failure.index}`;
    await Deno.writeFile(path, mutatedFile(kindName, seed, failure.index));
    console.log(
      `${kindName.padEnd(12)} FAILED: ${failure.reason}\n  the file: ${path}\n  again: ` +
        `deno task fuzz --kind ${kindName} --seed ${seed} --first ${failure.index} --count 1`,
    );
  }
  return exitCode;
}

if (import.meta.main) await runCommand(fuzzCommand);
