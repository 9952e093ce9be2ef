/** The help text of a command, made from the same table that parses its flags. */
import type { Command, FlagSpec, Positionals } from "./flag_types.ts";
import { COMMON_FLAGS, isNegatable, placeholderOf } from "./flags.ts";

/** Makes the help text of a command. */
export function helpText(command: Command): string {
  const { summary, usage, examples, positionals } = command;
  const flags = Object.entries({ ...command.flags, ...COMMON_FLAGS });
  const rows = flags.map(([name, spec]) => [flagLabel(name, spec), flagHelp(spec)] as const);
  const argument = positionals ? ` ${argumentText(positionals)}` : "";
  if (positionals) rows.unshift([positionals.placeholder, positionals.help]);
  const commands = examples.map(([args, purpose]) => [`${usage} ${args}`.trim(), purpose] as const);
  return [
    summary,
    "",
    `Usage: ${usage}${argument} [flags]`,
    ...(examples.length > 0 ? ["", "Examples:", ...columns(commands, "# ")] : []),
    "",
    positionals ? "Arguments and flags:" : "Flags:",
    ...columns(rows, ""),
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

/** Two columns of text, indented. */
export function columns(rows: readonly (readonly [string, string])[], mark: string): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${mark}${right}`.trimEnd());
}
