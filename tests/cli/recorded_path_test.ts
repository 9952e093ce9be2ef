/** What a run records of where its dataset was leads back to that dataset, or nowhere. */
import { basename, dirname } from "node:path";
import { recordedDataset, recordedPath, recordedWay } from "../../src/cli/recorded_path.ts";
import { FILE_NAMES } from "../../src/data/registry.ts";
import { assertEquals, assertMatch } from "../assert.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, outcomeOf, ROOT, runDeno } from "./command.ts";
import { canRunBash, runBash } from "./compiled_program.ts";
import { seen, startTrain, textOf, writeNoise } from "./runs.ts";

Deno.test({
  name: "a folder's recorded name is never a known dataset's, empty, or a path that leads out",
  ignore: !granted({ name: "read", path: "." }),
  fn() {
    const cases = [
      ["mnist", "mnist"],
      ["./mnist", "./mnist"],
      ["mnist/", "./mnist"],
      ["../mnist", ".../mnist"],
      ["/elsewhere/fashion-mnist", ".../fashion-mnist"],
      ["photos/own", "./photos/own"],
      ["..photos", "./..photos"],
      ["..photos/own", "./..photos/own"],
      ["..", `.../${basename(dirname(Deno.cwd()))}`],
      [".", "."],
      [Deno.cwd(), "."],
    ];
    for (const [name, expected] of cases) assertEquals(recordedDataset(name), expected, name);
    assertEquals(recordedPath("model.onnx"), "model.onnx");
    assertEquals(recordedPath("/elsewhere/model.onnx"), ".../model.onnx");
    const ways = [["runs/first", "../.."], ["first", ".."], ["../first", undefined]] as const;
    for (const [run, way] of ways) assertEquals(recordedWay(run), way, run);
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

      await assertRefused(/runs\/1 was .* the folder "sample" was not below .* --dataset DIR$/);
      // Of the same name and shape, and other content.
      const labels = `${work}/sample/${FILE_NAMES.testLabels}`;
      const bytes = await Deno.readFile(labels);
      bytes[8] = 3;
      await Deno.writeFile(labels, bytes);
      await assertRefused(
        /^error: Cannot evaluate runs\/0 on dataset ".\/sample": its content is/,
        "runs/0",
      );
      assertEquals((await evaluate("--run=runs/1", `--dataset=${elsewhere}`)).code, 0);
      await Deno.remove(`${work}/sample`, { recursive: true });
      await assertRefused(
        /runs\/0 was trained on: .* folder ".\/sample", found none; give it with --dataset DIR$/,
        "runs/0",
      );
      const resumed = await outcomeOf(startTrain(["--resume=runs/0", "--max-steps=2"], {
        folder: work,
      }));
      assertEquals([resumed.code, resumed.stdout], [1, ""]);
      assertMatch(
        resumed.stderr,
        /^error: Cannot find the dataset that runs\/0 was trained on: .*\n$/,
      );

      async function assertRefused(message: RegExp, run = "runs/1") {
        const { code, stdout, stderr } = await evaluate(`--run=${run}`);
        assertEquals([code, stdout, linesOf(stderr).length], [1, "", 1], stderr);
        assertMatch(stderr.trimEnd(), message);
      }
    }),
});

Deno.test({
  name:
    "eval, resume: a run finds its dataset from another folder or by links, one elsewhere by the printed command",
  ignore: !canRunBash() || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      const [work, other, far] = ["work", "other", "far away/noise"].map((name) =>
        `${folder}/${name}`
      );
      await Deno.mkdir(other);
      await writeNoise(`${work}/own`);
      await writeNoise(far);
      const links = 'ln -s "$1" "$2/link" && ln -s "$2/runs/own" "$3/run"';
      assertEquals((await runBash(links, [far, work, other])).code, 0);
      const start = (args: string[], cwd: string) =>
        outcomeOf(startTrain(["--backend=reference", ...args], { folder: cwd }));
      const recipe = ["--model=softmax", "--max-steps=1", "--quiet"];
      for (const [name, dataset] of [["own", "own"], ["link", "link"], ["far", far]]) {
        const args = [...recipe, `--dataset=${dataset}`, `--out=runs/${name}`];
        assertEquals(await start(args, work), { code: 0, stdout: "", stderr: "" });
      }
      const evaluate = (run: string) =>
        runDeno([
          ...["run", "--no-prompt", "--allow-read", `${ROOT}scripts/eval.ts`],
          ...["--backend=reference", "--json", `--run=${run}`],
        ], { cwd: other });
      for (const run of [`${work}/runs/own`, "../work/runs/link", "run"]) {
        const { code, stderr, stdout } = await evaluate(run);
        assertEquals([code, stderr], [0, ""]);
        assertEquals(JSON.parse(stdout).count, 50);
      }
      assertEquals((await evaluate(`${work}/runs/far`)).code, 1);
      const resume = (...args: string[]) =>
        runDeno([
          ...["run", "--no-prompt", "--allow-read", `--allow-write=${work}`],
          ...[`${ROOT}scripts/train.ts`, "--backend=reference", "--max-steps=2", ...args],
        ], { cwd: other });
      const own = await resume("--resume=../work/runs/own", "--quiet");
      assertEquals(own, { code: 0, stdout: "", stderr: "" });

      // What is printed where a run is stopped works as it stands.
      const child = startTrain([
        ...["--backend=reference", "--model=softmax", `--dataset=${far}`, "--epochs=100000"],
        ...["--out=runs/a stop"],
      ], { folder: work });
      const stdout = textOf(child.stdout);
      await seen(stdout, "\nepoch ");
      child.kill("SIGINT");
      const said = await seen(stdout, "no such text");
      await child.stderr.cancel();
      assertEquals((await child.status).code, 130);
      const [, words] = /Go on with:\n {2}deno task train (--resume .*)\n/.exec(said) ?? [];
      assertEquals(words, `--resume 'runs/a stop' --dataset '${far}'`);
    }),
});
