/** The programs of examples/ and the lesson's notebook, run as their first lines say. */

import { encode } from "fast-png";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, ROOT, runDeno, runTask } from "./command.ts";

const ignore = !canRunCommands();

/** Runs an example with the permissions that it asks for. */
async function runExample(name: string, ...args: string[]): Promise<string[]> {
  const path = `${ROOT}examples/${name}.ts`;
  const [, flags] = /deno run ((?:--[\w-]+ )+)examples/.exec(await Deno.readTextFile(path)) ?? [];
  assert(flags !== undefined, `expected ${name} to say how it is run`);
  const { code, stdout, stderr } = await runDeno(
    ["run", "--quiet", "--no-prompt", ...flags.trim().split(" "), path, ...args],
    { env: { XDG_RUNTIME_DIR: "/tmp" } },
  );
  assertEquals([code, stderr], [0, ""]);
  return linesOf(stdout);
}

function numberIn(line: string | undefined, pattern: RegExp): number {
  return Number(pattern.exec(line ?? "")?.[1]);
}

Deno.test({
  name: "examples: LeNet, a model and a loop of one's own learn the sample",
  ignore,
  fn: async () => {
    const [lenet, model, loop] = await Promise.all(
      ["lenet", "own_model", "training_loop"].map((name) => runExample(name)),
    );
    assert(numberIn(lenet.at(-1), /^after training: .* accuracy (\S+)$/) > 0.6, lenet.join("\n"));
    assert(numberIn(model.at(-1), /^best test accuracy (\S+) in 120 steps$/) > 0.6);
    assert(numberIn(loop.at(-1), /^epoch \d+ {2}.* accuracy (\S+) /) > 0.7, loop.join("\n"));
  },
});

Deno.test({
  name: "examples: a TensorFlow.js program trains on wasm, and a picture is classified",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const path = `${folder}/bag.png`;
      // A bag as a child draws it: a light box with a handle.
      const data = new Uint8Array(28 * 28);
      for (let y = 12; y < 26; y++) data.fill(200, y * 28 + 3, y * 28 + 25);
      for (let y = 5; y < 12; y++) {
        data.fill(150, y * 28 + 9, y * 28 + 11).fill(150, y * 28 + 17, y * 28 + 19);
      }
      await Deno.writeFile(path, encode({ width: 28, height: 28, data, channels: 1 }));
      const [tfjs, classes] = await Promise.all([
        runExample("tfjs_wasm"),
        runExample("classify", path),
      ]);
      const losses = tfjs.map((line) => numberIn(line, /^epoch \d: loss (\S+) on wasm$/));
      assertEquals(losses.length, 3);
      assert(losses[2] < losses[0], `${losses}`);
      assertEquals(classes.length, 3);
      assertMatch(classes[0], /^Bag +\d+\.\d%$/);
    }),
});

Deno.test({
  name: "the lesson's notebook runs from its first cell to its last, and has its output saved",
  ignore,
  fn: async () => {
    const { code, stdout, stderr } = await runTask("notebook", ["--check"]);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^7 cells of docs\/lesson.ipynb ran\n$/);
  },
});
