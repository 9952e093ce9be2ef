// deno-lint-ignore-file no-console
/** Commands that make a tracked file from its sources, or say that it is no longer what they give. */

import { fileURLToPath } from "node:url";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** A file that is made from others. */
export interface GeneratedFile {
  /** The command that makes it, such as `deno task build:page`. */
  readonly usage: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  /** The file, from the project's root. */
  readonly path: string;
  /** Makes its content. */
  readonly generate: () => Promise<string>;
}

/** Runs the command: writes the file, or compares it after `--check`. */
export async function runGenerator(file: GeneratedFile): Promise<never> {
  const { usage, summary, path, generate } = file;
  const command = defineCommand({
    usage,
    summary,
    examples: [["--check", "whether the file is what its sources give"]],
    flags: { check: { type: "boolean", help: "write nothing; exit code 1 if it is out of date" } },
  });
  return await runCommand(async (args) => {
    const { flags } = parseFlags(command, args);
    const generated = await generate();
    if (!flags.check) {
      await Deno.writeTextFile(`${ROOT}${path}`, generated);
      console.log(`${path}: ${generated.length} bytes`);
    } else if (await Deno.readTextFile(`${ROOT}${path}`).catch(() => "") !== generated) {
      throw new Error(`Invalid ${path}: expected what its sources give; run ${usage}`);
    } else {
      console.log(`${path} is up to date`);
    }
    return EXIT.ok;
  });
}
