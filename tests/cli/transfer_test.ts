/** Transfer as a user does it: a model of other classes or layers, frozen parts, and what is refused. */

import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import { toTensors } from "../../src/formats/safetensors/state_dict.ts";
import { describeModel, DESCRIPTION_KEY } from "../../src/formats/trained_model.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import { batchNorm1d, conv2d, flatten, leakyRelu, linear, tanh } from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, runTask } from "./command.ts";
import { writeNoise } from "./runs.ts";

const ignore = !canRunCommands();
const inputShape = [1, 8, 8] as const;
const BACKEND = ["--backend=wasm", "--threads=1"];

/** A model and numbers as training may have left them. */
function learnedBy(model: Model) {
  const parameters = initialParameters(model, 7);
  const statistics = initialStatistics(model);
  for (const { shape, offset, size } of model.statistics) {
    // What is one number is a count.
    for (let n = offset; n < offset + size; n++) statistics[n] += shape.length > 0 ? n % 5 / 8 : 9;
  }
  return { model, parameters, ...(model.statisticCount > 0 && { statistics }) };
}

async function tensorsIn(path: string) {
  return decodeSafetensors(await Deno.readFile(path), path).tensors;
}

Deno.test({
  name: "train: a frozen model of other classes gets a new head, and goes on frozen after --resume",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [data, file, out] = ["noise", "ten.safetensors", "run"].map((name) =>
        `${folder}/${name}`
      );
      await writeNoise(data);
      await Deno.writeFile(
        file,
        encodeSafetensorsModel(learnedBy(zooModel("resnet8", { inputShape }))),
      );
      const { code, stdout, stderr } = await runTask("train", [
        ...["--dataset", data, "--init", file, "--freeze", "0,1,3*, 5.shortcut", ...BACKEND],
        ...["--epochs=2", "--max-steps=2", "--batch-size=75", "--json", "--out", out],
      ]);
      assertEquals(code, 0, stderr);
      const start = JSON.parse(linesOf(stdout)[0]);
      const frozen = ["0", "1", "3*", "5.shortcut"];
      assertEquals([start.model.name, start.frozen], ["resnet8", frozen]);
      assertEquals(start.init, { type: "file", path: ".../ten.safetensors", replaced: ["fc"] });
      assertEquals(start.notes, [
        `${file}: "fc" is drawn anew for 4 classes, it had 10; all before it is kept`,
      ]);
      const before = await tensorsIn(file);
      const isFrozen = (name: string) => /^(0|1|3\.body\.\d|5\.shortcut\.\d)\.\w+$/.test(name);
      const requireFrozen = async () => {
        const after = await tensorsIn(`${out}/model.safetensors`);
        assertEquals([...after.keys()], [...before.keys()]);
        assertEquals(after.get("fc.weight")!.shape, [4, 64]);
        for (const [name, { data }] of after) {
          const { data: old } = before.get(name)!;
          const isSame = data.every((value, n) => Object.is(value, old[n]));
          assertEquals(isSame, isFrozen(name), name);
        }
      };
      await requireFrozen();
      const report = await Deno.readTextFile(`${out}/report.html`);
      assertMatch(report, /Frozen<\/dt>\s*<dd>0, 1, 3\*, 5.shortcut/);
      assertStringIncludes(report, "but fc drawn anew");

      const [summary, again] = await Promise.all([
        runTask("summary", ["--run", out, "--json"]),
        runTask("train", ["--resume", out, "--freeze", "0"]),
      ]);
      const { layers, frozen: shown, total } = JSON.parse(summary.stdout);
      assertEquals([shown, total.statistics], [frozen, 2 * (3 * 16 + 3 * 32 + 3 * 64)]);
      const names = layers.filter((layer: { frozen: boolean }) => layer.frozen)
        .map(({ name }: { name: string }) => name);
      assertEquals(names.length, 8);
      assert(names.every((name: string) => isFrozen(`${name}.weight`)), `${names}`);
      assertEquals(again.code, 2);
      assertStringIncludes(again.stderr, "Cannot use --freeze with --resume");

      const resumed = await runTask("train", ["--resume", out, "--max-steps=4", "--dataset", data]);
      assertEquals(resumed.code, 0, resumed.stderr);
      assertMatch(
        resumed.stdout,
        /^Model +resnet8, .*\n? *from \.\.\.\/ten.safetensors, but fc drawn anew\n/,
      );
      assertMatch(
        resumed.stdout.replace(/\n +/g, " "),
        /\nFrozen +0, 1, 3\*, 5.shortcut: 5,424 of 77,364 parameters stay as they are\n/,
      );
      await requireFrozen();
      const config = JSON.parse(await Deno.readTextFile(`${out}/config.json`));
      for (const [changed, text] of [[["0"], "with frozen"], [["nope"], 'cannot freeze "nope"']]) {
        const edited = { ...config, frozen: changed };
        await Deno.writeTextFile(`${out}/config.json`, JSON.stringify(edited));
        const refused = await runTask("train", ["--resume", out, "--dataset", data]);
        assertEquals([refused.code, linesOf(refused.stderr).length], [1, 1], refused.stderr);
        assertStringIncludes(refused.stderr, `${text}`);
      }
    }),
});

