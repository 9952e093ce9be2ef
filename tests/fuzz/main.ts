// deno-lint-ignore-file no-console
/** `deno task fuzz`: many mutated files of each kind; a failure is told by its number and kept.
 *
 * `--count N` files of each kind, `--seed N`, `--first N` to go on or to look at one again, `--kind NAME`.
 */

import { parseArgs } from "@std/cli/parse-args";
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

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, { string: ["count", "seed", "first", "kind"] });
  const [count, seed, first] = [flags.count ?? 100_000, flags.seed ?? 1, flags.first ?? 0]
    .map(Number);
  if (![count, seed, first].every((value) => Number.isSafeInteger(value) && value >= 0)) {
    console.error("error: --count, --seed and --first must be whole numbers");
    return 2;
  }
  const kind = flags.kind as string | undefined;
  if (kind !== undefined && !Object.hasOwn(FUZZ_KINDS, kind)) {
    console.error(`error: Unknown --kind: expected one of ${Object.keys(FUZZ_KINDS).join(", ")}`);
    return 2;
  }
  let exitCode = 0;
  for (const kindName of kind === undefined ? Object.keys(FUZZ_KINDS) : [kind]) {
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
    exitCode = 1;
    const path = `/tmp/lenet-fuzz-${kindName}-${seed}-${failure.index}`;
    await Deno.writeFile(path, mutatedFile(kindName, seed, failure.index));
    console.log(
      `${kindName.padEnd(12)} FAILED: ${failure.reason}\n  the file: ${path}\n  again: ` +
        `deno task fuzz --kind ${kindName} --seed ${seed} --first ${failure.index} --count 1`,
    );
  }
  return exitCode;
}

if (import.meta.main) Deno.exit(await main());
