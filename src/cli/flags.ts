/** Strict command-line flags from one table per command. */
import { HelpAsked, UsageError } from "./errors.ts";
import type {
  Command,
  FlagSpec,
  FlagTable,
  FlagValues,
  NumberFlag,
  Parsed,
  Positionals,
} from "./flag_types.ts";
import { COMMON_FLAGS, helpText, isNegatable, placeholderOf } from "./help.ts";
import { nearest } from "./nearest.ts";
// @ts-types="./std.d.ts"
import { parseArgs } from "@std/cli/parse-args";

/** `--json` of a command with one answer. */
export const JSON_FLAG = {
  type: "boolean",
  help: "print one JSON object on standard output",
} as const satisfies FlagSpec;

/** `--json` and `--quiet` of a command that goes on for a while. */
export const OUTPUT_FLAGS = {
  quiet: { type: "boolean", help: "print nothing but errors" },
  json: { type: "boolean", help: "print one JSON object a line on standard output" },
} as const satisfies FlagTable;

/** Declares a command, so that TypeScript knows the type of every flag's value. */
export function defineCommand<const Table extends FlagTable>(
  command: Command<Table>,
): Command<Table> {
  return command;
}

/** Parses a command line strictly.
 *
 * A flag given twice counts as given last. `--flag value` and `--flag=value` are the same; a value
 * that starts with a dash needs the second form. What follows `--` is positional.
 *
 * @throws {HelpAsked} If help is asked for; nothing else is checked then.
 * @throws {UsageError} If a flag is unknown, lacks its value or has one that is not accepted, or
 * if there are too few or too many positional arguments.
 * @example
 * const command = defineCommand({ usage: "deno task train", summary: "...", examples: [],
 *   flags: { "batch-size": { type: "integer", min: 1, default: 256, help: "images per step" } } });
 * const batchSize: number = parseFlags(command, Deno.args).flags.batchSize;
 */
export function parseFlags<const Table extends FlagTable>(
  command: Command<Table>,
  args: readonly string[],
): Parsed<Table> {
  const table: FlagTable = { ...command.flags, ...COMMON_FLAGS };
  const entries = Object.entries(table);
  const booleans = entries.filter(([, spec]) => spec.type === "boolean").map(([name]) => name);
  const others = Object.keys(table).filter((name) => !booleans.includes(name));
  if (asksForHelp(args)) throw new HelpAsked(helpText(command, args));
  refuseBooleanValues(args, booleans);
  const parsed = parseArgs(joinNegativeNumbers(args, others), {
    boolean: booleans,
    string: ["_", ...others],
    collect: entries.filter(([, spec]) => spec.type === "repeated").map(([name]) => name),
    negatable: entries.filter(([, spec]) => isNegatable(spec)).map(([name]) => name),
    alias: { h: "help" },
    // Left to itself, the parser gives every boolean that is not there the value false.
    default: Object.fromEntries(booleans.map((name) => [name, table[name]!.default ?? false])),
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw unknownFlag(arg, Object.keys(table));
    },
  });
  const flags: Record<string, unknown> = {};
  for (const [name, spec] of entries) {
    const given = Object.hasOwn(parsed, name) ? parsed[name] : undefined;
    flags[camelCase(name)] = given === undefined
      ? spec.type === "repeated" ? [] : spec.default
      : valueOf(name, spec, given);
  }
  checkPositionals(parsed._, command.positionals);
  return { flags: flags as FlagValues<Table>, positionals: parsed._ };
}

/** Suggests the nearest of some words, for the end of an error message; nothing where none is near. */
export function didYouMean(word: string, known: readonly string[], separator = "; "): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `${separator}did you mean ${meant}?`;
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? undefined : end).some((arg) => arg === "--help" || arg === "-h");
}

/** The parser below takes any word but "false" for true: `--quiet=no` would mean yes. */
function refuseBooleanValues(args: readonly string[], booleans: readonly string[]): void {
  for (const arg of args) {
    if (arg === "--") return;
    const [, name, value] = /^--([^=]+)=(.*)$/s.exec(arg) ?? [];
    if (name === undefined || !booleans.includes(name)) continue;
    if (value !== "true" && value !== "false") {
      throw new UsageError(`Invalid --${name} "${value}": expected no value, true or false`);
    }
  }
}

