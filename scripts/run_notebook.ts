// deno-lint-ignore-file no-console
/** `deno task notebook`: all code cells of the lesson's notebook as one program, in order.
 *
 * Its seeds are fixed, so it prints the same everywhere, but for the last digit of what is rounded:
 * machines sum in different orders. `--check` lets numbers with a fraction or % differ by that, and
 * bars by a character.
 */

import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { helpText } from "../src/cli/help.ts";

const PATH = "docs/lesson.ipynb";
/** Printed after each cell, to tell what belongs to which. */
const SEPARATOR = "\u001e";

interface Cell {
  readonly cell_type: "code" | "markdown";
  readonly source: readonly string[];
  execution_count?: number;
  outputs?: readonly { readonly output_type: string; readonly text?: readonly string[] }[];
}

const COMMAND = defineCommand({
  usage: "deno task notebook",
  summary: "Run the lesson's notebook and save what its cells print.",
  examples: [["--check", "whether they print what is saved"]],
  flags: { check: { type: "boolean", help: "write nothing; exit code 1 where they differ" } },
});

async function notebookCommand(args: string[]): Promise<number> {
  const { flags, help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  const notebook = JSON.parse(await Deno.readTextFile(PATH));
  const cells: readonly Cell[] = notebook.cells.filter((cell: Cell) => cell.cell_type === "code");
  const printed = await runCells(cells);
  for (const [n, cell] of cells.entries()) {
    const lines = printed[n].match(/[^\n]*\n/g) ?? [];
    if (flags.check) requireSaved(n + 1, cell, lines);
    cell.execution_count = n + 1;
    const output = { name: "stdout", output_type: "stream", text: [...lines] };
    cell.outputs = lines.length === 0 ? [] : [output];
  }
  if (!flags.check) await Deno.writeTextFile(PATH, JSON.stringify(notebook, undefined, 1) + "\n");
  console.log(`${cells.length} cells of ${PATH} ran`);
  return EXIT.ok;
}

/** Compares what a cell prints with what is saved. */
function requireSaved(number: number, { outputs }: Cell, lines: readonly string[]): void {
  const saved = outputs?.flatMap(({ text = [] }) => text) ?? [];
  const longer = lines.length > saved.length ? lines : saved;
  const differs = longer.findIndex((_, index) => !isSameLine(lines[index], saved[index]));
  if (differs < 0) return;
  const [found, expected] = [lines, saved].map((all) => JSON.stringify(all[differs]) ?? "nothing");
  throw new Error(
    `Cell ${number} of ${PATH} prints ${found} as line ${differs + 1}, ${expected} is saved: ` +
      "run deno task notebook",
  );
}

/** Whether two lines are the same but for the last digit of rounded numbers, and a bar's length. */
function isSameLine(printed: string | undefined, saved: string | undefined): boolean {
  if (printed === undefined || saved === undefined) return false;
  const rounded = /\d+\.\d+|\d+(?=%)|#+/g;
  if (printed.replaceAll(rounded, "0") !== saved.replaceAll(rounded, "0")) return false;
  const others = saved.match(rounded) ?? [];
  return (printed.match(rounded) ?? []).every((text, index) => {
    const other = others[index]!;
    if (text.startsWith("#")) return Math.abs(text.length - other.length) <= 1;
    const digits = text.split(".")[1]?.length ?? 0;
    return Math.abs(Number(text) - Number(other)) < 1.5 * 10 ** -digits;
  });
}

/** What each cell prints. */
async function runCells(cells: readonly Cell[]): Promise<string[]> {
  const program = cells
    .map(({ source }) => `${source.join("")}\nconsole.log(${JSON.stringify(SEPARATOR)});\n`)
    .join("");
  const child = new Deno.Command("deno", {
    args: ["run", "--quiet", "--no-prompt", "--ext=ts", "--allow-read", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const printed = decode(stdout).split(`${SEPARATOR}\n`);
  if (code !== 0) {
    throw new Error(`Cell ${printed.length} of ${PATH} failed: ${decode(stderr).trim()}`);
  }
  return printed;
}

if (import.meta.main) await runCommand(notebookCommand);
