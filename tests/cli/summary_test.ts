import { toTensors } from "../../src/formats/safetensors/state_dict.ts";
import { encodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import { costsOf, formatCount, summaryTable } from "../../src/report/table.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, runTask } from "./command.ts";

const ignore = !canRunCommands();

Deno.test({
  name: "summary: the table of LeNet ends with the lesson's totals",
  ignore,
  async fn() {
    const { code, stdout, stderr } = await runTask("summary", []);
    assertEquals([code, stderr], [0, ""]);
    const rows = linesOf(stdout).slice(3, 17);
    assertStringIncludes(rows[1], "conv1  conv2d     5x5, padding 2  6x28x28      156  117,600");
    assertEquals(rows[13].split(/\s+/), ["total", "61,706", "416,520", "1,131,960"]);
    assertEquals(linesOf(stdout).filter((line) => line.length > 80), []);
    assertStringIncludes(stdout, "(2.264 MFLOP)");
  },
});

Deno.test({
  name: "summary: --json is one object, --model another model, and mistakes end with 2",
  ignore,
  async fn() {
    const [json, wrong] = await Promise.all([
      runTask("summary", ["--model", "mlp", "--json"]),
      runTask("summary", ["--model", "mpl"]),
    ]);
    assertEquals([json.code, json.stderr], [0, ""]);
    const { name, layers, total } = JSON.parse(json.stdout);
    assertEquals([name, layers.length, total.parameters], ["mlp", 4, 203_530]);
    assertEquals(wrong, {
      code: 2,
      stdout: "",
      stderr: 'error: Invalid --model "mpl": expected one of lenet, lenet-d2l, lenet-relu, ' +
        "lenet-bn, resnet8, resnet14, vgg-small, vgg8, vgg-tiny, cnn-rgb, mlp, " +
        "softmax; did you mean mlp?\n",
    });
  },
});

Deno.test("summary: every model of the zoo has its parameters, and statistics counted apart", () => {
  const totals = MODEL_NAMES.map((name) => {
    const { layers, total } = costsOf(zooModel(name));
    assertEquals(layers.filter(({ frozen }) => frozen), []);
    const lines = linesOf(summaryTable({ layers, total }));
    const at = layers.length + 1;
    assertEquals(lines[at].split(/\s+/).slice(0, 2), ["total", formatCount(total.parameters)]);
    assertEquals(lines.slice(at + 1), / {2}window/.test(lines[0]) ? [] : ["s: stride, p: padding"]);
    assertEquals(lines.filter((line) => line.length > 80), []);
    return [name, total.parameters, total.statistics];
  });
  assertEquals(totals, [
    ["lenet", 61_706, 0],
    ["lenet-d2l", 61_706, 0],
    ["lenet-relu", 61_706, 0],
    ["lenet-bn", 62_158, 452],
    ["resnet8", 77_754, 672],
    ["resnet14", 98_782, 840],
    ["vgg-small", 58_810, 416],
    ["vgg8", 79_642, 512],
    ["vgg-tiny", 18_474, 176],
    ["cnn-rgb", 47_194, 320],
    ["mlp", 203_530, 0],
    ["softmax", 7850, 0],
  ]);
});

Deno.test({
  name: "summary: names in blocks, windows and receptive fields of a residual network",
  ignore,
  async fn() {
    const { code, stdout, stderr } = await runTask("summary", ["--model", "resnet8"]);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /\n5.shortcut.0 +conv2d 1x1 s2 +32x14x14 +512 +100,352 +301,056 +7x7\n/,
    );
    assertMatch(
      stdout,
      /\n5.shortcut.1 +batchNorm2d +32x14x14 +64 +7x7\n5 +residual +32x14x14 +13x13\n/,
    );
    assertMatch(stdout, /\ntotal +77,754 +9,345,920 +27,924,864\n/);
    assertMatch(stdout, /\nBeside the parameters 672 running means and variances, which training/);
  },
});

Deno.test({
  name: "summary: --run and --weights show what was trained, as eval reads it",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const model = zooModel("softmax", { inputShape: [1, 8, 8], classCount: 3 });
      const parameters = initialParameters(model, 0);
      const [file, bare] = [`${folder}/small.safetensors`, `${folder}/bare.safetensors`];
      await Deno.writeFile(file, encodeSafetensorsModel({ model, parameters }));
      const tensors = toTensors(zooModel("mlp"), initialParameters(zooModel("mlp"), 0));
      await Deno.writeFile(bare, encodeSafetensors({ tensors, metadata: {} }));
      const run = `${folder}/run`;
      const trained = await runTask("train", [
        ...["--dataset=sample", "--model=softmax", "--backend=wasm", "--max-steps=1", "--quiet"],
        `--out=${run}`,
      ]);
      assertEquals(trained.code, 0);
      const [ofRun, ofFile, ofBare, both] = await Promise.all([
        runTask("summary", ["--run", run]),
        runTask("summary", ["--weights", file, "--json"]),
        runTask("summary", ["--weights", bare, "--model", "mlp", "--json"]),
        runTask("summary", ["--weights", file, "--run", run]),
      ]);
      assertEquals([ofRun.code, ofRun.stderr], [0, ""]);
      assertMatch(ofRun.stdout, /: softmax\nInput \[1, 28, 28\]\n[^]*\ntotal +7,850 /);
      const { weights, inputShape, total } = JSON.parse(ofFile.stdout);
      assertEquals([weights, inputShape, total.parameters], [file, [1, 8, 8], 195]);
      const { name, notes } = JSON.parse(ofBare.stdout);
      assertEquals([name, ofBare.stderr], ["mlp", `note: ${bare}: ${notes[0]}\n`]);
      assertMatch(notes[0], /taken for "mlp"/);
      assertEquals(both.code, 2);
    }),
});
