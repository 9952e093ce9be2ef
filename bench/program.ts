// deno-lint-ignore-file no-console
/** What every benchmark is: a command that prints tables for people, or all numbers as JSON. */

import { EXIT, runCommand } from "../src/cli/errors.ts";
import type { Command, FlagTable, FlagValues } from "../src/cli/flag_types.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { describeEnvironment, machineText } from "../src/run/environment.ts";

/** Runs a benchmark as a command, which also knows `--json`, and ends the program.
 *
 * @param measure Prints its tables, and resolves with all numbers; where these say that something is not
 * as it should be, `failed`, the exit code is 1.
 */
export async function runBenchmark<const Table extends FlagTable>(
  { flags, ...command }: Command<Table>,
  measure: (
    flags: FlagValues<Table>,
    print: (text: string) => void,
  ) => Promise<Readonly<Record<string, unknown>>>,
): Promise<never> {
  const help = "print one JSON object; tables go to standard error";
  const own = defineCommand({ ...command, flags: { json: { type: "boolean", help } } });
  return await runCommand(async (args) => {
    const parsed = parseFlags({ ...own, flags: { ...flags, ...own.flags } }, args).flags;
    const { json } = parsed as FlagValues<typeof own.flags>;
    const print = json ? console.error : console.log;
    const [machine, date] = [machineText(describeEnvironment()), new Date().toISOString()];
    print(`${machine}, ${date.slice(0, 10)}\n`);
    const numbers = await measure(parsed as FlagValues<Table>, print);
    if (json) console.log(JSON.stringify({ machine, date, ...numbers }, undefined, 2));
    return numbers.failed ? EXIT.failure : EXIT.ok;
  });
}
