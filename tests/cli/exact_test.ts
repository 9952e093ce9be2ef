/** `--exact` and what a run remembers of it: convolutions product by product, or by Winograd's method. */

import { zooModel } from "../../src/nn/zoo.ts";
import { readCheckpoint } from "../../src/run/checkpoint.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, runTask } from "./command.ts";

const ignore = !canRunCommands();
const LENET = ["--dataset", "sample", "--backend", "wasm", "--threads", "1", "--lr", "0.5"];

async function train(out: string, ...flags: string[]) {
  const { code, stderr } = await runTask("train", [...LENET, "--out", out, "--quiet", ...flags]);
  assertEquals([code, stderr], [0, ""]);
}

async function parametersIn(run: string): Promise<Float32Array> {
  const { state } = await readCheckpoint(`${run}/checkpoint.safetensors`, zooModel("lenet"));
  return state.parameters;
}

Deno.test({
  name: "exact: a run goes on in the way it began, one of version 0.1 product by product",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [whole, part, fast] = ["whole", "part", "fast"].map((name) => `${folder}/${name}`);
      await train(whole, "--exact", "--max-steps", "12");
      await train(part, "--exact", "--max-steps", "5");
      await train(fast, "--max-steps", "12");
      const [exact, faster] = await Promise.all([parametersIn(whole), parametersIn(fast)]);
      const path = `${part}/config.json`;
      const { exact: recorded, ...config } = JSON.parse(await Deno.readTextFile(path));
      assertEquals(recorded, true);
      assertEquals(JSON.parse(await Deno.readTextFile(`${fast}/config.json`)).exact, false);
      await Deno.writeTextFile(path, JSON.stringify(config)); // as version 0.1 wrote it
      const resumed = await runTask("train", ["--resume", part, "--max-steps", "12", "--quiet"]);
      assertEquals([resumed.code, resumed.stderr], [0, ""]);
      assertEquals(await parametersIn(part), exact);
      assert(exact.some((value, n) => value !== faster[n]), "--exact changes nothing");
      const difference = exact.reduce(
        (most, value, n) => Math.max(most, Math.abs(value - faster[n])),
        0,
      );
      assert(difference < 1e-5, `parameters differ by ${difference}`);

      const refused = await runTask("train", ["--resume", part, "--exact"]);
      assertEquals(refused.code, 2);
      assertMatch(
        refused.stderr,
        /^error: Cannot use --exact with --resume: the run's config\.json/,
      );
    }),
});

Deno.test({
  name: "exact: eval answers as the run did that it evaluates",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const losses: number[] = [];
      for (const flags of [["--exact"], []]) {
        const run = `${folder}/run${flags.length}`;
        await train(run, "--epochs", "1", ...flags);
        const [metrics] = linesOf(await Deno.readTextFile(`${run}/metrics.jsonl`));
        for (const more of [[], ["--exact"]]) {
          const evaluated = await runTask("eval", [
            ...["--run", run, "--backend", "wasm", "--json", ...more],
          ]);
          assertEquals(evaluated.code, 0, evaluated.stderr);
          losses.push(JSON.parse(evaluated.stdout).loss);
        }
        assertEquals(losses.at(-2), JSON.parse(metrics).testLoss);
      }
      const [exact, again, fast, slow] = losses;
      assertEquals(exact, again);
      assert(fast !== slow, "eval --exact changes nothing");
    }),
});
