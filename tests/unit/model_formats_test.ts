import fc from "fast-check";
import { encodeLayersModel } from "../../src/formats/layers_model/file.ts";
import { decodeLayersModel } from "../../src/formats/layers_model/file.ts";
import { decodeOnnx } from "../../src/formats/onnx/file.ts";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { toTensors } from "../../src/formats/safetensors/state_dict.ts";
import {
  decodeSafetensorsModel,
  encodeSafetensorsModel,
} from "../../src/formats/safetensors/model.ts";
import {
  asModel,
  describeModel,
  parseDescription,
  type TrainedModel,
} from "../../src/formats/trained_model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { conv2d, flatten, linear, relu, residual } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { channelOf } from "../../src/nn/standardization.ts";
import { MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import { createRandom } from "../../src/random.ts";
import { assertAlmostEquals, assertEquals, assertThrows } from "../assert.ts";
import { randomGraph } from "../random_graphs.ts";
import { randomModels } from "../random_models.ts";

type Format = (trained: TrainedModel, isForeign: boolean) => TrainedModel | Promise<TrainedModel>;

/** Each format, written and read again; as a foreign file without the description of the layers. */
const FORMATS: Readonly<Record<string, Format>> = {
  safetensors: (trained) => decodeSafetensorsModel(encodeSafetensorsModel(trained), "file"),
  onnx: (trained, isForeign) => {
    const bytes = encodeOnnx(trained);
    return decodeOnnx(isForeign ? withoutDescription(bytes) : bytes, "file");
  },
  tfjs: async (trained, isForeign) => {
    const { modelJson, weights } = await encodeLayersModel(trained);
    const { userDefinedMetadata: _, ...rest } = JSON.parse(modelJson);
    const read = () => Promise.resolve(weights);
    return await decodeLayersModel(isForeign ? JSON.stringify(rest) : modelJson, read, "file");
  },
};

/** Renames the key of the description, which has five letters too. */
function withoutDescription(bytes: Uint8Array): Uint8Array {
  const text = new TextDecoder("latin1").decode(bytes);
  const copy = bytes.slice();
  copy.set(new TextEncoder().encode("other"), text.lastIndexOf("lenet\x12"));
  return copy;
}

/** One logit without a sigmoid is no class, and is refused where a file's layers are read. */
const classifiers = () => randomModels().filter(({ classCount }) => classCount > 1);

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, label) => `class ${label}`);
}

for (const [format, roundTrip] of Object.entries(FORMATS)) {
  Deno.test(`${format}: any model comes back bit for bit, with its names, its classes' and its pictures' polarity`, async () => {
    const models = [...MODEL_NAMES.map((name) => zooModel(name))];
    const check = async (model: typeof models[number]) => {
      const parameters = initialParameters(model, 5);
      const classNames = namesOf(model.classCount);
      const pictures = { invert: true, darkOnLight: model.classCount % 2 === 0 };
      const back = await roundTrip({ model, parameters, classNames, pictures }, false);
      assertEquals(back.parameters, parameters);
      assertEquals([back.classNames, back.pictures], [classNames, pictures]);
      assertEquals(JSON.stringify(back.model), JSON.stringify(model));
    };
    for (const model of models) await check(model);
    await fc.assert(fc.asyncProperty(classifiers(), check), { seed: 6, numRuns: 50 });
  });
}

for (const format of ["onnx", "tfjs"] as const) {
  Deno.test(`${format}: the layers alone, without our description, give the same network`, async () => {
    const check = async (model: TrainedModel["model"]) => {
      const parameters = initialParameters(model, 5);
      const classNames = namesOf(model.classCount);
      const back = await FORMATS[format]({ model, parameters, classNames }, true);
      assertEquals(back.parameters, parameters);
      assertEquals(back.classNames, undefined);
      const { standardization, layers } = asModel(back, model, "file").model;
      assertEquals(layers, model.layers);
      for (let channel = 0; channel < model.inputShape[0]; channel++) {
        const { mean, std } = channelOf(model.standardization, channel);
        const found = channelOf(standardization, channel);
        assertAlmostEquals(found.mean, mean, 1e-7);
        assertAlmostEquals(found.std, std, 1e-7);
      }
    };
    await fc.assert(fc.asyncProperty(classifiers(), check), { seed: 7, numRuns: 50 });
  });
}

