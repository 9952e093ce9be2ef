import { BACKEND_NAMES } from "../../src/backends/registry.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, NO_GPU, runTask } from "./command.ts";

const ignore = !canRunCommands();
const SHORT = [
  "--dataset",
  "sample",
  "--model",
  "softmax",
  "--batch-size",
  "32",
  "--max-steps",
  "2",
];

Deno.test({
  name: "compare: measures each backend, and says why one is not there",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [json, markdown] = [`${folder}/figures.json`, `${folder}/table.md`];
      const { code, stdout, stderr } = await runTask("compare", [
        ...SHORT,
        "--backends=wasm,reference,tfjs-wasm,tfjs-webgpu,wasm",
        "--repeats=2",
        `--json=${json}`,
        `--markdown=${markdown}`,
      ], { env: NO_GPU });
      assertEquals(code, 0);
      assertStringIncludes(stderr, "wasm: start and first step\n");
      assertStringIncludes(stderr, "reference: repeat 2 of 2\n");
      assertEquals(await Deno.readTextFile(markdown), stdout);
      assertStringIncludes(stdout, "softmax on sample, batch 32: 2 repeats of 2 steps");
      const table = linesOf(stdout).filter((line) => line.startsWith("|"));
      assertEquals(
        table.slice(2).map((line) => line.split("|")[1].trim()),
        ["wasm", "reference", "tfjs-wasm", "tfjs-webgpu"],
      );
      assertMatch(table[5], /\| +unavailable \|/);
      assertMatch(stdout, /\n- tfjs-webgpu: .*adapter.*\n/);

      const { rows, ...facts } = JSON.parse(await Deno.readTextFile(json));
      assertEquals([facts.steps, facts.repeats, facts.testCount], [2, 2, 1000]);
      assertEquals(Object.keys(rows[3]), ["backend", "reason"]);
      const [first, ...others] = rows.slice(0, 3);
      assertEquals(first.parameterDifference, 0);
      for (const row of others) {
        assert(row.parameterDifference < 1e-5, `${row.backend}: ${row.parameterDifference}`);
        assert(Math.abs(row.trainLoss - first.trainLoss) < 1e-4, `${row.backend}'s loss`);
        assertEquals(row.testAccuracy, first.testAccuracy);
      }
      for (const row of rows.slice(0, 3)) {
        const measured = [row.stepMs, row.trainImagesPerSecond, row.evalImagesPerSecond];
        assertEquals(measured.map((repeats) => repeats.length), [2, 2, 2]);
        assert(measured.flat().every((value) => value > 0));
        assert(row.startMs > 0 && row.firstStepMs > 0 && row.memoryBytes >= 0);
        assertEquals(typeof row.device.description, "string");
      }
    }),
});

Deno.test({
  name:
    "compare: mistakes end with 2, and a file that cannot be written before anything is measured",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const list = `a comma-separated list of ${BACKEND_NAMES.join(", ")}`;
      const cases: [string[], number, string][] = [
        [
          ["--epochs=1", "--max-steps=2"],
          2,
          "Cannot use --epochs and --max-steps together: choose one of them",
        ],
        [["--repeats=0"], 2, 'Invalid --repeats "0": expected an integer from 1 to 1000'],
        [
          ["--backends=wasm,tfjs-wsam"],
          2,
          `Invalid --backends "wasm,tfjs-wsam": expected ${list}; did you mean tfjs-wasm?`,
        ],
        [
          [...SHORT, `--json=${folder}/none/x.json`],
          1,
          `No such file or folder ("${folder}/none"); check the path`,
        ],
        [
          [...SHORT, "--markdown=/lenet.md"],
          1,
          "Cannot write to /lenet.md: this command has no permission to; choose a path below runs/",
        ],
      ];
      const outcomes = await Promise.all(cases.map(([args]) => runTask("compare", args)));
      outcomes.forEach((outcome, n) => {
        const [, code, message] = cases[n];
        assertEquals(outcome, { code, stdout: "", stderr: `error: ${message}\n` });
      });
      assertEquals(await namesIn(folder), []);
    }),
});
