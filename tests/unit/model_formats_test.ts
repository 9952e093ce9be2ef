import fc from "fast-check";
import {
  decodeLayersModel,
  encodeLayersModel,
  NoKerasLayerError,
} from "../../src/formats/layers_model/file.ts";
import { decodeOnnx, encodeOnnx } from "../../src/formats/onnx/file.ts";
import { encodeSafetensors } from "../../src/formats/safetensors/file.ts";
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
import { freeze, type Model, sequential } from "../../src/nn/sequential.ts";
import { channelOf } from "../../src/nn/standardization.ts";
import { MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import { createRandom } from "../../src/random.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertThrows,
} from "../assert.ts";
import { randomGraph } from "../random_graphs.ts";
import { caseModel, PARITY_CASES, randomImages } from "../parity/cases.ts";
import { randomlyLearned, randomModels } from "../random_models.ts";
import { referenceLogits } from "../reference_logits.ts";

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

const MODELS = [...MODEL_NAMES.map((name) => zooModel(name)), ...PARITY_CASES.map(caseModel)];

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, label) => `class ${label}`);
}

/** Running statistics as a format keeps them: only safetensors counts the batches that went into them. */
function kept(format: string, { statistics: layout }: Model, values?: Float32Array) {
  if (format === "safetensors") return values;
  const counts = layout.filter(({ shape }) => shape.length === 0).map(({ offset }) => offset);
  return values?.map((value, n) => counts.includes(n) ? 0 : value);
}

/** Whether TensorFlow.js has all layers: no maxima that are padded otherwise than by 'same'. */
async function isHeld(format: string, trained: TrainedModel): Promise<boolean> {
  if (format !== "tfjs") return true;
  const error = await encodeLayersModel(trained).then(() => undefined, (error) => error);
  if (error === undefined) return true;
  assert(error instanceof NoKerasLayerError, String(error));
  const { layers } = trained.model;
  assert(
    layers.some(({ name, type }) =>
      type === "maxPool2d" && error.message.startsWith(`Cannot write maxPool2d "${name}" as`)
    ),
  );
  return false;
}

/** Whether a format holds each layer as one of the same kind, so that no description need say which. */
function isItself(format: string, { layers }: Model): boolean {
  return format !== "tfjs" || layers.every((layer) => {
    if (!("groups" in layer) || layer.groups === 1) return true;
    const { groups, inputShape: [channels], stride: [down, right] } = layer;
    return groups === channels && down === right;
  });
}

for (const [format, roundTrip] of Object.entries(FORMATS)) {
  const check = async (model: Model) => {
    const learned = randomlyLearned(model, 5);
    const classNames = namesOf(model.classCount);
    const pictures = { invert: true, darkOnLight: model.classCount % 2 === 0 };
    const trained = { model, ...learned, classNames, pictures };
    if (!await isHeld(format, trained)) return false;
    const back = await roundTrip(trained, false);
    assertEquals(back.parameters, learned.parameters);
    assertEquals(back.statistics, kept(format, model, learned.statistics));
    assertEquals([back.classNames, back.pictures], [classNames, pictures]);
    // What is frozen is for who trains it to say.
    assertEquals(JSON.stringify(back.model), JSON.stringify(freeze(model, [])));
    return true;
  };

  Deno.test(`${format}: each model comes back bit for bit, with its statistics, its names, its classes' and its pictures' polarity`, async () => {
    const held = await Promise.all(MODELS.map(check));
    const refused = MODELS.filter((_, n) => !held[n]).map((model) =>
      PARITY_CASES.find((each) => caseModel(each).specs === model.specs)?.name
    );
    const padded = "padded pools: averages that count zeros, maxima that do not";
    assertEquals(refused, format === "tfjs" ? [padded] : []);
  });

  Deno.test(`${format}: any model comes back bit for bit`, async () => {
    let held = 0;
    const property = fc.asyncProperty(classifiers(), async (model) => {
      if (await check(model)) held++;
    });
    await fc.assert(property, { seed: 6, numRuns: 50 });
    assert(held >= 30, `${held} of 50`);
  });

  Deno.test(`${format}: models with residual blocks come back bit for bit, also by their layers alone`, async () => {
    const random = createRandom(8, "formats");
    let held = 0;
    for (let trial = 0; trial < 60; trial++) {
      const model = randomGraph(random, trial % 3 > 0);
      const learned = randomlyLearned(model, trial);
      if (!await isHeld(format, { model, ...learned })) continue;
      held++;
      const back = await roundTrip({ model, ...learned }, false);
      const statistics = kept(format, model, learned.statistics);
      assertEquals([back.model, back.parameters], [model, learned.parameters]);
      assertEquals(back.statistics, statistics);
      if (!isItself(format, model)) continue;
      const foreign = await roundTrip({ model, ...learned }, true);
      assertEquals([foreign.parameters, foreign.statistics], [learned.parameters, statistics]);
      asModel(foreign, model, "file");
    }
    assert(held >= 40, `${held} of 60`);
  });
}