for (const [format, roundTrip] of Object.entries(FORMATS)) {
  Deno.test(`${format}: models with residual blocks come back bit for bit, also by their layers alone`, async () => {
    const random = createRandom(8, "formats");
    for (let trial = 0; trial < 40; trial++) {
      const model = randomGraph(random);
      const parameters = initialParameters(model, trial);
      const back = await roundTrip({ model, parameters }, false);
      assertEquals([back.model, back.parameters], [model, parameters]);
      const foreign = await roundTrip({ model, parameters }, true);
      assertEquals(foreign.parameters, parameters);
      asModel(foreign, model, "file");
    }
  });
}

Deno.test("residual blocks have PyTorch's names of modules, and are the same only if they go around the same", () => {
  const block = residual([conv2d({ outChannels: 1, kernelSize: 3, padding: 1 }), relu()]);
  const model = sequential([block, flatten(), linear({ outFeatures: 2 })], {
    inputShape: [1, 4, 4],
  });
  const names = [...toTensors(model, initialParameters(model, 1)).keys()];
  assertEquals(names, ["0.body.0.weight", "0.body.0.bias", "2.weight", "2.bias"]);
  // The same layers in the same order, but another of them goes around.
  const conv = conv2d({ outChannels: 1, kernelSize: 3, padding: 1 });
  const head = [flatten(), linear({ outFeatures: 2 })];
  const [one, other] = [
    sequential([residual([conv, conv], [], { name: "sum" }), ...head]),
    sequential([conv, residual([conv], [], { name: "sum" }), ...head]),
  ];
  const trained = { model: one, parameters: initialParameters(one, 1) };
  assertThrows(() => asModel(trained, other, "file"), TypeError, "Cannot load file");
});

Deno.test("a description's polarity of pictures is two booleans, or none, and nothing else of them", () => {
  const model = zooModel("softmax");
  const pictures = { testSplit: 0.2, invert: true, darkOnLight: false };
  const description = describeModel({ model, pictures });
  assertEquals(parseDescription(description).pictures, { invert: true, darkOnLight: false });
  for (const [objectShare, known] of [[0.714, 0.714], [0, 0], [2, undefined], ["1", undefined]]) {
    const altered = description.replace(
      '"invert"',
      `"objectShare":${JSON.stringify(objectShare)},"invert"`,
    );
    assertEquals(parseDescription(altered).pictures?.objectShare, known);
  }
  for (const wrong of ['"invert":1', '"invert":"true"', '"invert":null', '"other":true']) {
    const altered = description.replace('"invert":true', wrong);
    assertEquals(Object.keys(parseDescription(altered)), ["model"]);
  }
});

Deno.test("a model of other layers is refused with the first that differs", () => {
  const trained = (name: "mlp" | "lenet" | "softmax") => {
    const model = zooModel(name);
    return { model, parameters: initialParameters(model, 0) };
  };
  const start =
    'Cannot load file into model "lenet": expected conv2d kernelSize 5x5, stride 1x1, padding 2x2, ';
  assertThrows(
    () => asModel(trained("mlp"), zooModel("lenet"), "file"),
    TypeError,
    `${start}[1, 28, 28] to [6, 28, 28] as layer 0, found flatten, [1, 28, 28] to [784]; its`,
  );
  assertThrows(
    () => asModel(trained("mlp"), zooModel("softmax"), "file"),
    TypeError,
    "expected linear, [784] to [10] as layer 1, found linear, [784] to [256]",
  );
});
