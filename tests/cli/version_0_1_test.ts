/** Runs and models that version 0.1 wrote: `tests/fixtures/v01`, made at 5865e13 by
 * `deno task train --dataset sample --model softmax --optimizer adam --lr 0.001 --standardize
 * --seed 3 --threads 1 --epochs 3 --max-steps 30`; `metrics_whole.jsonl` is the same without
 * --max-steps.
 */

import { assertAlmostEquals, assertEquals } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, ROOT, runTask } from "./command.ts";

const ignore = !canRunCommands();
const FIXTURES = `${ROOT}tests/fixtures/v01`;

/** What 0.1's own `eval` gave for the run. */
const [LOSS, ACCURACY] = [0.7063632588069886, 0.749];

Deno.test({
  name: "version 0.1: its stopped run goes on to the numbers that 0.1 gave",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const run = `${folder}/run`;
      await Deno.mkdir(run);
      for await (const { name } of Deno.readDir(`${FIXTURES}/run`)) {
        await Deno.copyFile(`${FIXTURES}/run/${name}`, `${run}/${name}`);
      }
      const { code, stderr } = await runTask("train", ["--resume", run, "--quiet"]);
      assertEquals([code, stderr], [0, ""]);
      const [expected, found] = await Promise.all(
        [`${FIXTURES}/metrics_whole.jsonl`, `${run}/metrics.jsonl`].map(readMetrics),
      );
      assertEquals(found.length, 3);
      for (const [index, metrics] of found.entries()) {
        for (const key of ["epoch", "step", "trainAccuracy", "testAccuracy"]) {
          assertEquals(metrics[key], expected[index][key], key);
        }
        assertAlmostEquals(metrics.trainLoss, expected[index].trainLoss, 1e-5);
        assertAlmostEquals(metrics.testLoss, expected[index].testLoss, 1e-5);
      }
    }),
});

Deno.test({
  name: "version 0.1: its safetensors, ONNX and LayersModel files give the numbers that 0.1 gave",
  ignore,
  fn: async () => {
    for (const file of ["run/model.safetensors", "softmax.onnx", "layers_model"]) {
      const { code, stdout } = await runTask("eval", [
        ...["--weights", `${FIXTURES}/${file}`, "--dataset", "sample", "--json"],
        ...["--backend", "wasm"],
      ]);
      assertEquals(code, 0, file);
      const { loss, accuracy } = JSON.parse(stdout);
      assertAlmostEquals(loss, LOSS, 1e-5);
      assertEquals(accuracy, ACCURACY, file);
    }
  },
});

async function readMetrics(path: string) {
  return linesOf(await Deno.readTextFile(path)).map((line) => JSON.parse(line));
}
