import { encode } from "fast-png";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { flatten, linear, maxPool2d } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, ROOT, runDeno, runTask } from "./command.ts";

const ignore = !canRunCommands();
const MODEL = zooModel("softmax", { standardization: { mean: 0.286, std: 0.353 } });
const CLASS_NAMES = Array.from({ length: 10 }, (_, k) => `thing ${k}`);
const FILE = encodeSafetensorsModel({
  model: MODEL,
  parameters: initialParameters(MODEL, 6),
  classNames: CLASS_NAMES,
});

Deno.test({
  name: "export: eval, predict and --init take every format, and answer as for the original",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const weights = `${folder}/first.safetensors`;
      await Deno.writeFile(weights, FILE);
      const outs = {
        safetensors: `${folder}/new/copy.safetensors`,
        tfjs: `${folder}/web`,
        onnx: `${folder}/model.onnx`,
      };
      const exported = await Promise.all(
        Object.entries(outs).map(([format, out]) =>
          runTask("export", ["--format", format, "--weights", weights, "--out", out])
        ),
      );
      Object.values(outs).forEach((out, n) => {
        const { code, stdout, stderr } = exported[n];
        assertEquals([code, stderr, linesOf(stdout).length], [0, "", 1]);
        assert(stdout.startsWith(`${out}: ${weights} (softmax, 7,850 parameters) as `), stdout);
      });
      assertEquals(await Deno.readFile(outs.safetensors), FILE);
      assertEquals(await namesIn(outs.tfjs), ["model.json", "weights.bin"]);

      const picture = `${folder}/picture.png`;
      const data = Uint8Array.from({ length: 28 * 28 }, (_, n) => n % 28 > 9 && n < 500 ? 200 : 0);
      await Deno.writeFile(picture, encode({ width: 28, height: 28, data, channels: 1 }));
      const wasm = ["--backend", "wasm", "--json"];
      const answers = [];
      for (const file of [weights, outs.tfjs, outs.onnx]) {
        const [evaluated, predicted, trained] = await Promise.all([
          runTask("eval", ["--weights", file, "--dataset", "sample", ...wasm]),
          runTask("predict", ["--weights", file, picture, ...wasm]),
          runTask("train", [
            ...["--init", file, "--model", "softmax", "--standardize", "--dry-run"],
            ...["--dataset", "sample", ...wasm],
          ]),
        ]);
        const others = 'of classes are shown: number 0 is "thing 0", in "sample" "T-shirt/top"';
        assertEquals(evaluated.stderr, `note: ${file}: its names ${others}\n`);
        assertEquals(predicted.stderr, "");
        assertEquals(linesOf(trained.stderr), [
          `note: ${file}: pixels become (pixel / 255 - 0.286) / 0.353, as it says`,
          `note: ${file}: its class 0 was "thing 0" and becomes "T-shirt/top"`,
        ]);
        for (const { code } of [evaluated, predicted, trained]) assertEquals(code, 0);
        const { loss, confusion } = JSON.parse(evaluated.stdout);
        const { top } = JSON.parse(predicted.stdout);
        const { loss: trainLoss } = JSON.parse(linesOf(trained.stdout).at(-1)!);
        answers.push({ loss, confusion, top, trainLoss });
      }
      const [original, ...others] = answers;
      assertMatch(original.top[0].className, /^thing \d$/);
      for (const { loss, confusion, top, trainLoss } of others) {
        assertAlmostEquals(loss, original.loss, 1e-6);
        assertAlmostEquals(trainLoss, original.trainLoss, 1e-6);
        assertEquals([confusion, top[0].className], [
          original.confusion,
          original.top[0].className,
        ]);
      }
    }),
});

Deno.test({
  name: "export: a trained batch norm answers alike from every format, and is trained further",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const run = `${folder}/first`;
      const sample = ["--dataset", "sample", "--backend", "wasm"];
      const short = ["--quiet", "--batch-size", "64", "--max-steps"];
      const trained = await runTask("train", [
        ...["--model", "lenet-bn", "--standardize", "--out", run, ...sample, ...short, "40"],
      ]);
      assertEquals([trained.code, trained.stderr], [0, ""]);
      const files = {
        safetensors: `${folder}/a.safetensors`,
        tfjs: `${folder}/web`,
        onnx: `${folder}/a.onnx`,
      };
      for (const [format, out] of Object.entries(files)) {
        const args = ["--format", format, "--run", run, "--out", out];
        const { code, stderr } = await runTask("export", args);
        assertEquals([code, stderr], [0, ""]);
      }
      const answers = await Promise.all(
        [["--run", run], ...Object.values(files).map((file) => ["--weights", file])].map(
          async (from) => {
            const { code, stdout, stderr } = await runTask("eval", [...from, ...sample, "--json"]);
            assertEquals([code, stderr], [0, ""]);
            const { loss, confusion, model } = JSON.parse(stdout);
            assertEquals(model, "lenet-bn");
            return { loss, confusion };
          },
        ),
      );
      const { testLoss } = JSON.parse(
        linesOf(await Deno.readTextFile(`${run}/metrics.jsonl`)).at(-1)!,
      );
      assert(testLoss < 2.2, `${testLoss}`); // it has learned, and its statistics are its own
      for (const { loss, confusion } of answers) {
        assertAlmostEquals(loss, testLoss, 1e-6);
        assertEquals(confusion, answers[0].confusion);
      }
      const further = await Promise.all(
        Object.values(files).map(async (file, n) => {
          const out = `${folder}/further${n}`;
          const args = ["--init", file, "--out", out, ...sample, ...short, "3"];
          const { code, stderr } = await runTask("train", args);
          assertEquals([code, stderr], [0, ""]);
          const { tensors } = decodeSafetensors(
            await Deno.readFile(`${out}/model.safetensors`),
            out,
          );
          return [...tensors].filter(([name]) => !name.endsWith("num_batches_tracked"));
        }),
      );
      assertEquals(further[1], further[0]);
      assertEquals(further[2], further[0]);
      const { tensors } = decodeSafetensors(await Deno.readFile(files.safetensors), "file");
      const changed = new Map(further[0]);
      for (const name of ["bn1.running_mean", "bn4.running_var", "bn2.weight"]) {
        const [before, after] = [tensors, changed].map((each) => each.get(name)!.data);
        assert(String(before) !== String(after), `${name} has not moved`);
      }
      const without = new Map(tensors);
      without.delete("bn3.running_var");
      const { metadata } = decodeSafetensors(await Deno.readFile(files.safetensors), "file");
      const broken = `${folder}/broken.safetensors`;
      await Deno.writeFile(broken, encodeSafetensors({ tensors: without, metadata }));
      for (const [command, ...args] of [["eval", "--weights"], ["train", "--dry-run", "--init"]]) {
        const { code, stdout, stderr } = await runTask(command, [...args, broken, ...sample]);
        assertEquals([code, stdout, linesOf(stderr).length], [1, "", 1], stderr);
        assertMatch(stderr, /"lenet-bn": expected "bn3.running_var" \[120\], found /);
      }
    }),
});

