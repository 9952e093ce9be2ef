/** The library in another Deno project: by its path, or linked, without a copy of its import map. */

import { join } from "node:path";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import config from "../../deno.json" with { type: "json" };
import { withTempDir } from "../temp.ts";
import { canRunCommands, ROOT, runDeno } from "./command.ts";

/** Trains on its own arrays and on TensorFlow.js, reads a picture, and reads and writes ONNX. */
const program = (specifier: string, backends: readonly string[]) => `
  import {
    decodeOnnx, decodePictures, encodeOnnx, evaluate, type LabeledImages, lenet, openBackend, train,
  } from ${JSON.stringify(specifier)};

  const picture = Deno.readFileSync(Deno.args[0]);
  const { images, count, shape } = decodePictures([picture, picture], { width: 28, height: 28 });
  const data: LabeledImages = { images, labels: Uint8Array.of(3, 3), count, shape };
  for (const name of ${JSON.stringify(backends)} as const) {
    await using session = await openBackend(name, lenet(), { optimizer: { type: "adam" } });
    await train(session, { train: data }, { epochs: 20, learningRate: 0.01, schedule: () => 1 });
    const { accuracy } = await evaluate(session, data);
    const { parameters } = await session.readState();
    const { model } = decodeOnnx(encodeOnnx({ model: lenet(), parameters }), "model.onnx");
    console.log(name, accuracy, model.parameterCount);
  }`;

const CASES = [
  {
    how: "by its path",
    specifier: join(ROOT, "mod.ts"),
    project: {},
    backends: ["wasm", "tfjs-wasm"],
    flags: ["--check"],
  },
  {
    how: "linked",
    specifier: `jsr:${config.name}@${config.version}`,
    project: { links: [ROOT] },
    backends: ["wasm"],
    flags: [],
  },
];

for (const { how, specifier, project, backends, flags } of CASES) {
  Deno.test({
    name: `another project imports the library ${how}, whatever its own import map`,
    ignore: !canRunCommands(),
    fn: () =>
      withTempDir(async (cwd) => {
        await Deno.writeTextFile(join(cwd, "deno.json"), JSON.stringify(project));
        await Deno.writeTextFile(join(cwd, "main.ts"), program(specifier, backends));
        const picture = join(ROOT, "tests/fixtures/pictures/grey_alpha.png");
        const run = ["run", ...flags, "--no-lock", "--allow-read", "--allow-env", "--allow-sys"];
        const { code, stdout, stderr } = await runDeno([...run, "main.ts", picture], { cwd });
        assertEquals(code, 0, stderr);
        assertEquals(stdout, backends.map((name) => `${name} 1 61706\n`).join(""));
      }),
  });
}

Deno.test({
  name: "packages that are named where they are imported are of the import map's versions",
  ignore: !canRunCommands(),
  fn: async () => {
    const versions = Object.values(config.imports).filter((target) => target.startsWith("npm:"))
      .map((target) => /^npm:\/?(@?[^@]+@[^/]+)/.exec(target)![1]);
    let found = 0;
    for (const folder of ["src", "packages"]) {
      for await (const path of modulesIn(join(ROOT, folder))) {
        const imports = /(?:\bfrom|\bimport) ?\(?\s*"npm:\/?(@?[^@"]+@[^/"]+)/g;
        for (const [, named] of (await Deno.readTextFile(path)).matchAll(imports)) {
          found++;
          if (path.includes("jax_peer")) continue; // which only comparisons download
          assert(versions.includes(named), `${path} imports ${named}, deno.json has another`);
        }
      }
    }
    assert(found > 20, `expected imports by npm:, found ${found}`);
    for (const version of versions) assertMatch(version, /^@?[\w./-]+@\d+\.\d+\.\d+/);
  },
});

async function* modulesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory && name !== "assembly" && name !== "node_modules") yield* modulesIn(path);
    else if (name.endsWith(".ts")) yield path;
  }
}
