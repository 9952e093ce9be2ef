/** What a run records of where its dataset was leads back to that dataset, or nowhere. */
import { basename, dirname } from "node:path";
import { recordedDataset, recordedPath } from "../../src/cli/recorded_path.ts";
import { FILE_NAMES } from "../../src/data/registry.ts";
import { assertEquals, assertMatch } from "../assert.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, outcomeOf, ROOT, runDeno } from "./command.ts";
import { startTrain, writeNoise } from "./runs.ts";

Deno.test({
  name: "a folder's recorded name is never a known dataset's, empty, or a path that leads out",
  ignore: !granted({ name: "read", path: "." }),
  fn() {
    const cases = [
      ["mnist", "mnist"],
      ["./mnist", "./mnist"],
      ["mnist/", "./mnist"],
      ["../mnist", "./mnist"],
      ["/elsewhere/fashion-mnist", "./fashion-mnist"],
      ["photos/own", "./photos/own"],
      ["..photos", "./..photos"],
      ["..photos/own", "./..photos/own"],
      ["..", `./${basename(dirname(Deno.cwd()))}`],
      [".", "."],
      [Deno.cwd(), "."],
    ];
    for (const [name, expected] of cases) assertEquals(recordedDataset(name), expected, name);
    assertEquals(recordedPath("model.onnx"), "model.onnx");
    assertEquals(recordedPath("/elsewhere/model.onnx"), "model.onnx");
  },
});

Deno.test({
  name: "eval, resume: a run on a folder called like a known dataset uses that folder alone",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const [work, elsewhere] = [`${folder}/work`, `${folder}/elsewhere/sample`];
      await writeNoise(`${work}/sample`);
      await writeNoise(elsewhere);
      const trained = await Promise.all(["./sample", elsewhere].map((dataset, n) =>
        outcomeOf(startTrain([
          ...[`--dataset=${dataset}`, "--model=softmax", "--backend=reference", "--max-steps=1"],
          ...[`--out=runs/${n}`, "--quiet"],
        ], { folder: work }))
      ));
      assertEquals(trained, Array(2).fill({ code: 0, stdout: "", stderr: "" }));
      const evaluate = (...args: string[]) =>
        runDeno([
          ...["run", "--no-prompt", "--allow-read", `${ROOT}scripts/eval.ts`],
          ...["--backend=reference", "--json", ...args],
        ], { cwd: work });
      const own = await evaluate("--run=runs/0");
      assertEquals([own.code, own.stderr], [0, ""]);
      const { dataset, count } = JSON.parse(own.stdout);
      assertEquals([dataset, count], ["./sample", 50]);

      // Of the same name and shape, and other content.
      const labels = `${work}/sample/${FILE_NAMES.testLabels}`;
      const bytes = await Deno.readFile(labels);
      bytes[8] = 3;
      await Deno.writeFile(labels, bytes);
      await assertRefused(/^error: Cannot evaluate runs\/1 on dataset ".\/sample": its content is/);
      assertEquals((await evaluate("--run=runs/1", `--dataset=${elsewhere}`)).code, 0);
      await Deno.remove(`${work}/sample`, { recursive: true });
      await assertRefused(
        /runs\/1 was trained on: .* folder ".\/sample", found none; give it with --dataset DIR$/,
      );
      const resumed = await outcomeOf(startTrain(["--resume=runs/0", "--max-steps=2"], {
        folder: work,
      }));
      assertEquals([resumed.code, resumed.stdout], [1, ""]);
      assertMatch(
        resumed.stderr,
        /^error: Cannot find the dataset that runs\/0 was trained on: .*\n$/,
      );

      async function assertRefused(message: RegExp) {
        const { code, stdout, stderr } = await evaluate("--run=runs/1");
        assertEquals([code, stdout, linesOf(stderr).length], [1, "", 1], stderr);
        assertMatch(stderr.trimEnd(), message);
      }
    }),
});
