/** The kinds of files that may come from strangers: valid ones to start from, and who reads them. */

import { gzipSync } from "node:zlib";
import { encode } from "fast-png";
import jpeg from "jpeg-js";
import { sha256Hex } from "../../src/sha256.ts";
import { memberOf } from "../../src/data/archive.ts";
import { parseCifar } from "../../src/data/cifar.ts";
import { collect, gunzip } from "../../src/data/files.ts";
import { encodeIdx, idxByteLength, parseIdx, parseLabeledImages } from "../../src/data/idx.ts";
import { fitPicture } from "../../src/data/picture.ts";
import { decodePicture } from "../../src/data/picture_file.ts";
import { decodeLayersModel } from "../../src/formats/layers_model/file.ts";
import { decodeOnnx } from "../../src/formats/onnx/file.ts";
import { encodeOnnx } from "../../src/formats/onnx/file.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/formats/safetensors/file.ts";
import {
  decodeSafetensorsModel,
  encodeSafetensorsModel,
} from "../../src/formats/safetensors/model.ts";
import { toTensors } from "../../src/formats/safetensors/state_dict.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { conv2d, flatten, linear, maxPool2d, relu } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { configuredModel, parseRunConfig } from "../../src/run/config.ts";
import { parseMetricsLog } from "../../src/run/metrics.ts";
import { parseSweep } from "../../src/run/sweep_record.ts";
import { sweepTable } from "../../src/report/sweep_report.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/run/checkpoint.ts";
import { NOT_STARTED } from "../../src/train/progress.ts";
import { concat, mutateBytes, mutateJson, type Mutator } from "./mutate.ts";
import { mutateMessage, mutateNode, withWeightsBeside } from "./onnx.ts";
import { mutateGzipContent, mutatePngChunk } from "./pictures.ts";
import { granted } from "../permissions.ts";
import { tarOf } from "../tar.ts";

/** One kind of file. */
export interface FuzzKind {
  /** Valid files, which the mutations start from. */
  readonly seeds: readonly Uint8Array[];
  /** Ways of mutating one, each as likely as the others. */
  readonly mutators: readonly Mutator[];
  /** Reads a file as the product does, and throws what the product throws.
   *
   * A result that is not what it must be is a plain Error.
   */
  readonly read: (bytes: Uint8Array) => unknown;
}

/** How errors call the file. */
export const LABEL = "the-file";

/** Two records of CIFAR-10. */
const BATCH = Uint8Array.from({ length: 2 * 3073 }, (_, n) => n % 10);

const MODEL = zooModel("softmax", { inputShape: [1, 2, 3], classCount: 3 });
const PARAMETERS = initialParameters(MODEL, 1);

const CONVOLUTION = sequential([
  conv2d({ name: "first", outChannels: 2, kernelSize: [2, 3], stride: [2, 1], padding: 1 }),
  relu(),
  maxPool2d({ poolSize: 2, stride: 1 }),
  flatten(),
  linear({ outFeatures: 3 }),
], { inputShape: [1, 4, 5], standardization: { mean: 0.3, std: 0.4 } });

const EXTERNAL = withWeightsBeside({
  model: CONVOLUTION,
  parameters: initialParameters(CONVOLUTION, 3),
});

/** As TensorFlow.js writes it, with what the reader does not need left out. */
const LAYERS_MODEL = {
  modelTopology: {
    class_name: "Sequential",
    config: {
      name: "small",
      layers: [
        ["Rescaling", { scale: 2, offset: -1, batch_input_shape: [null, 4, 5, 1] }],
        ["ZeroPadding2D", { padding: [[1, 1], [0, 0]] }],
        ["Conv2D", {
          name: "conv",
          kernel_size: [2, 2],
          strides: [2, 1],
          padding: "valid",
          activation: "relu",
        }],
        ["MaxPooling2D", { pool_size: [2, 2], strides: [1, 1], padding: "valid" }],
        ["Dropout", { rate: 0.5 }],
        ["Flatten", {}],
        ["Dense", { name: "dense", units: 3, activation: "softmax" }],
      ].map(([class_name, config]) => ({ class_name, config })),
    },
  },
  weightsManifest: [{
    paths: ["weights.bin"],
    weights: [
      { name: "conv/kernel", shape: [2, 2, 1, 2], dtype: "float32" },
      { name: "conv/bias", shape: [2], dtype: "float32" },
      { name: "dense/kernel", shape: [12, 3], dtype: "float32" },
      { name: "dense/bias", shape: [3], dtype: "float32" },
    ],
  }],
};

