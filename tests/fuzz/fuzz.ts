/** Fuzzing: mutated files are read, and every outcome is a documented error or a valid result. */

import { createRandom } from "../../src/random.ts";
import { FUZZ_KINDS } from "./kinds.ts";
import { pick } from "./mutate.ts";

/** What became of the files of one kind. */
export interface FuzzResult {
  /** Files that were refused with a documented error. */
  refused: number;
  /** Files that were accepted, with a valid result. */
  accepted: number;
  /** Most memory that the process took beyond what it had at the start. */
  peakBytes: number;
  /** The first file that led to anything else. */
  failure?: FuzzFailure;
}

/** A file that was neither refused nor accepted as it must be. */
export interface FuzzFailure {
  readonly index: number;
  readonly reason: string;
}

/** Which files to make. */
export interface FuzzOptions {
  readonly seed: number;
  /** Number of the first file; the others follow. */
  readonly first?: number;
  readonly count: number;
  /** Told of each file before it is read. */
  readonly onCase?: (index: number) => void;
}

/** Memory that reading one small file may take, with what is not collected of the ones before it. */
export const MAX_MEMORY_BYTES = 512 * 2 ** 20;

/** Native buffers of decompressors are let go of by the event loop and the collector together. */
const COLLECT_EVERY = 500;

const DOCUMENTED = ["SyntaxError", "RangeError", "TypeError", "DatasetError"];

/** One line, in the project's words. */
const MESSAGE = /^(Cannot|Invalid|Unknown|Unsupported) [^\p{Cc}\p{Zl}\p{Zp}]{1,500}$/u;

/** What an engine says where a program stumbles: no check of ours has seen the fault. */
const STUMBLES =
  /undefined \(|is not a function|is not iterable|call stack|allocation failed|Invalid (typed )?array|(properties|property) of (undefined|null)|Cannot (convert|destructure|mix)|bounds of/;

async function collect(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  (globalThis as { gc?: () => void }).gc?.();
}

/** Makes the mutated file of a number: the same one on every machine. */
export function mutatedFile(kindName: string, seed: number, index: number): Uint8Array {
  const { seeds, mutators } = FUZZ_KINDS[kindName];
  const random = createRandom(seed, `${kindName}/${index}`);
  return pick(mutators, random)(pick(seeds, random), random);
}

/** Reads mutated files of one kind, up to the first failure. */
export async function fuzz(
  kindName: string,
  { seed, first = 0, count, onCase }: FuzzOptions,
): Promise<FuzzResult> {
  const result: FuzzResult = { refused: 0, accepted: 0, peakBytes: 0 };
  const before = Deno.memoryUsage().rss;
  for (let index = first; index < first + count; index++) {
    onCase?.(index);
    if (index % COLLECT_EVERY === 0) await collect();
    const reason = await faultOf(kindName, mutatedFile(kindName, seed, index), result);
    result.peakBytes = Math.max(result.peakBytes, Deno.memoryUsage().rss - before);
    if (reason !== undefined) return { ...result, failure: { index, reason } };
    if (result.peakBytes > MAX_MEMORY_BYTES) {
      const megabytes = Math.round(result.peakBytes / 2 ** 20);
      return { ...result, failure: { index, reason: `${megabytes} MiB of memory taken` } };
    }
  }
  return result;
}

/** Reads one file and counts the outcome; says what is wrong with it, if anything is. */
async function faultOf(
  kindName: string,
  bytes: Uint8Array,
  counts: FuzzResult,
): Promise<string | undefined> {
  try {
    await FUZZ_KINDS[kindName].read(bytes);
    counts.accepted++;
  } catch (error) {
    const fault = faultOfError(error);
    if (fault !== undefined) return fault;
    counts.refused++;
  }
  const polluted = [Object.prototype, Array.prototype, Function.prototype]
    .flatMap((prototype) => Object.keys(prototype));
  return polluted.length === 0 ? undefined : `prototypes have got ${polluted.join(", ")}`;
}

/** Says what is wrong with an error that a reader threw; undefined if it is as documented. */
export function faultOfError(error: unknown): string | undefined {
  if (!(error instanceof Error)) return `it threw ${String(error)}, which is no error`;
  const described = `${error.name}: ${error.message}`;
  if (!DOCUMENTED.includes(error.name)) return `an undocumented error: ${described}`;
  if (!MESSAGE.test(error.message) || STUMBLES.test(error.message)) {
    return `an error that is not one line of advice: ${described}`;
  }
  return undefined;
}
