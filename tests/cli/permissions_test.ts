/** Commands with less than their tasks grant: what they do not need, and what they leave alone. */

import { assert, assertEquals } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, type Outcome, ROOT, runDeno } from "./command.ts";

const ignore = !canRunCommands();
const CODE = ["data/sample", "packages", "src", "node_modules", "deno.json"].map((path) =>
  ROOT + path
).join();

/** Runs a script of the project in a folder, with these permissions alone. */
function run(
  folder: string,
  script: string,
  { grants, args }: { readonly grants: string[]; readonly args: string[] },
): Promise<Outcome> {
  const denials = ["net", "run", "ffi", "import"].map((kind) => `--deny-${kind}`);
  return runDeno(
    ["run", "--no-prompt", ...denials, ...grants, `${ROOT}scripts/${script}`, ...args],
    { cwd: folder },
  );
}

/** All files below a folder with their content, by path. */
async function contentOf(folder: string, below = ""): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    const path = `${below}${name}`;
    if (isDirectory) Object.assign(content, await contentOf(folder, `${path}/`));
    else content[path] = (await Deno.readFile(`${folder}/${path}`)).toBase64();
  }
  return content;
}

Deno.test({
  name:
    "training needs no network and writes below runs/ alone, without a folder of this machine in any file; eval and predict write nothing",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const trained = await run(folder, "train.ts", {
        grants: [`--allow-read=${folder},${CODE}`, `--allow-write=${folder}/runs`],
        args: ["--dataset=sample", "--model=softmax", "--backend=wasm", "--max-steps=2"],
      });
      assertEquals(trained.code, 0, trained.stderr);
      assertEquals(await namesIn(folder), ["runs"]);
      const [name] = await namesIn(`${folder}/runs`);

      const picture = `${folder}/picture.png`;
      await Deno.writeFile(picture, PICTURE);
      const before = await contentOf(folder);
      assert(Object.keys(before).length > 5, "the run has left its files");
      for (const [path, content] of Object.entries(before)) {
        const text = new TextDecoder("latin1").decode(Uint8Array.fromBase64(content));
        assert(![folder, ROOT].some((place) => text.includes(place)), `${path} names a folder`);
      }
      const grants = [`--allow-read=${folder},${CODE}`, "--deny-write"];
      const subject = [`--run=runs/${name}`, "--backend=wasm"];
      const outcomes = await Promise.all([
        run(folder, "eval.ts", { grants, args: [...subject, "--dataset=sample"] }),
        run(folder, "predict.ts", { grants, args: [...subject, picture] }),
      ]);
      for (const { code, stderr } of outcomes) assertEquals(code, 0, stderr);
      assertEquals(await contentOf(folder), before);
    }),
});

/** A grey PNG of 1 x 1. */
const PICTURE = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
);
