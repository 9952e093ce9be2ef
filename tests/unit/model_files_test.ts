/** Files that are given as models: read by their content, or named for what they are. */

import { zipSync } from "fflate";
import { readModelFile } from "../../src/cli/model_files.ts";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { canUseTemp, withTempDir } from "../temp.ts";

const ignore = !canUseTemp();
const MODEL = zooModel("softmax");
const TRAINED = { model: MODEL, parameters: initialParameters(MODEL, 3) };
const bytesOf = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const zipOf = (...names: string[]) =>
  zipSync(Object.fromEntries(names.map((name) => [name, bytesOf("x".repeat(99))])));

Deno.test({
  name: "model files: the content decides, whatever the ending or its case",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [onnx, safetensors] = [encodeOnnx(TRAINED), encodeSafetensorsModel(TRAINED)];
      const files = {
        ...{ "a.ONNX": onnx, "a.bin": onnx, "b.SafeTensors": safetensors, "b.onnx": safetensors },
      };
      for (const [name, bytes] of Object.entries(files)) {
        await Deno.writeFile(`${folder}/${name}`, bytes);
        const { model, parameters } = await readModelFile(`${folder}/${name}`);
        assertEquals([model.name, parameters], ["softmax", TRAINED.parameters], name);
      }
    }),
});

Deno.test({
  name: "model files: those of other programs are named, with the line that converts them",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const torch =
        /python3 -c "import torch; .*torch\.load\('\S+\/NAME', .*'\S+\/model\.safetensors'\)"$/;
      const keras =
        /python3 -c "import keras; keras\.models\.load_model\('\S+\/NAME'\)\.export\('\S+\/model\.onnx', /;
      const cases: [string, Uint8Array, string, RegExp][] = [
        ["model.pt", zipOf("net/data.pkl", "net/data/0"), "a file of torch.save", torch],
        ["model.bin", zipOf("archive/data.pkl", "archive/version"), "a file of torch.save", torch],
        ["model.pth", bytesOf("\x80\x02\x8a\x0al"), "a Python pickle, as torch.save writes", torch],
        ["model.ckpt", zipOf("m/data.pkl", "m/code/n.py", "m/constants.pkl"), "TorchScript", /jit/],
        ["model.keras", zipOf("config.json", "model.weights.h5"), "a Keras model", keras],
        ["model.h5", bytesOf("\x89HDF\r\n\x1a\n..."), "HDF5, as Keras writes", keras],
        ["model.safetensors", bytesOf("\x89HDF\r\n\x1a\n..."), "HDF5, as Keras writes", keras],
        ["model.npz", zipOf("fc.weight.npy"), "NumPy arrays", /numpy\.load\(.*save|save.*numpy/],
        ["model.npy", bytesOf("\x93NUMPY\x01"), "one NumPy array", /save_file$/],
        ["model.tflite", bytesOf("\x1c\0\0\0TFL3"), "TensorFlow Lite", /tf2onnx.* --tflite \S+ --/],
        ["model.gguf", bytesOf("GGUF\x03"), "GGUF", /GGUFReader\('\S+\/NAME'\)/],
        ["frozen.pb", bytesOf("\x0a\x10"), "a graph of TensorFlow", /--saved-model DIR/],
        ["model.zip", zipOf("readme.txt"), "an archive", /unpack it first$/],
        ["model.tgz", bytesOf("\x1f\x8b\x08"), "an archive", /unpack it first$/],
        [
          "model.onnx",
          bytesOf("version https://git-lfs.github.com/spec/v1\n"),
          "a pointer of",
          /lfs/,
        ],
        [
          "model2.onnx",
          bytesOf("<!DOCTYPE html><html>"),
          "a web page",
          /download the file itself$/,
        ],
        ["picture.onnx", bytesOf("\x89PNG\r\n"), "a picture", /pictures to predict$/],
        ["empty.safetensors", new Uint8Array(), "empty", /again$/],
      ];
      for (const [name, bytes, what, advice] of cases) {
        const path = `${folder}/${name}`;
        await Deno.writeFile(path, bytes);
        const { message } = await assertRejects(() => readModelFile(path), TypeError);
        const start = `Cannot read ${path} as a model: it is ${what}`;
        assertEquals(message.slice(0, start.length), start);
        assertMatch(message, new RegExp(advice.source.replace("NAME", name)));
        assertEquals(message.includes("damaged") || message.includes("--model"), false, message);
      }
      await Deno.writeFile(`${folder}/it's.h5`, bytesOf("\x89HDF\r\n\x1a\n"));
      await assertRejects(
        () => readModelFile(`${folder}/it's.h5`),
        TypeError,
        "load_model('FILE')",
      );
      await Deno.writeTextFile(`${folder}/notes.txt`, "hello");
      const other = "expected .safetensors, .onnx or the folder of a LayersModel, found none";
      await assertRejects(() => readModelFile(`${folder}/notes.txt`), TypeError, other);
    }),
});

Deno.test({
  name: "model files: a folder without a LayersModel says what in it could be meant",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const cases: [string, string][] = [
        ["saved_model.pb", "it is a SavedModel of TensorFlow: convert it with python3 -m tf2onnx"],
        ["model.safetensors", 'give a file in it, as "model.safetensors"'],
        ["other.txt", "give a .safetensors or .onnx file, or a folder with model.json"],
      ];
      for (const [name, advice] of cases) {
        await Deno.mkdir(`${folder}/${name}s`);
        await Deno.writeTextFile(`${folder}/${name}s/${name}`, "");
        await assertRejects(
          () => readModelFile(`${folder}/${name}s`),
          TypeError,
          `s: it has no model.json; ${advice}`,
        );
      }
    }),
});
