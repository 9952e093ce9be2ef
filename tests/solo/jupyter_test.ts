/** The lesson's notebook in Jupyter, whose client loses what cells print where the machine is busy. */

import { assertEquals, assertMatch } from "../assert.ts";
import { canRunCommands, runTask } from "../cli/command.ts";
import { granted } from "../permissions.ts";

/** Debian's Python, whose package python3-nbclient runs notebooks. */
const PYTHON = "/usr/bin/python3";

async function hasNotebookClient(): Promise<boolean> {
  if (!canRunCommands() || !granted({ name: "run", command: PYTHON })) return false;
  try {
    const args = ["-c", "import nbclient"];
    return (await new Deno.Command(PYTHON, { args, stderr: "null" }).output()).success;
  } catch {
    return false; // no Python
  }
}

Deno.test({
  name: "the lesson's notebook prints the same in Jupyter, by Deno's kernel (python3-nbclient)",
  ignore: !await hasNotebookClient(),
  fn: async () => {
    const { code, stdout, stderr } = await runTask("notebook", ["--check", "--kernel"]);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^7 cells of docs\/lesson.ipynb ran\n$/);
  },
});
