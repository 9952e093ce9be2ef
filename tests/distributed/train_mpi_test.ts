/** `train:mpi` as a user runs it: real ranks, real faults. */

import { readCheckpoint } from "../../src/run/checkpoint.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { linesOf, runTask } from "../cli/command.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunMpi, program, runMpi, task } from "./mpirun.ts";

const ignore = !await canRunMpi();
const RECIPE = ["--model", "softmax", "--batch-size", "500", "--threads", "1"];
const WASM = ["--dataset", "sample", "--backend", "wasm", ...RECIPE];

async function readJson(path: string) {
  return JSON.parse(await Deno.readTextFile(path));
}

Deno.test({
  name: "train:mpi: rank 0 alone prints and writes; a run goes on with other numbers of ranks",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const out = `${folder}/run`;
      const first = await runMpi({
        count: 2,
        args: task("train:mpi", ...WASM, "--epochs", "1", "--out", out),
      });
      assertEquals([first.code, first.stderr], [0, ""]);
      const lines = linesOf(first.stdout);
      assertMatch(lines[2], /^Backend {2}wasm: 2 MPI ranks \(Open MPI v[\d.]+\), each WebAssembly/);
      assertEquals(lines.filter((line) => line.startsWith("epoch")).length, 1);
      assertEquals((await readJson(`${out}/config.json`)).ranks, 2);
      const second = await runMpi({
        count: 3,
        args: task("train:mpi", "--resume", out, "--epochs", "2", "--quiet"),
      });
      assertEquals(second, { code: 0, stdout: "", stderr: "" });
      const third = await runTask("train", ["--resume", out, "--epochs", "3", "--quiet"]);
      assertEquals(third, { code: 0, stdout: "", stderr: "" });
      const { resumed } = await readJson(`${out}/config.json`);
      assertEquals(resumed.map(({ ranks }: { ranks?: number }) => ranks), [3, undefined]);

      const alone = `${folder}/alone`;
      await runTask("train", [...WASM, "--epochs", "3", "--out", alone, "--quiet"]);
      const [shared, expected] = await Promise.all([out, alone].map(async (path) =>
        linesOf(await Deno.readTextFile(`${path}/metrics.jsonl`)).map((line) => JSON.parse(line))
      ));
      assertEquals(await namesIn(out), await namesIn(alone));
      assertEquals(shared.length, 3);
      shared.forEach((metrics, n) => {
        assertEquals(metrics.testAccuracy, expected[n].testAccuracy);
        assertEquals(metrics.trainAccuracy, expected[n].trainAccuracy);
        assert(Math.abs(metrics.trainLoss - expected[n].trainLoss) < 1e-5);
      });
    }),
});

Deno.test({
  name: "train:mpi: help and wrong flags need no MPI, and are said once",
  ignore,
  fn: async () => {
    const env = { LENET_MPI_LIBRARY: "/nonexistent/libmpi.so" };
    const cases: [string[], number, RegExp, RegExp][] = [
      [["--help"], 0, /^Train a model and save it/, /^$/],
      [["--epoks", "1"], 2, /^$/, /^error: Unknown flag --epoks: did you mean --epochs\?/],
    ];
    for (const [args, code, stdout, stderr] of cases) {
      const without = await runTask("train:mpi", args, { env });
      const ranks = await runMpi({ count: 2, args: task("train:mpi", ...args) });
      assertEquals(ranks, without);
      assertEquals(without.code, code);
      assertMatch(without.stdout, stdout);
      assertMatch(without.stderr, stderr);
    }
    const trained = await runTask("train:mpi", ["--dry-run"], { env });
    assertEquals([trained.code, linesOf(trained.stderr).length], [1, 1], trained.stderr);
  },
});

/** A run of two ranks that train and one that is faulty in its second epoch. */
async function runFaulty(fault: string, out: string) {
  return await runMpi(
    { count: 2, args: task("train:mpi", ...WASM, "--epochs", "50", "--out", out, "--quiet") },
    { count: 1, args: program("faulty_rank.ts", fault, "15") },
  );
}

for (
  const [fault, expectedCode, expectedError] of [
    ["dies", 137, /^$/], // mpirun names the signal, and is asked to be quiet here
    ["throws", 1, /^error: This rank has had enough \(on rank 2 of 3\)\n$/],
    [
      "strays",
      1,
      /^error: Parameters of rank 2 differ from those of rank 0 after the same steps.*\n$/,
    ],
  ] as const
) {
  Deno.test({
    name: `train:mpi: a rank that ${fault} ends all, and the last epoch is saved whole`,
    ignore,
    fn: () =>
      withTempDir(async (folder) => {
        const out = `${folder}/run`;
        const { code, stdout, stderr } = await runFaulty(fault, out);
        assertEquals([code, stdout], [expectedCode, ""]);
        assertMatch(stderr, expectedError);
        const model = zooModel("softmax");
        const { progress } = await readCheckpoint(`${out}/checkpoint.safetensors`, model);
        assertEquals(progress.epochsDone, 1);
        const again = await runTask("train", ["--resume", out, "--epochs", "2", "--quiet"]);
        assertEquals(again, { code: 0, stdout: "", stderr: "" });
      }),
  });
}

Deno.test({
  name: "train:mpi: an interrupt stops all ranks at the same step, and the run goes on from there",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const out = `${folder}/run`;
      const args = [...WASM, "--epochs", "100000", "--out", out];
      const { code, stdout, stderr } = await runMpi(
        {
          count: 1,
          args: program("interrupted_rank.ts", `${out}/metrics.jsonl`, "--mpi", ...args),
        },
        { count: 2, args: task("train:mpi") },
      );
      assertEquals(code, 130);
      assertEquals(stderr, "Stopping after this step; Ctrl-C again ends at once\n");
      assertStringIncludes(stdout, "everything is saved. Go on with:\n  deno task train --resume");
      const model = zooModel("softmax");
      const { progress } = await readCheckpoint(`${out}/checkpoint.safetensors`, model);
      assert(progress.step >= 10 && progress.step < 1_000_000, `stopped at step ${progress.step}`);
    }),
});

Deno.test({
  name:
    "train:mpi: a wrong command line and a library that is missing or foreign are one line each",
  ignore,
  async fn() {
    const wrong = await runMpi({ count: 2, args: task("train:mpi", "--epochs", "none") });
    assertEquals(wrong, {
      code: 2,
      stdout: "",
      stderr: 'error: Invalid --epochs "none": expected an integer from 1 to 1000000\n',
    });
    const cases: [Record<string, string>, RegExp][] = [
      [
        { LENET_MPI_LIBRARY: "libnone.so.1" },
        /^error: Cannot find an MPI library \(libnone.so.1: .*\): install OpenMPI .*\n$/,
      ],
      [
        { LENET_MPI_LIBRARY: "libm.so.6" },
        /^error: Cannot use libm.so.6: expected an MPI library, found one without MPI_Init\n$/,
      ],
      // As a process sees it that another implementation's mpirun has started.
      [
        { LENET_MPI_LIBRARY: "libmpi.so.40", PMI_SIZE: "4", PMI_RANK: "0" },
        /^error: Cannot train on 4 processes: Open MPI v[\d.]+ sees 1; start them with its own mpirun\n$/,
      ],
    ];
    for (const [env, expected] of cases) {
      const { code, stdout, stderr } = await runTask("train:mpi", [], { env });
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, expected);
    }
  },
});
