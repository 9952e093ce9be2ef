import { encodeSafetensorsModel } from "../../src/formats/safetensors_model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, runTask } from "./command.ts";

const ignore = !canRunCommands();
const MODEL = zooModel("softmax");
const PARAMETERS = initialParameters(MODEL, 6);
const CLASS_NAMES = Array.from({ length: 10 }, (_, k) => `thing ${k}`);
const FILE = encodeSafetensorsModel({
  model: MODEL,
  parameters: PARAMETERS,
  classNames: CLASS_NAMES,
});

Deno.test({
  name: "export: each format is written where --out says, and says what it is",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const weights = `${folder}/first.safetensors`;
      await Deno.writeFile(weights, FILE);
      const outs = { safetensors: `${folder}/new/copy.safetensors`, tfjs: `${folder}/web` };
      const outcomes = await Promise.all(
        Object.entries(outs).map(([format, out]) =>
          runTask("export", ["--format", format, "--weights", weights, "--out", out])
        ),
      );
      Object.entries(outs).forEach(([, out], n) => {
        const { code, stdout, stderr } = outcomes[n];
        assertEquals([code, stderr, linesOf(stdout).length], [0, "", 1]);
        assert(stdout.startsWith(`${out}: ${weights} (softmax, 7,850 parameters) as `), stdout);
      });
      assertEquals(await Deno.readFile(outs.safetensors), FILE);
      assertEquals(await namesIn(outs.tfjs), ["model.json", "weights.bin"]);
    }),
});

Deno.test({
  name: "export: mistakes end with 2, files that cannot be used with 1, and nothing is written",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const weights = `${folder}/first.safetensors`;
      await Deno.writeFile(weights, FILE);
      const out = `${folder}/out`;
      const cases: [string[], number, RegExp][] = [
        [["--weights", weights], 2, /^error: Missing --format: expected one of safetensors, /],
        [["--format", "pt"], 2, /^error: Invalid --format "pt": expected one of /],
        [["--format", "tfjs", "--weights", `${folder}/none`], 1, /No such file or folder/],
        [
          ["--format", "tfjs", "--weights", weights, "--model", "mlp"],
          1,
          /into model "mlp": expected "fc1.weight"/,
        ],
      ];
      const outcomes = await Promise.all(
        cases.map(([args]) => runTask("export", [...args, "--out", out])),
      );
      outcomes.forEach(({ code, stdout, stderr }, n) => {
        assertEquals([code, stdout, linesOf(stderr).length], [cases[n][1], "", 1], stderr);
        assertMatch(stderr, cases[n][2]);
      });
      assertEquals(await namesIn(folder), ["first.safetensors"]);
    }),
});
