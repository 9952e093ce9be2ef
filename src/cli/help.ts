/** The help text of a command, made from the same table that parses its flags. */
import { widthOf, wrapLine } from "./wrap.ts";
import type { Command, FlagSpec, Positionals } from "./flag_types.ts";
import { COMMON_FLAGS, isNegatable, placeholderOf } from "./flags.ts";

/** Makes the help text of a command. */
export function helpText(command: Command): string {
  const { summary, usage, examples, positionals } = command;
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
