// deno-lint-ignore-file no-console
/** `deno task notebook`: all code cells of the lesson's notebook as one program, in order.
 *
 * Its seeds are fixed, so it prints the same everywhere, but for the last digit of what is rounded:
 * machines sum in different orders. `--check` lets numbers with a fraction or % differ by that, and
 * bars by a character.
 */

import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";

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
  examples: [
    ["--check", "whether they print what is saved"],
    ["--check --kernel", "whether they do in Jupyter too"],
  ],
  flags: {
    check: { type: "boolean", help: "write nothing; exit code 1 where they differ" },
    kernel: { type: "boolean", help: "run them in Deno's Jupyter kernel, by python3's nbclient" },
  },
});

async function notebookCommand(args: string[]): Promise<number> {
  const { flags } = parseFlags(COMMAND, args);
  const notebook = JSON.parse(await Deno.readTextFile(PATH));
  const cells: readonly Cell[] = notebook.cells.filter((cell: Cell) => cell.cell_type === "code");
  const printed = flags.kernel ? await runInKernel() : await runCells(cells);
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

/** Runs the notebook as Jupyter does, and prints a JSON list of what each code cell printed. */
const RUN_IN_KERNEL = `
import json, os, sys, tempfile
import nbformat
from nbclient import NotebookClient

with tempfile.TemporaryDirectory() as folder:
    os.environ["JUPYTER_PATH"] = folder
    os.makedirs(folder + "/kernels/deno")
    command = ["deno", "jupyter", "--kernel", "--conn", "{connection_file}"]
    with open(folder + "/kernels/deno/kernel.json", "w") as spec:
        json.dump({"argv": command, "display_name": "Deno", "language": "typescript"}, spec)
    notebook = nbformat.read(sys.argv[1], 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.outputs = []
    NotebookClient(notebook, kernel_name="deno", timeout=300).execute(cwd=".")
    print(json.dumps(["".join(output.get("text", "") for output in cell.outputs) for cell in cells]))
`;

/** What each cell prints in Jupyter, which may lose all but one output of a cell. */
async function runInKernel(): Promise<string[]> {
  const args = ["-c", RUN_IN_KERNEL, PATH];
  const { code, stdout, stderr } = await new Deno.Command("/usr/bin/python3", {
    args,
    env: { NO_COLOR: "1" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code !== 0) {
    const reason = decode(stderr).trim().split("\n").at(-1);
    throw new Error(`Cannot run ${PATH} in Jupyter's kernel: ${reason}`);
  }
  return JSON.parse(decode(stdout));
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