for (const format of ["onnx", "tfjs"] as const) {
  Deno.test(`${format}: the layers alone, without our description, give the same network`, async () => {
    let compared = 0;
    const check = async (model: Model) => {
      const learned = randomlyLearned(model, 5);
      const classNames = namesOf(model.classCount);
      const trained = { model, ...learned, classNames };
      if (!isItself(format, model) || !await isHeld(format, trained)) return;
      compared++;
      const back = await FORMATS[format](trained, true);
      assertEquals(back.parameters, learned.parameters);
      assertEquals(back.statistics, kept(format, model, learned.statistics));
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
    for (const model of MODELS) await check(model);
    await fc.assert(fc.asyncProperty(classifiers(), check), { seed: 7, numRuns: 60 });
    assert(compared >= MODELS.length + 20, `${compared}`);
  });
}

Deno.test("tfjs: kernels of groups are theirs again only where there are zeros between", async () => {
  const conv = (groups: number) => conv2d({ outChannels: 6, kernelSize: 2, groups, bias: false });
  const model = sequential([conv(3), flatten(), linear({ outFeatures: 2 })], {
    inputShape: [6, 3, 3],
  });
  const trained = { model, ...randomlyLearned(model, 3) };
  const { modelJson, weights } = await encodeLayersModel(trained);
  const read = (json: string, bytes = weights) =>
    decodeLayersModel(json, () => Promise.resolve(bytes), "file");
  assertEquals((await read(modelJson)).model.specs, model.specs);
  // Another program has filled the zeros: the description no longer fits.
  const filled = Uint8Array.from(weights, (byte, n) => n % 4 === 3 && byte === 0 ? 0x3f : byte);
  const other = await read(modelJson, filled);
  assertEquals(other.model.specs[0], conv2d({ ...conv(1), inChannels: 6, name: "layer0" }));
  assert(other.notes?.includes("its description is not used: it is of other layers"));
  const data = randomImages(model, 3, 1);
  const { userDefinedMetadata: _, ...rest } = JSON.parse(modelJson);
  const foreign = await read(JSON.stringify(rest));
  assertEquals(await referenceLogits(foreign, data), await referenceLogits(trained, data));
});

Deno.test("tfjs: a DepthwiseConv2D is read as Keras 2 writes it", async () => {
  const model = sequential([
    conv2d({ outChannels: 6, kernelSize: 2, groups: 3 }),
    flatten(),
    linear({ outFeatures: 2 }),
  ], { inputShape: [3, 3, 3] });
  const trained = { model, ...randomlyLearned(model, 3) };
  const { modelJson, weights } = await encodeLayersModel(trained);
  const read = (config: object) => {
    const { userDefinedMetadata: _, ...json } = JSON.parse(modelJson);
    const { layers } = json.modelTopology.config;
    const layer = layers.find(({ class_name }: { class_name: string }) =>
      class_name === "DepthwiseConv2D"
    );
    Object.assign(layer.config, config);
    return decodeLayersModel(JSON.stringify(json), () => Promise.resolve(weights), "file");
  };
  const given = { groups: 1, depthwise_initializer: { class_name: "GlorotUniform", config: {} } };
  const { parameters } = await read({ ...given, activation: "linear" });
  assertEquals(parameters, trained.parameters);
  await assertRejects(() => read({ groups: 3 }), TypeError, "groups must be 1, found 3");
  await assertRejects(() => read({ depth_multiplier: 1 }), TypeError, "must be 2, found 1");
});

Deno.test("safetensors: a file without a description is a model of the zoo, with its statistics", () => {
  for (const name of MODEL_NAMES) {
    const model = zooModel(name, { classCount: 7 });
    const learned = randomlyLearned(model, 3);
    const tensors = toTensors(model, learned.parameters, learned.statistics);
    const file = encodeSafetensors({ tensors, metadata: {} });
    const back = decodeSafetensorsModel(file, "file", { model: name });
    assertEquals(JSON.stringify(back.model), JSON.stringify(model));
    assertEquals([back.parameters, back.statistics], [learned.parameters, learned.statistics]);
  }
});

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
    'Cannot load file into model "lenet": expected conv2d kernelSize 5x5, stride 1x1, padding 2x2, ' +
    "groups 1, ";
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