Deno.test({
  name: "train: layers of no model here are trained whole with a new head, and resumed",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [data, file, out] = ["noise", "own.onnx", "run"].map((name) => `${folder}/${name}`);
      await writeNoise(data);
      const model = sequential([
        conv2d({ name: "first", outChannels: 3, kernelSize: 3, stride: 2 }),
        leakyRelu(0.3),
        flatten(),
        linear({ name: "middle", outFeatures: 6 }),
        tanh(),
        linear({ name: "last", outFeatures: 2 }),
      ], { inputShape, name: "own" });
      await Deno.writeFile(file, encodeOnnx(learnedBy(model)));
      const { code, stderr } = await runTask("train", [
        ...["--dataset", data, "--init", file, "--freeze=first", "--max-steps=1", ...BACKEND],
        ...["--quiet", "--out", out],
      ]);
      assertEquals(code, 0, stderr);
      const resumed = await runTask("train", [
        ...["--resume", out, "--dataset", data, "--max-steps=2", "--json"],
      ]);
      assertEquals(resumed.code, 0, resumed.stderr);
      const [start, ...events] = linesOf(resumed.stdout).map((line) => JSON.parse(line));
      assertEquals(start.model.layers.map(({ type }: { type: string }) => type), [
        ...["conv2d", "leakyRelu", "flatten", "linear", "tanh", "linear"],
      ]);
      assertEquals([start.model.layers.at(-1).outFeatures, start.init.replaced], [4, ["last"]]);
      assertEquals(events.at(-1).outcome, "max steps reached");
      const { code: evaluated } = await runTask("eval", [
        "--run",
        out,
        "--dataset",
        data,
        "--json",
      ]);
      assertEquals(evaluated, 0);
    }),
});

