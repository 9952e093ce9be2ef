/** The help text of a command, made from the same table that parses its flags. */
import { widthOf, wrapLine } from "./wrap.ts";
import config from "../../deno.json" with { type: "json" };
import type { Command, FlagSpec, FlagTable, Positionals, ValueFlag } from "./flag_types.ts";

/** Flags that every command has. */
export const COMMON_FLAGS = {
  help: { type: "boolean", help: "show this help" },
  debug: { type: "boolean", help: "show the stack of an error" },
} as const satisfies FlagTable;

/** Makes the help text of a command.
 *
 * @param args How it was called: a task that gives a command one of its flags, as `train:mpi` does, is named.
 */
export function helpText(command: Command, args: readonly string[] = []): string {
  const { summary, examples, positionals } = command;
  const names = args.map((arg) => arg.replace(/^--([^=]*).*/s, `${command.usage}:$1`));
  const usage = names.find((name) => TASKS.includes(name)) ?? command.usage;
  const flags = Object.entries({ ...command.flags, ...COMMON_FLAGS });
  const rows = flags.map(([name, spec]) => [flagLabel(name, spec), flagHelp(spec)] as const);
  const argument = positionals ? ` ${argumentText(positionals)}` : "";
  if (positionals) rows.unshift([positionals.placeholder, positionals.help]);
  const width = widthOf(Deno.stdout);
  return [
    wrapLine(summary, width),
    "",
    `Usage: ${usage}${argument} [flags]`,
    ...(examples.length > 0 ? ["", "Examples:"] : []),
    ...examples.flatMap(([args, purpose]) => [`  # ${purpose}`, `  ${usage} ${args}`.trimEnd()]),
    "",
    positionals ? "Arguments and flags:" : "Flags:",
    ...columns(rows, width),
  ].join("\n");
}

/** How the tasks of deno.json are called. */
const TASKS = Object.keys(config.tasks).map((task) => `deno task ${task}`);

/** `FILE`, `[FILE]`, `FILE...` or `[FILE...]`. */
function argumentText({ placeholder, min = 0, max }: Positionals): string {
  const text = max === 1 ? placeholder : `${placeholder}...`;
  return min === 0 ? `[${text}]` : text;
}

function flagLabel(name: string, spec: FlagSpec): string {
  if (spec.type === "boolean") return isNegatable(spec) ? `--[no-]${name}` : `--${name}`;
  return `--${name} ${placeholderOf(spec)}`;
}

function flagHelp(spec: FlagSpec): string {
  const choices = "choices" in spec ? spec.choices : undefined;
  const fallback = spec.defaultText ?? spec.default?.toString();
  const hasDefault = fallback !== undefined && !(spec.type === "boolean" && !spec.default);
  return spec.help + (choices ? `: ${choices.join(", ")}` : "") +
    (hasDefault ? ` (default: ${fallback})` : "");
}

/** Two columns of text, indented, the second broken to fit. */
export function columns(rows: readonly (readonly [string, string])[], width: number): string[] {
  const column = Math.max(...rows.map(([left]) => left.length)) + 4;
  return rows.map(([left, right]) =>
    wrapLine(`  ${left}`.padEnd(column) + right, width, column).trimEnd()
  );
}

/** Says whether a flag also has its `--no-` form. */
export function isNegatable(spec: FlagSpec): boolean {
  return spec.type === "boolean" && spec.negatable === true;
}

/** What help and messages call the value of a flag. */
export function placeholderOf(spec: ValueFlag): string {
  const general = {
    string: "TEXT",
    integer: "N",
    number: "X",
    choice: "NAME",
    list: "A,B,C",
    repeated: "TEXT",
  };
  return spec.placeholder ?? general[spec.type];
}
