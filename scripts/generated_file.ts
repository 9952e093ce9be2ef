// deno-lint-ignore-file no-console
/** Commands that make a tracked file from its sources, or say that it is no longer what they give. */

import { fileURLToPath } from "node:url";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Files that are made from others. */
export interface GeneratedFiles {
  /** The command that makes them, such as `deno task build:page`. */
  readonly usage: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  /** The files, from the project's root. */
  readonly paths: readonly string[];
  /** Makes the content of each. */
  readonly generate: () => Promise<readonly string[]>;
}

/** Runs the command: writes the files, or compares them after `--check`. */
export async function runGenerator(files: GeneratedFiles): Promise<never> {
  const { usage, summary, paths, generate } = files;
  const command = defineCommand({
    usage,
    summary,
    examples: [["--check", "whether what is there is what its sources give"]],
    flags: { check: { type: "boolean", help: "write nothing; exit code 1 if it is out of date" } },
  });
  return await runCommand(async (args) => {
    const { flags } = parseFlags(command, args);
    const generated = await generate();
    for (const [n, path] of paths.entries()) {
      if (!flags.check) {
        await Deno.writeTextFile(`${ROOT}${path}`, generated[n]);
        console.log(`${path}: ${generated[n].length} bytes`);
      } else if (await Deno.readTextFile(`${ROOT}${path}`).catch(() => "") !== generated[n]) {
        throw new Error(`Invalid ${path}: expected what its sources give; run ${usage}`);
      } else {
        console.log(`${path} is up to date`);
      }
    }
    return EXIT.ok;
  });
}
