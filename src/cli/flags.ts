/** Strict command-line flags from one table per command. */
import { HelpAsked, UsageError } from "./errors.ts";
import type {
  Command,
  FlagSpec,
  FlagTable,
  FlagValues,
  NumberRange,
  Parsed,
  Positionals,
  ValueFlag,
} from "./flag_types.ts";
import { COMMON_FLAGS, helpText, isNegatable, placeholderOf } from "./help.ts";
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
  if (asksForHelp(args)) throw new HelpAsked(helpText(command, args));
  const table: FlagTable = { ...command.flags, ...COMMON_FLAGS };
  const entries = Object.entries(table);
  const namesOf = (isOne: (spec: FlagSpec) => boolean) =>
    entries.filter(([, spec]) => isOne(spec)).map(([name]) => name);
  const booleans = namesOf(({ type }) => type === "boolean");
  const valued = namesOf(({ type }) => type !== "boolean");
  const negatable = namesOf(isNegatable);
  refuseBooleanValues(args, { booleans, negatable });
  const parsed = parseArgs(joinNegativeNumbers(args, valued), {
    boolean: booleans,
    string: ["_", ...valued],
    collect: namesOf(({ type }) => type === "repeated"),
    negatable,
    alias: { h: "help" },
    // Left to itself, the parser gives every boolean that is not there the value false.
    default: Object.fromEntries(booleans.map((name) => [name, table[name].default ?? false])),
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw unknownFlag(arg, Object.keys(table));
    },
  });
  const flags = entries.map((
    [name, spec],
  ) => [
    camelCase(name),
    flagValue(name, spec, Object.hasOwn(parsed, name) ? parsed[name] : undefined),
  ]);
  checkPositionals(parsed._, command.positionals);
  return { flags: Object.fromEntries(flags) as FlagValues<Table>, positionals: parsed._ };
}

/** Suggests the nearest of some words, for the end of an error message; nothing where none is near. */
export function didYouMean(word: string, known: readonly string[], separator = "; "): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `${separator}did you mean ${meant}?`;
}

/** Share of a word's letters that may be wrong, and a little for the end of a longer one. */
const MISTAKES = 0.4;

/** Finds the known word nearest to a mistyped or shortened one; undefined where none is near.
 *
 * A swap of neighbours counts as one mistake, and leaving out the end of a long word as little:
 * `--froce` means `--force`, `fashon` means `fashion-mnist`.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const [found, count] = known.map((one) => [one, mistakes(word, one)] as const)
    .reduce((best, other) => other[1] < best[1] ? other : best, ["", Infinity]);
  return count <= MISTAKES * word.length + 0.5 ? found : undefined;
}

/** Optimal string alignment distance to the nearest beginning of `known`, and a little for the rest. */
function mistakes(word: string, known: string): number {
  const rows = [Array.from({ length: known.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= word.length; i++) {
    const row = [i];
    for (let j = 1; j <= known.length; j++) {
      const isSame = word[i - 1] === known[j - 1];
      let least = Math.min(
        rows[i - 1]![j]! + 1,
        row[j - 1]! + 1,
        rows[i - 1]![j - 1]! + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && word[i - 1] === known[j - 2] && word[i - 2] === known[j - 1]) {
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      }
      row.push(least);
    }
    rows.push(row);
  }
  return Math.min(
    ...rows[word.length]!.map((distance, length) => distance + (known.length - length) * 0.1),
  );
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? undefined : end).some((arg) => arg === "--help" || arg === "-h");
}

/** The parser takes any word but "false" for true, and any value of a `--no-` flag for none. */
function refuseBooleanValues(
  args: readonly string[],
  { booleans, negatable }: Readonly<Record<"booleans" | "negatable", readonly string[]>>,
): void {
  for (const arg of args) {
    if (arg === "--") return;
    const [, no, name, value] = /^--(no-)?([^=]+)=(.*)$/s.exec(arg) ?? [];
    if (no && negatable.includes(name)) throw unknownFlag(arg, negatable);
    if (no || !booleans.includes(name) || value === "true" || value === "false") continue;
    throw new UsageError(`Invalid --${name} "${value}": expected no value, true or false`);
  }
}

/** The parser takes any word that starts with a dash for a flag: `--lr -1` has a value. */
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

/** What a flag was given as its value: of one that may be repeated a list, which is empty by default. */
function flagValue(name: string, spec: FlagSpec, given: unknown): unknown {
  if (spec.type === "boolean") return given;
  if (spec.type === "repeated") {
    return [given ?? []].flat().map((text) => valueOf(name, spec, String(text)));
  }
  return given === undefined ? spec.default : valueOf(name, spec, String(given));
}

function valueOf(name: string, spec: ValueFlag, text: string) {
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
    case "repeated":
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

function parseNumber(text: string, type: "integer" | "number"): number | undefined {
  const form = type === "integer" ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const value = Number(text);
  if (!form.test(text) || !Number.isFinite(value)) return undefined;
  return type === "number" || Number.isSafeInteger(value) ? value : undefined;
}

function isInRange(value: number, spec: NumberRange): boolean {
  return value >= (spec.min ?? -Infinity) && value <= (spec.max ?? Infinity) &&
    value > (spec.exclusiveMin ?? -Infinity) && value < (spec.exclusiveMax ?? Infinity);
}

function expectation(spec: ValueFlag): string {
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

function rangeText({ min, exclusiveMin, max, exclusiveMax }: NumberRange): string {
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
