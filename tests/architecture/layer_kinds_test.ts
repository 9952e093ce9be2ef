/** "Adding a layer" of CONTRIBUTING.md: a kind is one file, and the compiler names who must know it. */

import { join, relative } from "node:path";
import { assert, assertEquals } from "../assert.ts";
import { canRunCommands, ROOT, runDeno } from "../cli/command.ts";
import { withTempDir } from "../temp.ts";

const ignore = !canRunCommands();

/** Halves its input: as small as a kind can be. */
const HALVE = `
import type { LayerDefinition, Named, Placed, Shape } from "./layer.ts";
export type HalveSpec = Named<"halve">;
export type HalveLayer = Placed<Shape, Shape> & Pick<HalveSpec, "type">;
export const HALVE: LayerDefinition<HalveSpec, HalveLayer> = {
  fields: {},
  place: ({ type }, { name, inputs, inputShape }) => (
    { type, name, inputs, inputShape, outputShape: inputShape, parameters: [] }
  ),
  cost: () => ({ macs: 0 }),
};
`;

const FORWARD_AND_BACKWARD = `  halve: {
    forward: (_layer, { inputs: [input] }) => input.map((x) => x / 2),
    backward: (_layer, { gradOutput }) => [gradOutput.map((g) => g / 2)],
  },
  conv2d,`;

Deno.test({
  name: "the compiler names the table of every engine and format that does not know a new kind",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const src = join(folder, "src");
      for (const part of ["src", "packages"]) {
        await copyFolder(join(ROOT, part), join(folder, part));
      }
      await Deno.writeTextFile(join(src, "nn/layers/halve.ts"), HALVE);
      await edit(join(src, "nn/layers/table.ts"), [
        [
          "import { LINEAR",
          'import { HALVE, type HalveLayer, type HalveSpec } from "./halve.ts";\nimport { LINEAR',
        ],
        ["  | FlattenSpec\n", "  | FlattenSpec\n  | HalveSpec\n"],
        ["  | FlattenLayer\n", "  | FlattenLayer\n  | HalveLayer\n"],
        ["  flatten: FLATTEN,\n", "  flatten: FLATTEN,\n  halve: HALVE,\n"],
      ]);
      await edit(join(src, "backends/reference/network.ts"), [[
        "  conv2d,\n",
        FORWARD_AND_BACKWARD,
      ]]);
      const named = await filesWithErrors(folder, "mod.ts");
      assertEquals(named, [
        "src/backends/tfjs/layers.ts",
        "src/backends/wasm/layers/table.ts",
        "src/backends/webgpu/layers/table.ts",
        "src/formats/c/layers.ts",
        "src/formats/layers_model/layers.ts",
        "src/formats/onnx/layers.ts",
      ]);
      // The kind's own file, the table of kinds and the reference's table know it already.
      assert(named.length + 3 <= 9, `expected at most 9 files, found ${named}`);

      const program = join(folder, "program.ts");
      await Deno.writeTextFile(
        program,
        `import { sequential } from "./src/nn/sequential.ts";
        import { flatten, linear } from "./src/nn/layers.ts";
        import { forward } from "./src/backends/reference/network.ts";
        const model = sequential([flatten(), linear({ outFeatures: 1 }), { type: "halve" }], {
          inputShape: [1, 1, 1],
        });
        const batch = { mode: "eval", images: Float64Array.of(5) };
        console.log(forward(model, Float64Array.of(3, 1), batch).at(-1)![0]);`,
      );
      const config = join(ROOT, "deno.json");
      const { stdout, stderr } = await runDeno(["run", "--no-check", "--config", config, program]);
      assertEquals(stdout, "8\n", stderr);
    }),
});

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    // AssemblyScript is compiled by itself.
    if (isDirectory && name !== "assembly") await copyFolder(join(from, name), join(to, name));
    else if (!isDirectory) await Deno.copyFile(join(from, name), join(to, name));
  }
}

async function edit(path: string, changes: readonly (readonly [string, string])[]): Promise<void> {
  let text = await Deno.readTextFile(path);
  for (const [before, after] of changes) {
    assert(text.includes(before), `expected ${JSON.stringify(before)} in ${path}`);
    text = text.replace(before, after);
  }
  await Deno.writeTextFile(path, text);
}

/** Files that do not compile, sorted. */
async function filesWithErrors(folder: string, entry: string): Promise<string[]> {
  for (const name of [entry, "data.ts", "web.ts"]) {
    await Deno.copyFile(join(ROOT, name), join(folder, name));
  }
  const { stderr } = await runDeno([
    "check",
    "--config",
    join(ROOT, "deno.json"),
    join(folder, entry),
    join(folder, "src/backends/wasm/engine_worker.ts"),
  ]);
  const paths = [...stderr.matchAll(/at (file:\S+?):\d+:\d+/g)]
    .map(([, url]) => relative(folder, new URL(url).pathname));
  return [...new Set(paths)].filter((path) => path.startsWith("src/")).sort();
}
