// deno-lint-ignore-file no-console
/** The command `fetch`: obtains datasets, checks them and stores them. */
import { DatasetError } from "../data/errors.ts";
import { DEFAULT_DATA_DIR, fetchDataset, verifiedFolder } from "../data/fetch.ts";
import { DATASETS, findDataset, SAMPLE } from "../data/registry.ts";
import { formatCount, invocation } from "../quote.ts";
import { describeError, EXIT, UsageError, withInterrupt } from "./errors.ts";
import { showFetch } from "./dataset_flag.ts";
import { defineCommand, didYouMean, OUTPUT_FLAGS, parseFlags } from "./flags.ts";

export const command = defineCommand({
  usage: invocation("fetch"),
  summary: "Fetch datasets, check them by their SHA-256 and store them.",
  examples: [
    ["", "the whole of Fashion-MNIST"],
    ["mnist", "another dataset"],
    ["--list", "what there is, and what is here already"],
    ["--from ~/Downloads", "from a folder of its files, gzipped or not, or of its archive"],
    ["--from https://example.org/fashion/", "from a mirror"],
    ["--force", "again, though it is here already"],
  ],
  positionals: { placeholder: "NAME", help: "datasets to fetch (default: fashion-mnist)" },
  flags: {
    dataset: { type: "string", placeholder: "NAME", help: "the same as NAME" },
    from: {
      type: "string",
      placeholder: "DIR|URL",
      help: "use this folder or https:// address and no other source",
    },
    "loopback-http": {
      type: "boolean",
      help: "let --from be an http:// address of this machine itself (127.0.0.1)",
    },
    force: { type: "boolean", help: "fetch again what is here and verified" },
    list: { type: "boolean", help: "list the datasets and end" },
    "data-dir": {
      type: "string",
      placeholder: "DIR",
      default: DEFAULT_DATA_DIR,
      help: "folder of all datasets",
    },
    ...OUTPUT_FLAGS,
  },
});

type Flags = ReturnType<typeof parseFlags<typeof command.flags>>["flags"];

/** Runs the command with its arguments.
 *
 * @returns The exit code: 1 if a dataset could not be had.
 * @throws {UsageError} If the command line cannot be understood.
 * @throws {Error} If the data folder cannot be written, or the user interrupts.
 */
export async function run(args: string[]): Promise<number> {
  const { flags, positionals } = parseFlags(command, args);
  const names = namesOf(flags, positionals);
  if (flags.list) return await listDatasets(flags);
  let exitCode: number = EXIT.ok;
  for (const name of names) {
    try {
      await fetchOne(name, flags);
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      console.error(`error: ${describeError(error)}`);
      if (flags.json) printJson({ dataset: name, type: "error", message: describeError(error) });
      exitCode = EXIT.failure;
    }
  }
  return exitCode;
}

function namesOf({ dataset, from }: Flags, positionals: readonly string[]): string[] {
  const given = [...new Set(dataset === undefined ? positionals : [...positionals, dataset])];
  const names = given.length > 0 ? given : ["fashion-mnist"];
  const known = DATASETS.map(({ name }) => name);
  const wrong = names.find((name) => !findDataset(name));
  if (wrong !== undefined) {
    throw new UsageError(
      `Unknown dataset "${wrong}": expected one of ${known.join(", ")}` + didYouMean(wrong, known),
    );
  }
  if (from !== undefined && names.length > 1) {
    throw new UsageError(
      `Invalid --from "${from}": expected one dataset with it, found ${names.join(", ")}`,
    );
  }
  return names;
}

async function fetchOne(name: string, flags: Flags): Promise<void> {
  const { dataDir, from, force, loopbackHttp: allowLoopbackHttp, json, quiet } = flags;
  const { onEvent, stop } = showFetch(name, flags);
  const { folder, sources, unchecked } = await withInterrupt((signal) =>
    fetchDataset(name, { dataDir, from, allowLoopbackHttp, force, signal, onEvent })
  ).finally(stop);
  const { trainCount, testCount } = findDataset(name)!;
  const unsure = unchecked.length > 0 && { unchecked };
  if (json) {
    printJson({ dataset: name, type: "done", folder, sources, trainCount, testCount, ...unsure });
  }
  if (json || quiet) return;
  const origin = sources.length > 0 ? `from ${sources.join(" and ")}` : "already there";
  console.log(
    `${name}: ${formatCount(trainCount)} training and ${formatCount(testCount)} test images in ` +
      `${placeText(name, folder)}, ` +
      (unsure ? "of the right length, which is all that is known of them" : "verified") +
      ` (${origin})`,
  );
}

async function listDatasets({ dataDir, json }: Flags): Promise<number> {
  for (const entry of DATASETS) {
    const { name, title, license, trainCount, testCount } = entry;
    const folder = await verifiedFolder(entry, dataDir) ?? null;
    if (json) {
      printJson({ dataset: name, title, license, trainCount, testCount, folder });
      continue;
    }
    const [train, test] = [trainCount, testCount].map((count) => formatCount(count).padStart(7));
    const state = folder === null ? "not fetched" : `verified in ${placeText(name, folder)}`;
    console.log(`${name.padEnd(16)} ${train} + ${test} images  ${state}`);
    console.log(`${" ".repeat(17)}${title} (${license})`);
  }
  return EXIT.ok;
}

function placeText(name: string, folder: string): string {
  return name === SAMPLE ? "the project itself" : folder;
}

function printJson(value: unknown): void {
  console.log(JSON.stringify(value));
}
