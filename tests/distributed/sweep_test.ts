/** `sweep` as a user runs it: alone and on ranks, with a failure, and going on. */

import { SWEEP_COMMAND } from "../../src/cli/sweep_flags.ts";
import { parseGrid } from "../../src/cli/sweep_flags.ts";
import { TRAIN_COMMAND } from "../../src/cli/train_flags.ts";
import { loadDataset } from "../../src/data/load.ts";
import type { SweepRecord } from "../../src/run/sweep_record.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { canRunCommands, linesOf, NO_GPU, ROOT, runDeno, runTask } from "../cli/command.ts";
import { writeClasses } from "../picture_folder.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunMpi, runMpi, task } from "./mpirun.ts";

const BASE = ["--dataset", "sample", "--model", "softmax", "--epochs", "1", "--threads", "1"];
const GRID = ["--grid", "lr=0.1,0.2", "--grid", "seed=1..2"];

async function readRecord(folder: string): Promise<SweepRecord> {
  return JSON.parse(await Deno.readTextFile(`${folder}/sweep.json`));
}

/** What training came to, by configuration; times and places left out. */
function accuracies({ results }: SweepRecord) {
  return new Map(
    results.map(({ settings, last, error }) => [
      JSON.stringify(settings),
      error === undefined ? last!.testAccuracy : "failed",
    ]),
  );
}

Deno.test("a grid is every combination, the last flag fastest; what train refuses is refused", () => {
  assertEquals(parseGrid(["lr=0.1,0.2", "seed=8..10,3,9"]).length, 8);
  assertEquals(parseGrid(["lr=0.1,0.2", "seed=1..2"]).slice(1, 3), [
    { lr: "0.1", seed: "2" },
    { lr: "0.2", seed: "1" },
  ]);
  const cases: [string[], string][] = [
    [["lr"], 'Invalid --grid "lr": expected a flag and values, as lr=0.1,0.2'],
    [["sed=1"], "did you mean seed?"],
    [["seed=1", "seed=2"], "seed has its values already"],
    [["seed=5..1"], "expected 1 to 10000 integers, as 1..5"],
    [["seed=1..9999", "lr=1,2"], "Cannot sweep more than 10000 configurations"],
  ];
  for (const [texts, message] of cases) assertThrows(() => parseGrid(texts), Error, message);
});

Deno.test("a sweep takes every flag of train but those of one run's folder and course", () => {
  const own = Object.keys(SWEEP_COMMAND.flags);
  assertEquals(Object.keys(TRAIN_COMMAND.flags).filter((name) => !own.includes(name)), [
    ...["resume", "checkpoint-every", "mpi", "log-steps", "dry-run", "live"],
  ]);
});

Deno.test({
  name: "sweep: --init starts every configuration from its file",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const [run, out] = [`${folder}/run`, `${folder}/sweep`];
      const trained = await runTask("train", [...BASE, "--json", "--out", run]);
      const { test: { accuracy } } = JSON.parse(linesOf(trained.stdout).at(-1)!);
      assert(accuracy > 0.5);
      const args = [
        ...[...BASE.slice(0, 2), "--init", `${run}/model.safetensors`, "--grid", "lr=1e-9,1e-8"],
        ...["--max-steps", "1", "--quiet", "--out", out],
      ];
      const { code, stderr } = await runTask("sweep", args);
      assertEquals([code, stderr], [0, ""]);
      assertEquals([...accuracies(await readRecord(out)).values()], [accuracy, accuracy]);
      // Another model of the file's name is another sweep.
      await runTask("train", [...BASE, "--seed", "9", "--quiet", "--out", `${folder}/other`]);
      await Deno.copyFile(`${folder}/other/model.safetensors`, `${run}/model.safetensors`);
      const changed = await runTask("sweep", args);
      assertEquals([changed.code, changed.stdout], [1, ""]);
      assertMatch(changed.stderr, /it was made with other flags or data/);
    }),
});

