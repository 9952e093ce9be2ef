/** What all tasks have in common on the command line. */

import configuration from "../../deno.json" with { type: "json" };
import { assertEquals } from "../assert.ts";
import { canRunCommands, runTask } from "./command.ts";

const TASKS = Object.entries(configuration.tasks)
  .filter(([, { command }]) => command.startsWith("deno run "))
  .map(([name]) => name);

Deno.test({
  name: "every task shows its usage for --help, and refuses in one line a flag that it lacks",
  ignore: !canRunCommands(),
  fn: async () => {
    const forms = new Map<string, string>();
    for (const task of TASKS) {
      const [help, wrong] = await Promise.all([
        runTask(task, ["--help"]),
        runTask(task, ["--hepl"]),
      ]);
      const usage = help.stdout.split("\n").find((line) => line.startsWith("Usage: "));
      const known = usage?.startsWith(`Usage: deno task ${task} `);
      assertEquals({ task, code: help.code, stderr: help.stderr, known }, {
        task,
        code: 0,
        stderr: "",
        known: true,
      });
      // Commands differ in what a flag is for, not in whether it has a value.
      for (
        const [, name, value] of help.stdout.matchAll(/^ {2}--(?:\[no-\])?(\S+)( [A-Z]\S*)?/gm)
      ) {
        const form = value === undefined ? "a switch" : "a value";
        assertEquals([task, name, form], [task, name, forms.get(name) ?? form]);
        forms.set(name, form);
      }
      assertEquals({ task, ...wrong }, {
        task,
        code: 2,
        stdout: "",
        stderr: "error: Unknown flag --hepl: did you mean --help? --help lists all flags\n",
      });
    }
  },
});