/** As the converter writes Keras 3's functional models, with the forms that the other seed has not. */
const FUNCTIONAL_MODEL = {
  modelTopology: {
    model_config: {
      class_name: "Functional",
      config: {
        name: "row",
        layers: [
          ["InputLayer", { name: "a", batch_shape: [null, 4, 5], dtype: "uint8" }],
          ["Rescaling", { name: "b", scale: 0.004, offset: 0 }],
          ["Reshape", { name: "c", target_shape: [4, 5, -1] }],
          ["Conv2D", { name: "d", kernel_size: 2, strides: 2, padding: "same", use_bias: false }],
          ["BatchNormalization", { name: "e", axis: [3], epsilon: 0.001, momentum: 0.9 }],
          ["Permute", { name: "f", dims: [3, 1, 2] }],
          ["Flatten", { name: "g", data_format: "channels_first" }],
          ["Dense", {
            name: "h",
            units: 1,
            activation: { class_name: "function", config: "sigmoid" },
          }],
        ].map(([class_name, config], n) => ({
          ...{ class_name, config, name: "abcdefgh"[n] },
          inbound_nodes: n === 0 ? [] : [{
            args: [{ config: { keras_history: ["abcdefgh"[n - 1], 0, 0] } }],
            kwargs: { training: false },
          }],
        })),
        input_layers: ["a", 0, 0],
        output_layers: ["h", 0, 0],
      },
    },
  },
  weightsManifest: [{
    paths: ["row.bin"],
    weights: [
      { name: "d/kernel", shape: [2, 2, 1, 2] },
      ...["gamma", "beta", "moving_mean", "moving_variance"]
        .map((part) => ({ name: `e/${part}`, shape: [2] })),
      ...[{ name: "layers/dense/vars/0", shape: [12, 1] }, { name: "h/bias", shape: [1] }],
    ].map((weight) => ({
      ...{ ...weight, dtype: "float32" },
      quantization: { dtype: "uint8", scale: 0.01, min: -1 },
    })),
  }],
};

const DEVICE = { kind: "cpu", description: "WebAssembly", threads: 2, software: false };