Deno.test({
  name: "transfer: what cannot be is refused in one line before anything is written",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const data = `${folder}/noise`;
      await writeNoise(data);
      const norm = learnedBy(sequential([
        flatten(),
        linear({ name: "fc1", outFeatures: 5 }),
        batchNorm1d({ name: "bn" }),
        linear({ name: "fc2", outFeatures: 4 }),
      ], { inputShape }));
      const described = { [DESCRIPTION_KEY]: describeModel(norm) };
      const withVariance = (value: number) => {
        const statistics = norm.statistics!.slice();
        statistics[norm.model.statistics[1].offset + 2] = value;
        return encodeSafetensorsModel({ ...norm, statistics });
      };
      const files: Record<string, Uint8Array> = {
        ten: encodeSafetensorsModel(learnedBy(zooModel("mlp", { inputShape }))),
        rgb: encodeSafetensorsModel(learnedBy(zooModel("cnn-rgb", { inputShape: [3, 8, 8] }))),
        norm: encodeSafetensorsModel(norm),
        constant: withVariance(0),
        negative: withVariance(-0.5),
        nan: withVariance(NaN),
        // What training measured was left out.
        bare: encodeSafetensors({
          tensors: toTensors(norm.model, norm.parameters),
          metadata: described,
        }),
      };
      for (const [name, bytes] of Object.entries(files)) {
        await Deno.writeFile(`${folder}/${name}.safetensors`, bytes);
      }
      const init = (name: string) => ["--init", `${folder}/${name}.safetensors`];
      const refused = `${folder}/refused`;
      const train = ["train", "--dataset", data, ...BACKEND, "--out", refused];
      const sweep = ["sweep", "--dataset", data, ...BACKEND, "--grid=seed=1,2", "--out", refused];
      const weights = (name: string) => ["--weights", `${folder}/${name}.safetensors`];
      const cases: [string[], number, RegExp][] = [
        [[...train, "--model=mlp", "--freeze=conv1"], 1, /freeze "conv1": .* one of fc1, fc2$/],
        [[...train, "--model=resnet8", "--freeze=0,9*"], 1, /freeze "9\*": expected the name,/],
        [[...train, "--model=mlp", "--freeze=fc*"], 1, /no layer would be left to train/],
        [[...train, "--model=mlp", "--freeze=fc1,"], 2, /Invalid --freeze "fc1,": expected names/],
        [[...train, ...init("ten"), "--freeze=fc2"], 1, /freeze "fc2": it is drawn anew for 4 cl/],
        [[...train, ...init("rgb")], 1, /takes images of \[3, 8, 8\], those of dataset .* \[1, 8,/],
        [[...train, ...init("norm"), "--batch-size=149"], 1, /"bn" needs 2 .* --batch-size 148$/],
        [[...train, ...init("norm"), "--batch-size=1"], 1, /leaves 1 of 150; .* --batch-size 2$/],
        [[...train, ...init("bare")], 1, /expected "bn.running_mean" \[5\], found /],
        [[...train, ...init("negative")], 1, /a variance in "bn.running_var" is below 0/],
        [[...train, ...init("nan")], 1, /expected numbers in "bn.running_var", found NaN/],
        [[...sweep, "--model=mlp", "--freeze=conv1"], 1, /Cannot freeze "conv1"/],
        [[...sweep, "--grid=model=mlp,softmax", "--freeze=fc1"], 1, /"fc1": .* one of fc$/],
        [["eval", ...weights("bare"), "--dataset", data], 1, /expected "bn.running_mean"/],
        [["eval", ...weights("rgb"), "--dataset", data], 1, /takes 3 channels, its images have 1;/],
        [["export", "--format=onnx", ...weights("negative"), "--out", refused], 1, /is below 0/],
      ];
      const outcomes = await Promise.all(cases.map(([[task, ...args]]) => runTask(task, args)));
      outcomes.forEach(({ code, stdout, stderr }, n) => {
        assertEquals([code, stdout, linesOf(stderr).length], [cases[n][1], "", 1], stderr);
        assertMatch(linesOf(stderr)[0], cases[n][2]);
      });
      assertEquals((await namesIn(folder)).filter((name) => !name.endsWith(".safetensors")), [
        "noise",
      ]);
      // Frozen, the same layer takes one image, and what never changed is only told.
      const alone = ["--batch-size=149", "--freeze=bn", "--dry-run", "--json", ...BACKEND];
      const [one, told] = await Promise.all([
        runTask("train", ["--dataset", data, ...init("norm"), ...alone]),
        runTask("summary", [...weights("constant"), "--json"]),
      ]);
      assertEquals(one.code, 0, one.stderr);
      assertMatch(
        JSON.parse(told.stdout).notes.join(),
        /1 of 5 variances in "bn.running_var" is 0, as of what never changes/,
      );
    }),
});