Deno.test({
  name: "sweep: survives what fails, records it, and goes on where it stopped",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const out = `${folder}/sweep`;
      const args = [...BASE, "--out", out, "--grid"];
      const first = await runTask("sweep", [...args, "backend=wasm,webgpu"], { env: NO_GPU });
      assertEquals([first.code, first.stderr], [0, ""]);
      const lines = linesOf(first.stdout);
      assertMatch(lines[0], /^1\/2 backend wasm: test accuracy 0\.\d{4} {2}\d+\.\d s$/);
      assertMatch(lines[1], /^2\/2 backend webgpu: failed: Backend "webgpu" is not available: no/);
      assertEquals(await namesIn(out), ["chart.svg", "sweep.json", "table.md"]);
      const before = await readRecord(out);
      assertEquals([...accuracies(before).values()].at(-1), "failed");
      assertMatch(await Deno.readTextFile(`${out}/table.md`), /^\| backend \| test accuracy \|/);

      const second = await runTask("sweep", [...args, "backend=wasm,webgpu,reference", "--json"], {
        env: NO_GPU,
      });
      assertEquals(second.code, 0);
      const [only, ...rest] = linesOf(second.stdout).map((line) => JSON.parse(line));
      assertEquals([only.settings, rest], [{ backend: "reference" }, []]);
      assertEquals((await readRecord(out)).results.slice(0, 2), before.results);

      const other = await runTask("sweep", [...args, "backend=wasm", "--lr", "0.3"]);
      assertEquals([other.code, other.stdout], [1, ""]);
      assertMatch(other.stderr, /^error: Cannot go on with the sweep in .* other flags or data/);
      const wrong = await runTask("sweep", [...args, "lr=0.1,x"]);
      assertEquals(wrong.code, 2);
      assertMatch(wrong.stderr, /^error: Invalid --lr "x": expected a number/);
    }),
});

Deno.test({
  name: "sweep: pictures become what the flags say, and two sweeps of one second have two folders",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      await writeClasses(`${folder}/photos`, await loadDataset("sample"), {
        labels: [1, 8],
        count: 8,
      });
      const sweep = (...args: string[]) =>
        runDeno([
          ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-sys=cpus"],
          ...[`${ROOT}scripts/sweep.ts`, "--grid=lr=0.1", "--model=softmax", "--max-steps=1"],
          ...["--backend=reference", "--quiet", ...args],
        ], { cwd: folder });
      const sizes = await Promise.all([12, 20].map((size) =>
        sweep("--dataset=photos", `--image-size=${size}`, "--test-split=0.25")
      ));
      assertEquals(sizes, Array(2).fill({ code: 0, stdout: "", stderr: "" }));
      const names = await namesIn(`${folder}/runs`);
      assertEquals(names.length, 2);
      const records = await Promise.all(names.map((name) =>
        readRecord(`${folder}/runs/${name}`)
      ));
      assertEquals(records.map(({ flags }) => flags.imageSize).sort(), [12, 20]);
      assert(records[0].dataset.digest !== records[1].dataset.digest, "the same images");
      assertEquals(records.map(({ results }) => results.length), [1, 1]);

      const none = await sweep("--dataset=sample", "--invert", "--out=runs/none");
      assertEquals([none.code, none.stdout], [2, ""]);
      assertMatch(none.stderr, /^error: Cannot use --invert with dataset "sample": it is for/);
      assertEquals(await namesIn(`${folder}/runs`), names);
    }),
});

Deno.test({
  name: "sweep: ranks take configurations as they are free, with the results of one process",
  ignore: !await canRunMpi(),
  fn: () =>
    withTempDir(async (folder) => {
      const args = [...BASE, "--backend", "wasm", ...GRID, "--quiet", "--out"];
      const alone = await runTask("sweep", [...args, `${folder}/alone`]);
      const ranks = await runMpi({ count: 3, args: task("sweep", ...args, `${folder}/ranks`) });
      assertEquals([alone, ranks], Array(2).fill({ code: 0, stdout: "", stderr: "" }));
      const [expected, actual] = [
        await readRecord(`${folder}/alone`),
        await readRecord(`${folder}/ranks`),
      ];
      assertEquals(accuracies(actual).size, 4);
      for (const [settings, accuracy] of accuracies(expected)) {
        assertEquals(accuracies(actual).get(settings), accuracy);
      }
      assert(actual.results.some(({ rank }) => rank > 0), "rank 0 did it all");
    }),
});