const CONFIG = {
  started: "2026-01-02T03:04:05.000Z",
  model: { name: MODEL.name, inputShape: MODEL.inputShape, layers: MODEL.specs },
  dataset: {
    name: "sample",
    digest: "00",
    trainCount: 11,
    testCount: 7,
    classNames: ["shirt", "bag", "boot"],
  },
  plan: {
    epochs: 2,
    batchSize: 4,
    learningRate: 0.1,
    schedule: "cosine",
    seed: 3,
    shuffle: true,
    maxSteps: 5,
  },
  optimizer: { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  init: { type: "xavierUniform" },
  backend: "wasm",
  device: DEVICE,
  environment: { lenet: "0.1.0", cores: 2 },
  resumed: [{ started: "2026-01-02", step: 3, backend: "wasm", device: DEVICE }],
};

const METRICS = {
  epoch: 1,
  step: 3,
  trainLoss: 1.5,
  trainAccuracy: 0.5,
  testLoss: null,
  testAccuracy: 0.25,
  trainMs: 10,
  evalMs: 1,
  imagesPerSecond: 1100,
};

const SWEEP = {
  started: "2026-01-02T03:04:05.000Z",
  flags: { model: "softmax", epochs: 1, shuffle: true },
  dataset: { name: "./photos", digest: "00" },
  environment: { lenet: "0.1.0", cores: 2 },
  results: [
    { settings: { lr: "0.1" }, last: METRICS, bestAccuracy: 0.25, elapsedMs: 20, rank: 1 },
    { settings: { lr: "9", seed: "1" }, error: "Training diverged", elapsedMs: 9.5, rank: 0 },
  ],
};

/** The table; a new format that is read gets a row here, and is then tested everywhere. */
export const FUZZ_KINDS: Readonly<Record<string, FuzzKind>> = {
  idx: {
    seeds: [
      encodeIdx({ dimensions: [3, 4, 5], data: new Uint8Array(60).fill(7) }),
      encodeIdx({ dimensions: [3], data: Uint8Array.of(0, 1, 2) }),
    ],
    mutators: [mutateBytes],
    read(bytes) {
      if (bytes[3] === 1) return parseIdx(bytes, LABEL, 1);
      const labels = encodeIdx({ dimensions: [3], data: Uint8Array.of(0, 1, 2) });
      const names = { imagesName: LABEL, labelsName: "labels" };
      const { images, count, shape } = parseLabeledImages({ images: bytes, labels, ...names });
      require(images.length === count * shape[1] * shape[2], "pixels do not fill the images");
    },
  },
  gzip: {
    seeds: [encodeIdx({
      dimensions: [3, 4, 5],
      data: Uint8Array.from({ length: 60 }, (_, n) => n * n),
    })]
      .map((bytes) => new Uint8Array(gzipSync(bytes))),
    mutators: [mutateBytes, mutateGzipContent],
    async read(bytes) {
      const maxBytes = (head: Uint8Array) => idxByteLength(head, LABEL, 3);
      const content = await collect(gunzip([bytes], { name: LABEL, maxBytes }));
      return parseIdx(content, LABEL, 3);
    },
  },
  cifar: {
    seeds: [tarOf({ "batches/readme": new Uint8Array(9), "batches/test_batch.bin": BATCH })],
    mutators: [mutateBytes],
    async read(bytes) {
      const pieces = async function* () {
        for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
      };
      const options = { isZip: false, isWanted: (name: string) => name === "test_batch.bin" };
      const content = await collect(memberOf(pieces(), options));
      const { images, count } = parseCifar([{ bytes: content, path: LABEL }], 10);
      require(images.length === count * 3072, "pixels do not fill the images");
    },
  },
  safetensors: {
    seeds: [
      encodeSafetensorsModel({
        model: MODEL,
        parameters: PARAMETERS,
        classNames: CONFIG.dataset.classNames,
        pictures: { invert: true, darkOnLight: false },
      }),
      encodeSafetensors({ tensors: toTensors(MODEL, PARAMETERS), metadata: {} }),
    ],
    mutators: [mutateBytes, mutateSafetensorsHeader, mutateDescription],
    read(bytes) {
      const trained = decodeSafetensorsModel(bytes, LABEL, { model: MODEL });
      const { model, parameters, pictures } = trained;
      require(parameters.length === model.parameterCount, "parameters do not fill the model");
      require(typeof (pictures?.invert ?? true) === "boolean", "no polarity");
    },
  },
  onnx: {
    seeds: [
      encodeOnnx({ model: CONVOLUTION, parameters: initialParameters(CONVOLUTION, 2) }),
      encodeOnnx({
        model: MODEL,
        parameters: PARAMETERS,
        classNames: CONFIG.dataset.classNames,
      }),
    ],
    mutators: [mutateBytes, mutateNode, mutateMessage],
    read(bytes) {
      const { model, parameters } = decodeOnnx(bytes, LABEL);
      require(parameters.length === model.parameterCount, "parameters do not fill the model");
    },
  },
  onnxWeights: {
    seeds: [EXTERNAL.bytes],
    mutators: [mutateBytes, mutateNode, mutateMessage],
    async read(bytes) {
      const read = (name: string) => {
        require(/^[^/\\]+$/.test(name), "a path is read");
        return Promise.resolve(EXTERNAL.weights);
      };
      const { model, parameters } = await decodeOnnx(bytes, LABEL, read);
      require(parameters.length === model.parameterCount, "parameters do not fill the model");
    },
  },
  layersModel: {
    seeds: [LAYERS_MODEL, FUNCTIONAL_MODEL].map((model) => text(JSON.stringify(model))),
    mutators: [mutateBytes, onText(mutateJson), onText(mutateJson)],
    async read(bytes) {
      const weights = (name: string) =>
        Promise.resolve(
          name === "row.bin"
            ? new Uint8Array(8 + 8 + 12 + 1).fill(150)
            : new Uint8Array(4 * (2 * 2 * 2 + 2 + 12 * 3 + 3)),
        );
      const json = new TextDecoder().decode(bytes);
      const { model, parameters } = await decodeLayersModel(json, weights, LABEL);
      require(parameters.length === model.parameterCount, "parameters do not fill the model");
    },
  },
  checkpoint: {
    seeds: [encodeCheckpoint(MODEL, {
      state: { parameters: PARAMETERS, slots: [PARAMETERS, PARAMETERS], step: 5 },
      progress: { ...NOT_STARTED, step: 5 },
      configuration: CONFIG,
    })],
    mutators: [mutateBytes, sealed(mutateBytes), sealed(mutateSafetensorsHeader), mutateProgress],
    read(bytes) {
      const { state, progress } = decodeCheckpoint(bytes, LABEL, MODEL);
      const vectors = [state.parameters, ...state.slots];
      require(vectors.every(({ length }) => length === MODEL.parameterCount), "vectors differ");
      require(Number.isSafeInteger(progress.step) && progress.step >= 0, "no valid step");
    },
  },
  config: {
    seeds: [text(JSON.stringify(CONFIG))],
    mutators: [mutateBytes, onText(mutateJson), onText(mutateJson)],
    read(bytes) {
      const config = parseRunConfig(new TextDecoder().decode(bytes), LABEL);
      const { parameterCount } = configuredModel(config);
      require(parameterCount > 0, "a model without parameters");
      require(config.dataset.classNames.every((name) => !/\p{Cc}/u.test(name)), "a control");
    },
  },
  metrics: {
    seeds: [text(`${JSON.stringify(METRICS)}\n${JSON.stringify({ ...METRICS, epoch: 2 })}\n`)],
    mutators: [mutateBytes, onText(mutateFirstLine)],
    read(bytes) {
      for (const line of parseMetricsLog(new TextDecoder().decode(bytes), LABEL)) {
        require(Number.isSafeInteger(line.epoch) && typeof line.testLoss === "number", "a line");
      }
    },
  },
  sweep: {
    seeds: [text(JSON.stringify(SWEEP))],
    mutators: [mutateBytes, onText(mutateJson), onText(mutateJson)],
    read(bytes) {
      const { results } = parseSweep(new TextDecoder().decode(bytes), LABEL);
      const table = sweepTable(results);
      require(table.split("\n").length === results.length + 2, "its table has other rows");
    },
  },
  png: {
    seeds: [
      encode({ width: 9, height: 7, data: new Uint8Array(63).fill(90), channels: 1 }),
      encode({ width: 3, height: 3, data: new Uint8Array(36).fill(90), channels: 4 }),
      encode({ width: 3, height: 2, data: new Uint16Array(18).fill(900), channels: 3, depth: 16 }),
      encode({
        width: 4,
        height: 1,
        data: Uint8Array.of(0x1b),
        depth: 2,
        channels: 1,
        palette: [[0, 0, 0], [255, 0, 0], [0, 255, 0], [1, 2, 3]],
      }),
      ...fixtures("png"),
    ],
    mutators: [mutateBytes, mutatePngChunk, mutatePngChunk],
    read: readPicture,
  },
  jpeg: {
    seeds: [
      ...[16, 40].map((side) => {
        const data = Uint8Array.from({ length: 4 * side * side }, (_, n) => (n * n) & 0xff);
        return new Uint8Array(jpeg.encode({ width: side, height: side, data }, 60).data);
      }),
      ...fixtures("jpg"),
    ],
    mutators: [mutateBytes],
    read: readPicture,
  },
  ...Object.fromEntries(["bmp", "gif", "webp"].map((ending) => [ending, {
    seeds: fixtures(ending),
    mutators: [mutateBytes],
    read: readPicture,
  }])),
};

/** The pictures beside the tests that have an ending, but for the many that differ only in how they lie. */
function fixtures(ending: string): Uint8Array[] {
  const folder = new URL("../fixtures/pictures/", import.meta.url);
  if (!granted({ name: "read", path: folder })) return [];
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort()
    .filter((name) => name.endsWith(`.${ending}`) && !/turned_[2-8]/.test(name))
    .map((name) => Deno.readFileSync(new URL(name, folder)));
}

function readPicture(bytes: Uint8Array): void {
  for (const channels of [1, 3] as const) {
    const picture = decodePicture(bytes, LABEL, { channels });
    const { width, height, pixels } = picture;
    require(pixels.length === channels * width * height, "pixels do not fill it");
    const fitted = fitPicture(picture, { width: 28, height: 28 });
    require(fitted.pixels.length === channels * 784, "it does not fit");
  }
}

function require(condition: boolean, fault: string): void {
  if (!condition) throw new Error(`accepted, but ${fault}`);
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

/** A mutator of text as one of bytes. */
function onText(mutate: (text: string, random: Parameters<Mutator>[1]) => string): Mutator {
  return (bytes, random) => text(mutate(new TextDecoder().decode(bytes), random));
}

function mutateFirstLine(content: string, random: Parameters<Mutator>[1]): string {
  const [first, ...others] = content.split("\n");
  return [mutateJson(first, random), ...others].join("\n");
}

/** Mutates the JSON in front of the tensors, and writes the length that it then has. */
function mutateSafetensorsHeader(bytes: Uint8Array, random: Parameters<Mutator>[1]): Uint8Array {
  return withHeader(bytes, (header) => mutateJson(header, random));
}

/** Mutates the model's description, which is JSON within JSON. */
function mutateDescription(bytes: Uint8Array, random: Parameters<Mutator>[1]): Uint8Array {
  return withHeader(bytes, (header) => withMetadata(header, "lenet", random));
}

function mutateProgress(bytes: Uint8Array, random: Parameters<Mutator>[1]): Uint8Array {
  return seal(withHeader(bytes, (header) => withMetadata(header, "progress", random)));
}

/** A mutator of checkpoints whose checksum is made right again. */
function sealed(mutate: Mutator): Mutator {
  return (bytes, random) => seal(mutate(bytes, random));
}

function seal(bytes: Uint8Array): Uint8Array {
  try {
    const { tensors, metadata: { sha256: _, ...metadata } } = decodeSafetensors(bytes, LABEL);
    const sha256 = sha256Hex(encodeSafetensors({ tensors, metadata }));
    return encodeSafetensors({ tensors, metadata: { ...metadata, sha256 } });
  } catch {
    return bytes; // no longer safetensors at all
  }
}

function withMetadata(header: string, key: string, random: Parameters<Mutator>[1]): string {
  const { __metadata__: metadata = {}, ...tensors } = JSON.parse(header);
  const changed = { ...metadata, [key]: mutateJson(metadata[key] ?? "{}", random) };
  return JSON.stringify({ __metadata__: changed, ...tensors });
}

function withHeader(bytes: Uint8Array, change: (header: string) => string): Uint8Array {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = text(change(new TextDecoder().decode(bytes.subarray(8, 8 + length)).trim()));
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(header.length), true);
  return concat(size, header, bytes.subarray(8 + length));
}
