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

/** The Markdown tables of a text, as rows of cells. */
function tablesIn(text: string): string[][][] {
  return text.split("\n\n").filter((part) => part.startsWith("|")).map((part) =>
    linesOf(part).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
  );
}

Deno.test({
  name: "compare: measures each backend in turns, judges it, and says why one is not there",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [markdown, html] = ["md", "html"].map((end) => `${folder}/figures.${end}`);
      const args = [
        ...SHORT,
        "--backends=wasm,reference,tfjs-wasm,tfjs-webgpu,wasm",
        "--repeats=3",
      ];
      const { code, stdout, stderr } = await runTask("compare", [
        ...[...args, `--markdown=${markdown}`, `--html=${html}`],
      ], { env: NO_GPU });
      assertEquals(code, 0);
      assertEquals(
        linesOf(stderr).filter((line) => line.includes("repeat ")),
        [1, 2, 3].flatMap((n) =>
          ["wasm", "reference", "tfjs-wasm"].map((name) => `${name}: repeat ${n} of 3`)
        ),
      );
      assertEquals(await Deno.readTextFile(markdown), stdout);
      assertStringIncludes(stdout, "softmax on sample, batch 32: 3 repeats of 2 steps");
      const [speed, agreement] = tablesIn(stdout);
      assertEquals(
        speed.slice(2).map(([name]) => name),
        ["wasm", "reference", "tfjs-wasm", "tfjs-webgpu"],
      );
      assertEquals(speed[2][1], "2 x 32");
      assertEquals(speed[5][1], "unavailable");
      assertEquals(agreement.slice(2).map((row) => row.at(-1)), ["agrees", "agrees", "agrees"]);
      assertMatch(stdout, /\n- tfjs-webgpu: .*adapter.*\n/);

      const json = await runTask("compare", [...args, "--json", "--quiet"], { env: NO_GPU });
      assertEquals([json.code, json.stderr], [0, ""]);
      const { rows, rates, load, ...facts } = JSON.parse(json.stdout);
      assert(load.before >= 0 && load.during >= 0);
      assertEquals([facts.steps, facts.repeats, facts.testCount], [2, 3, 1000]);
      assertEquals(Object.keys(rows[3]), ["backend", "reason"]);
      assert(rates.every(({ ratio }: { ratio: { low: number } }) => ratio.low > 0));
      assertEquals(rates.length, 3);
      const [first] = rows;
      for (const row of rows.slice(0, 3)) {
        assert(row.agreement.parameterDifference < 1e-5, `${row.backend}'s parameters`);
        assert(Math.abs(row.trainLoss - first.trainLoss) < 1e-4, `${row.backend}'s loss`);
        assertEquals(row.testAccuracy, first.testAccuracy);
        const measured = [row.stepMs, row.trainImagesPerSecond, row.evalImagesPerSecond];
        assertEquals(measured.map((repeats) => repeats.length), [3, 3, 3]);
        assert(measured.flat().every((value) => value > 0));
        assert(row.startMs > 0 && row.firstStepMs > 0);
        assertEquals([typeof row.device.description, row.warmUpSteps], ["string", 2]);
      }
      const page = await Deno.readTextFile(html);
      assertStringIncludes(page, "3 of 3");
      assertStringIncludes(page, "<svg");
    }),
});

Deno.test({
  name: "compare: without --max-steps a slow backend does less, and all are there",
  ignore,
  fn: async () => {
    const { code, stdout, stderr } = await runTask("compare", [
      ...["--dataset=sample", "--repeats=1", "--backends=reference,tfjs-cpu", "--json"],
    ], { env: NO_GPU });
    assertEquals([code, /error/.test(stderr)], [0, false]);
    const { rows, steps } = JSON.parse(stdout);
    assertEquals(steps, undefined);
    for (const { work, firstBatchSize, agreement } of rows) {
      assert(work.batchSize <= 256 && firstBatchSize === 8);
      assertEquals([agreement.batchSize, agreement.verdict], [8, "agrees"]);
    }
  },
});

Deno.test({
  name: "compare: takes the time to an accuracy, and the rate over threads and batches",
  ignore,
  fn: async () => {
    const args = ["--backends=wasm", "--repeats=1", "--scaling", "--threads=2", "--json"];
    const target = "--target-accuracy=0.5";
    const { code, stdout } = await runTask("compare", [...SHORT, ...args, target, "--quiet"]);
    assertEquals(code, 0);
    const { until, scaling } = JSON.parse(stdout);
    const [{ reached, epochs, testAccuracy, trainMs, wallMs }] = until.times;
    assert(reached && epochs >= 1 && testAccuracy >= 0.5);
    assert(trainMs > 0 && wallMs >= trainMs);
    assertEquals(
      scaling.map(({ threads, batchSize }: { threads: number; batchSize: number }) =>
        `${threads} x ${batchSize}`
      ),
      ["1 x 32", "2 x 32", "2 x 32", "2 x 256", "2 x 1024"],
    );
  },
});

Deno.test({
  name: "compare: a backend that does not compute what the reference does ends with 1",
  ignore,
  fn: async () => {
    // A rate at which training is chaos: rounding grows into another result.
    const args = [
      "--lr=100",
      "--repeats=1",
      "--backends=wasm",
      "--max-steps=1",
    ];
    const { code, stdout } = await runTask("compare", [
      ...["--dataset=sample", "--model=lenet-relu", "--batch-size=8", ...args],
    ]);
    assertEquals(code, 1);
    assertMatch(stdout, /\| +DIFFERS +\|/);
  },
});

Deno.test({
  name: "compare: a peer is measured beside the backends, or its row says what is missing",
  ignore,
  fn: async () => {
    const { code, stdout } = await runTask("compare", [
      ...["--dataset=sample", "--batch-size=16", "--max-steps=1", "--repeats=1"],
      ...["--backends=wasm", "--peers=pytorch", "--standardize", "--json"],
    ]);
    assertEquals(code, 0);
    const [, peer] = JSON.parse(stdout).rows;
    if (peer.reason === undefined) {
      assertEquals([peer.outside, peer.agreement.verdict], [true, "agrees"]);
    } else {
      assertMatch(peer.reason, /^not installed; pip install|^needs the permission --allow-run=/);
    }
  },
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
          [...SHORT, `--markdown=${folder}/none/x.md`],
          1,
          `No such file or folder ("${folder}/none"); check the path`,
        ],
        [
          [...SHORT, `--html=${folder}`],
          1,
          `Cannot write to ${folder}: it is a folder; give a file, as ${folder}/FILE`,
        ],
        [
          [...SHORT, `--html=${folder}/same`, `--markdown=${folder}/none/../same`],
          2,
          "Cannot write --markdown and --html to one file: give each its own",
        ],
        [
          [...SHORT, "--markdown=/lenet.md"],
          1,
          "Cannot write to /lenet.md: this command has no permission to; choose a path below runs/, " +
          "or give its flags to deno run -P=compare --allow-write=/ scripts/compare_backends.ts",
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