/** The parser below takes any word that starts with a dash for a flag: `--lr -1` has a value. */
function joinNegativeNumbers(args: readonly string[], names: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const last = joined.at(-1);
    const expectsValue = last !== undefined && names.some((name) => last === `--${name}`);
    if (expectsValue && !joined.includes("--") && /^-[.\d]/.test(arg)) {
      joined[joined.length - 1] = `${last}=${arg}`;
    } else {
      joined.push(arg);
    }
  }
  return joined;
}

function unknownFlag(arg: string, known: readonly string[]): UsageError {
  const flag = arg.split("=")[0]!;
  const meant = nearest(flag.replace(/^-+/, ""), known);
  const hint = meant === undefined ? "" : ` did you mean --${meant}?`;
  return new UsageError(`Unknown flag ${flag}:${hint} --help lists all flags`);
}

function valueOf(name: string, spec: FlagSpec, given: unknown): unknown {
  if (spec.type === "boolean") return given;
  if (spec.type === "repeated") {
    return [given].flat().map((text) => valueOf(name, { ...spec, type: "string" }, text));
  }
  const text = String(given);
  const expected = expectation(spec);
  if (text === "") {
    throw new UsageError(
      `Missing value of --${name}: expected ${expected}, as in --${name}=${placeholderOf(spec)}`,
    );
  }
  const invalid = (hint = "") =>
    new UsageError(`Invalid --${name} "${text}": expected ${expected}${hint}`);
  switch (spec.type) {
    case "string":
      return text;
    case "integer":
    case "number": {
      const value = parseNumber(text, spec.type);
      if (value === undefined || !isInRange(value, spec)) throw invalid();
      return value;
    }
    case "choice":
      if (!spec.choices.includes(text)) throw invalid(didYouMean(text, spec.choices));
      return text;
    case "list": {
      const words = text.split(",").map((word) => word.trim());
      const { choices } = spec;
      const wrong = words.find((word) => word === "" || (choices && !choices.includes(word)));
      if (wrong === undefined) return words;
      throw invalid(choices && wrong ? didYouMean(wrong, choices) : "");
    }
  }
}

function parseNumber(text: string, type: NumberFlag["type"]): number | undefined {
  const form = type === "integer" ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const value = Number(text);
  if (!form.test(text) || !Number.isFinite(value)) return undefined;
  return type === "number" || Number.isSafeInteger(value) ? value : undefined;
}

function isInRange(value: number, spec: NumberFlag): boolean {
  return value >= (spec.min ?? -Infinity) && value <= (spec.max ?? Infinity) &&
    value > (spec.exclusiveMin ?? -Infinity) && value < (spec.exclusiveMax ?? Infinity);
}

function expectation(spec: Exclude<FlagSpec, { type: "boolean" }>): string {
  switch (spec.type) {
    case "string":
    case "repeated":
      return "a value";
    case "integer":
      return `an integer${rangeText(spec)}`;
    case "number":
      return `a number${rangeText(spec)}`;
    case "choice":
      return `one of ${spec.choices.join(", ")}`;
    case "list":
      return spec.choices
        ? `a comma-separated list of ${spec.choices.join(", ")}`
        : spec.offers?.join() ?? "a,b,c";
  }
}

function rangeText({ min, exclusiveMin, max, exclusiveMax }: NumberFlag): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  const limits = [
    min !== undefined ? `of ${min} or more` : "",
    exclusiveMin !== undefined ? `of more than ${exclusiveMin}` : "",
    max !== undefined ? `of ${max} or less` : "",
    exclusiveMax !== undefined ? `less than ${exclusiveMax}` : "",
  ].filter((limit) => limit !== "");
  return limits.length > 0 ? ` ${limits.join(" and ")}` : "";
}

function checkPositionals(given: readonly string[], spec: Positionals | undefined): void {
  const { min = 0, max = Infinity, placeholder } = spec ?? { max: 0, placeholder: "" };
  if (given.length < min) {
    throw new UsageError(`Missing ${placeholder}: expected ${min} or more, found ${given.length}`);
  }
  if (given.length > max) {
    throw new UsageError(`Unexpected argument "${given[max]}": --help shows what is accepted`);
  }
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