Deno.test({
  name: "export: padding that TensorFlow.js has not is said at a run's end, and refused as tfjs",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const model = sequential([
        maxPool2d({ poolSize: 2, padding: 1 }),
        flatten(),
        linear({ outFeatures: 10 }),
      ]);
      const file = `${folder}/padded.onnx`;
      await Deno.writeFile(file, encodeOnnx({ model, parameters: initialParameters(model, 0) }));
      const [out, web] = [`${folder}/run`, `${folder}/web`];
      const { code, stderr } = await runTask("train", [
        ...["--init", file, "--dataset", "sample", "--backend", "reference", "--out", out],
        ...["--max-steps", "1", "--batch-size", "8"],
      ]);
      const message =
        'Cannot write maxPool2d "0" as a LayersModel: its padding of 1x1 is not one ' +
        "that TensorFlow.js has; export the model as ONNX";
      assertEquals(code, 0);
      assert(linesOf(stderr).includes(`note: ${message}`), stderr);
      const names = await namesIn(out);
      assert(names.includes("report.html") && names.includes("model.safetensors"), `${names}`);
      assert(!names.includes("tfjs"), `${names}`);
      const refused = await runTask("export", ["--format", "tfjs", "--run", out, "--out", web]);
      assertEquals([refused.code, refused.stdout], [1, ""]);
      assertEquals(refused.stderr, `error: ${message}\n`);
      assertEquals((await namesIn(folder)).includes("web"), false);
    }),
});

Deno.test({
  name: "export: the newest run goes to exports/, named as the run",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const run = await runTask("train", [
        ...["--dataset", "sample", "--model", "softmax", "--backend", "wasm", "--quiet"],
        ...["--max-steps", "1", "--out", `${folder}/runs/first.try`],
      ]);
      assertEquals([run.code, run.stderr], [0, ""]);
      const { code, stdout, stderr } = await runDeno([
        ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`],
        ...[`${ROOT}scripts/export.ts`, "--format", "onnx", "--json"],
      ], { cwd: folder });
      assertEquals([code, stderr], [0, "note: runs/first.try: it is the newest run below runs/\n"]);
      const { out, format, model, bytes, classNames } = JSON.parse(stdout);
      assertEquals([out, format, model], ["exports/first.try.onnx", "onnx", "softmax"]);
      assertEquals(classNames[9], "Ankle boot");
      assertEquals((await Deno.stat(`${folder}/${out}`)).size, bytes);
    }),
});

Deno.test({
  name: "export: mistakes end with 2, files that cannot be used with 1, and nothing is written",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const weights = `${folder}/first.safetensors`;
      await Deno.writeFile(weights, FILE);
      await Deno.writeTextFile(`${folder}/broken.onnx`, "no protobuf");
      const out = `${folder}/out`;
      const cases: [string[], number, RegExp][] = [
        [["--weights", weights], 2, /^error: Missing --format: expected one of safetensors, /],
        [["--format", "pt"], 2, /^error: Invalid --format "pt": expected one of /],
        [["--format", "tfjs", "--weights", `${folder}/none`], 1, /No such file or folder/],
        [
          ["--format", "tfjs", "--weights", folder],
          1,
          /Cannot find a LayersModel in .*no model.js/,
        ],
        [
          ["--format", "tfjs", "--weights", `${folder}/broken.onnx`],
          1,
          /broken.onnx as ONNX: its /,
        ],
        [
          ["--format", "tfjs", "--weights", weights, "--model", "mlp"],
          1,
          /into model "mlp": expected linear, .* leave --model out/,
        ],
      ];
      const outcomes = await Promise.all(
        cases.map(([args]) => runTask("export", [...args, "--out", out])),
      );
      outcomes.forEach(({ code, stdout, stderr }, n) => {
        assertEquals([code, stdout, linesOf(stderr).length], [cases[n][1], "", 1], stderr);
        assertMatch(stderr, cases[n][2]);
      });
      assertEquals(await namesIn(folder), ["broken.onnx", "first.safetensors"]);
      const given = ["--format", "onnx", "--weights", weights, "--out", folder];
      const { code, stdout, stderr } = await runTask("export", given);
      assertEquals([code, stdout], [1, ""]);
      assertMatch(
        stderr,
        /^error: Cannot write to .*: it is a folder; give a file, as .*first.onnx\n$/,
      );
    }),
});
