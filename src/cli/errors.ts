// deno-lint-ignore-file no-console
/** How every command ends: one clear line for an error, and the right exit code. */

import process from "node:process";
import { UnreadablePicturesError } from "../data/errors.ts";
import { unlessClosed, widthOf, wrapLine } from "./wrap.ts";
import { printable, quoteWhole } from "../quote.ts";
import { systemReason, withoutNumber } from "../system_reason.ts";

/** A command line that cannot be understood; the program ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The help that a command line asks for, as the message; the program prints it and ends with 0. */
export class HelpAsked extends Error {
  override readonly name = "HelpAsked";
}

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** As a shell reports a program ended by SIGINT. */
  interrupted: 130,
} as const;

/** Runs a command and ends the program.
 *
 * An error becomes one line on standard error, with its stack only after `--debug`.
 *
 * @param command Takes the arguments and resolves with the exit code.
 */
export async function runCommand(
  command: (args: string[]) => Promise<number>,
  args: string[] = Deno.args,
): Promise<never> {
  const debug = args.includes("--debug");
  surviveClosedTerminal();
  // Where files may become only so large, a write is to fail: the signal would end all without a word.
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGXFSZ", () => {});
  // An error outside the command's own chain of promises: in a stray timer, a listener or a worker.
  const endBy = (event: Event, error: unknown) => {
    event.preventDefault();
    Deno.exit(report(error, debug));
  };
  globalThis.addEventListener("unhandledrejection", (event) => endBy(event, event.reason));
  globalThis.addEventListener(
    "error",
    (event) => endBy(event, event.error ?? new Error(event.message)),
  );
  try {
    Deno.exit(await command(args));
  } catch (error) {
    Deno.exit(report(error, debug));
  }
}

/** Lets what is printed on a terminal that has been closed be lost, instead of ending the program.
 *
 * A pipe that nobody reads any more needs no such care: `console` does not mind it, as all else does
 * that writes to a pipe. What a full disk does not take of a file is an error.
 */
function surviveClosedTerminal(): void {
  const { log, error } = console;
  if (Deno.stdout.isTerminal()) console.log = (...args) => unlessClosed(() => log(...args));
  if (!Deno.stderr.isTerminal()) return;
  console.error = (...args) => unlessClosed(() => error(...args));
  process.stderr.on("error", () => {}); // for the progress bar
}

/** Runs a task that Ctrl-C, SIGTERM and the end of its terminal are to stop: its signal aborts, so that it can clean up.
 *
 * A second Ctrl-C ends the program at once.
 *
 * @throws {InterruptedError} By way of the signal's reason, if the task throws it.
 */
export async function withInterrupt<Result>(
  task: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) Deno.exit(EXIT.interrupted);
    controller.abort(new InterruptedError("Interrupted; run again to go on"));
  };
  const signals = stopSignals();
  for (const name of signals) Deno.addSignalListener(name, onSignal);
  try {
    return await task(controller.signal);
  } finally {
    for (const name of signals) Deno.removeSignalListener(name, onSignal);
  }
}

function stopSignals(): Deno.Signal[] {
  if (Deno.build.os === "windows") return ["SIGINT"];
  // Without a terminal SIGHUP keeps its meaning: nohup has it ignored, which listening would undo.
  const hasTerminal = [Deno.stdin, Deno.stdout, Deno.stderr].some((end) => end.isTerminal());
  return ["SIGINT", "SIGTERM", ...(hasTerminal ? ["SIGHUP"] as const : [])];
}

/** The user stopped the program. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
}

/** How V8 words that it cannot have the memory that it was asked for. */
const OUT_OF_MEMORY =
  /allocation failed|could not allocate|memory size exceeded|invalid (typed )?array( buffer)? length/i;

/** Says in one line what went wrong and what to do. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `Unexpected: ${firstLine(String(error))}`;
  const message = firstLine(error.message);
  if (error instanceof Deno.errors.NotCapable) {
    return `Permission missing: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
  }
  const system = systemReason(error);
  if (system) {
    const places = /: \w+ '(.*)'/s.exec(error.message)?.[1]?.split("' -> '").map(quoteWhole);
    return places
      ? `${system.found} (${places.join(" to ")}); ${system.advice}`
      : `${system.found}; ${system.advice}`;
  }
  if (error instanceof RangeError && OUT_OF_MEMORY.test(message)) {
    return `Out of memory (${message}); use a smaller --batch-size, model or dataset`;
  }
  return withoutNumber(message) || error.name;
}

function report(error: unknown, debug: boolean): number {
  if (error instanceof HelpAsked) {
    console.log(error.message);
    return EXIT.ok;
  }
  const message = describeError(error);
  const line = `error: ${message}`;
  console.error(Deno.stderr.isTerminal() ? wrapLine(line, widthOf(Deno.stderr)) : line);
  if (error instanceof UnreadablePicturesError && Deno.args.includes("--json")) {
    const { unreadable } = error;
    console.log(JSON.stringify({ type: "error", message, unreadable }));
  }
  if (debug) console.error(error);
  if (error instanceof InterruptedError) return EXIT.interrupted;
  return error instanceof UsageError ? EXIT.usage : EXIT.failure;
}

/** Messages name files and addresses: nothing in them may steer a terminal either. */
function firstLine(text: string): string {
  return printable(text.split("\n", 1)[0]!.trim());
}
