// deno-lint-ignore-file no-console
/** A program of several commands: its help, its version, and the way to each command. */

import { invocation } from "../quote.ts";
import { describeEnvironment } from "../run/environment.ts";
import { EXIT, UsageError } from "./errors.ts";
import type { Command } from "./flag_types.ts";
import { widthOf } from "./wrap.ts";
import { didYouMean } from "./flags.ts";
import { columns } from "./help.ts";
import { asksForMpi } from "./train_flags.ts";
import { keepPermissionsOf, taskDescription } from "./permissions.ts";

/** What the module of a command exports. */
export interface CommandModule {
  /** What it accepts. */
  readonly command: Command;
  /** Resolves with the exit code. */
  readonly run: (args: string[]) => Promise<number>;
}

/** Commands by name, each with a task of this name in deno.json, and imported only when asked for. */
export type CommandTable = Readonly<Record<string, () => Promise<CommandModule>>>;

/** What `--help` shows first. */
const EXAMPLES = [
  ["train", "LeNet on Fashion-MNIST, on the fastest backend of this machine"],
  ["eval", "how well the newest run does, class by class"],
  ["predict shoe.png", "what is in a picture"],
] as const;

const COMPLETION = "completion";
const COMPLETION_PURPOSE = "Print what makes a shell complete commands and flags";

/** Runs the command that the arguments name and returns the exit code.
 *
 * The command keeps the permissions of its task only.
 *
 * @throws {UsageError} If the command line cannot be understood.
 */
export async function runProgram(table: CommandTable, args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h") return say(programHelp(table));
  if (name === "--version") return say(versionText());
  if (name === COMPLETION) return (await import("./completion.ts")).completionCommand(rest);
  if (name === "complete") return await complete(table, rest);
  if (!Object.hasOwn(table, name)) throw unknownCommand(name, Object.keys(table));
  const task = name === "train" && asksForMpi(rest) ? "train:mpi" : name;
  await keepPermissionsOf(task, Object.keys(table), rest);
  const { run } = await table[name]!();
  return await run(rest);
}

function programHelp(table: CommandTable): string {
  const examples = EXAMPLES.map(([args, purpose]) => [invocation(args), purpose] as const);
  return [
    "Train, evaluate, compare and ship small convolutional classifiers of images.",
    "",
    `Usage: ${invocation("COMMAND")} [flags]`,
    "",
    "Examples:",
    ...examples.flatMap(([call, purpose]) => [`  # ${purpose}`, `  ${call}`]),
    "",
    "Commands:",
    ...columns(purposesOf(table), widthOf(Deno.stdout)),
    "",
    `${invocation("COMMAND")} --help shows what a command accepts, --version what this is.`,
  ].join("\n");
}

function versionText(): string {
  const { lenet, deno, v8, os, arch } = describeEnvironment();
  return `lenet ${lenet} (Deno ${deno}, V8 ${v8}, ${os} ${arch})`;
}

/** Answers the stubs of shells; the module of one command at most is imported. */
async function complete(table: CommandTable, words: readonly string[]): Promise<number> {
  const { completionAnswer } = await import("./completion.ts");
  const load = async (name: string) =>
    Object.hasOwn(table, name) ? (await table[name]()).command : undefined;
  return say(await completionAnswer(words, { commands: purposesOf(table), load }));
}

function purposesOf(table: CommandTable): (readonly [string, string])[] {
  const purposes = Object.keys(table).map((name) => [name, taskDescription(name)] as const);
  return [...purposes, [COMPLETION, COMPLETION_PURPOSE]];
}

function unknownCommand(name: string, names: readonly string[]): UsageError {
  const known = [...names, COMPLETION];
  const hint = name.startsWith("-")
    ? `expected a command first, one of ${known.join(", ")}`
    : `${didYouMean(name, known, "")} --help lists all commands`.trimStart();
  return new UsageError(
    `Unknown ${name.startsWith("-") ? "flag" : "command"} ${name}: ${hint}`,
  );
}

function say(text: string): number {
  console.log(text);
  return EXIT.ok;
}
