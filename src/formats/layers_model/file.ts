/** Models as TensorFlow.js LayersModels: JSON and bytes, written and read without TensorFlow.js. */

import { IMAGE, type Model, showShape } from "../../nn/sequential.ts";
import {
  channelCountOf,
  channelsOf,
  isNormalized,
  type Standardization,
} from "../../nn/standardization.ts";
import { parseJson } from "../../parse_json.ts";
import { quote } from "../../quote.ts";
import { CHANNELS_FIRST, CHANNELS_LAST } from "../value.ts";
import { NetworkBuilder } from "../network_builder.ts";
import { tensorsOf } from "../safetensors/state_dict.ts";
import { littleEndian } from "../tensors.ts";
import {
  describeModel,
  DESCRIPTION_KEY,
  inPart,
  type TrainedModel,
  tryDescription,
  withDescription,
} from "../trained_model.ts";
import { readLayer, targetOf, writeLayer } from "./layers.ts";
import { firstOf, follow, leavesOf, type ModelJson, readTopology, titleOf } from "./topology.ts";
import { ModelWeights, readManifest, type ReadWeights } from "./weights.ts";

export { NoKerasLayerError } from "./classes.ts";

/** Rows, columns, channels, or pixels in a vector. */
const MAX_SIZE = 65_536;

/** A LayersModel as the two files that `tf.loadLayersModel` reads. */
export interface LayersModelFiles {
  /** Content of `model.json`, which names `weights.bin`. */
  readonly modelJson: string;
  /** Content of `weights.bin`. */
  readonly weights: Uint8Array<ArrayBuffer>;
}

/** Encodes a model as TensorFlow.js files; input [batch, height, width, channels], pixel / 255.
 *
 * `getUserDefinedMetadata()` of the loaded model gives the layers and the class names, as JSON under
 * `lenet`. TensorFlow.js has no groups of channels: such a kernel gets zeros between them, but one whose
 * groups are single channels is a DepthwiseConv2D.
 *
 * @throws {NoKerasLayerError} If a maximum pooling is padded as TensorFlow.js cannot.
 * @throws {RangeError} If there are not as many parameters or running statistics as the model has.
 * @example Two files for TensorFlow.js
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { encodeLayersModel } from "./file.ts";
 *
 * const model = lenet();
 * const parameters = initialParameters(model, 0);
 * const { modelJson, weights } = await encodeLayersModel({ model, parameters });
 * console.log(JSON.parse(modelJson).format, weights.length); // layers-model 246824
 * ```
 */
// deno-lint-ignore require-await -- so that what cannot be written rejects
export async function encodeLayersModel(trained: TrainedModel): Promise<LayersModelFiles> {
  const { model } = trained;
  const named = tensorsOf(trained);
  const parts = model.layers.flatMap((layer) => {
    const own = [...layer.parameters, ...layer.statistics ?? []].map(({ name }) =>
      named.get(name)!
    );
    return Object.entries(writeLayer(layer).weights?.(own) ?? {})
      .map(([part, tensor]) => ({ name: `${safeName(layer.name)}/${part}`, ...tensor }));
  });
  // TensorFlow.js puts what gradients do not change at the end.
  const isMoving = ({ name }: { readonly name: string }) => /\/moving_\w+$/.test(name);
  const tensors = [...parts.filter((part) => !isMoving(part)), ...parts.filter(isMoving)];
  const weights = tensors.map(({ name, shape }) => ({ name, shape, dtype: "float32" }));
  const content = {
    modelTopology: {
      ...topologyOf(model),
      keras_version: "tfjs-layers 4.22.0",
      backend: "tensor_flow.js",
    },
    format: "layers-model",
    generatedBy: "lenet",
    weightsManifest: [{ paths: ["weights.bin"], weights }],
    userDefinedMetadata: { [DESCRIPTION_KEY]: describeModel(trained) },
  };
  const modelJson = JSON.stringify(content);
  const values = new Float32Array(tensors.reduce((sum, { data }) => sum + data.length, 0));
  tensors.reduce((start, { data }) => (values.set(data, start), start + data.length), 0);
  return { modelJson, weights: littleEndian(values) };
}

/** A layer as `model.json` holds it. */
interface WrittenJson {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** The same as a Rescaling layer's numbers; lists lie along the last axis, that of the channels. */
function rescalingOf(standardization: Standardization) {
  const count = channelCountOf(standardization);
  const channels = channelsOf(standardization, count);
  const scale = channels.map(({ std }) => 1 / std);
  const offset = channels.map(({ mean, std }) => -mean / std);
  return count === 1 ? { scale: scale[0], offset: offset[0] } : { scale, offset };
}

/** The layers that compute what `model` computes, as JSON in Keras's terms: in a row, or as a graph.
 *
 * Its input is pixels in [0, 1], channels last, [batchSize, height, width, channels]; a rescaling
 * layer standardizes them where the model says so. Flattening permutes back to channels
 * first, so that linear weights need no more than a transpose.
 */
function topologyOf({ name, layers, inputShape, standardization }: Model): WrittenJson {
  const [channels, height, width] = inputShape;
  const taken = new Set(layers.map(({ name }) => safeName(name)));
  const written: (WrittenJson & { readonly name: string; readonly inbound_nodes: unknown })[] = [];
  /** Adds a layer that takes these; returns its name. */
  const add = (class_name: string, name: string, config: object, sources: readonly string[]) => {
    const isInput = sources.length === 0;
    written.push({
      ...{ class_name, name, config: { ...config, name, ...(!isInput && { trainable: true }) } },
      inbound_nodes: isInput ? [] : [sources.map((source) => [source, 0, 0, {}])],
    });
    return name;
  };
  /** A layer that the model has no name for. */
  const addExtra = (class_name: string, name: string, config: object, sources: string[]) => {
    while (taken.has(name)) name += "_";
    taken.add(name);
    return add(class_name, name, config, sources);
  };
  const input = { batch_input_shape: [null, height, width, channels], dtype: "float32" };
  const first = addExtra("InputLayer", "input", { ...input, sparse: false }, []);
  const rescaling = rescalingOf(standardization);
  const start = isNormalized(standardization)
    ? first
    : addExtra("Rescaling", "standardization", rescaling, [first]);
  const valueOf = (index: number) => index === IMAGE ? start : safeName(layers[index].name);
  for (const layer of layers) {
    const name = safeName(layer.name);
    const { before, className, config } = writeLayer(layer);
    const sources = layer.inputs.map(valueOf);
    const from = before
      ? [addExtra(before.className, `${name}_${before.suffix}`, before.config, sources)]
      : sources;
    add(className, name, config, from);
  }
  const isRow = layers.every(({ inputs }, index) => `${inputs}` === `${index - 1}`);
  if (isRow) {
    const row = written.map(({ class_name, config }) => ({ class_name, config }));
    return { class_name: "Sequential", config: { name, layers: row } };
  }
  const ends = {
    input_layers: [[first, 0, 0]],
    output_layers: [[valueOf(layers.length - 1), 0, 0]],
  };
  return { class_name: "Functional", config: { name, layers: written, ...ends } };
}

/** Unnamed layers are called by their index, and a name may not start with a digit. */
function safeName(name: string): string {
  return /^\d/.test(name) ? `layer${name}` : name;
}

/** Decodes a LayersModel made by this project, by TensorFlow.js or by its converter from Keras.
 *
 * Supported are sequential and functional models, and such models within them, of Conv2D,
 * DepthwiseConv2D, pooling, also global, ZeroPadding2D, BatchNormalization, Dropout, Flatten, Reshape,
 * Permute, Dense, Activation, ReLU, LeakyReLU and Softmax; Rescaling and Normalization; Add, which
 * becomes a residual block. Random changes of pictures are left out, and so is a softmax at the end:
 * what comes before are the logits. Every attribute of a layer is read, or it is an error. Input is
 * [batch, height, width, channels], or [batch, channels, height, width] where the layers say so;
 * [batch, height, width] and [batch, pixels] of a square are taken for pictures of one channel.
 * Quantised weights become numbers again. The result's `notes` say what was assumed.
 *
 * @param modelJson Content of `model.json`.
 * @param read Reads the files of weights that it names.
 * @param label Names the file in errors.
 * @throws {SyntaxError} If it is not JSON.
 * @throws {TypeError} If it is no LayersModel, or holds what is not supported; names the layer.
 * @example Files that TensorFlow.js can read, read here
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { decodeLayersModel, encodeLayersModel } from "./file.ts";
 *
 * const model = lenet();
 * const parameters = initialParameters(model, 0);
 * const { modelJson, weights } = await encodeLayersModel({ model, parameters });
 * const read = (_name: string) => Promise.resolve(weights);
 * const trained = await decodeLayersModel(modelJson, read, "model.json");
 * console.log(trained.model.parameterCount); // 61706
 * ```
 */
export async function decodeLayersModel(
  modelJson: string,
  read: ReadWeights,
  label: string,
): Promise<TrainedModel> {
  let content: unknown;
  try {
    content = parseJson(modelJson);
  } catch (cause) {
    const { message } = cause as SyntaxError;
    throw new SyntaxError(`Cannot read ${label} as a LayersModel: it is ${message}`, { cause });
  }
  try {
    const { modelTopology, weightsManifest, userDefinedMetadata } = Object(content);
    const model = readTopology(modelTopology);
    const input = inputOf(model);
    const weights = new ModelWeights(await readManifest(weightsManifest, read, input));
    const { [DESCRIPTION_KEY]: text } = Object(userDefinedMetadata);
    const description = typeof text === "string" ? text : undefined;
    const groups = groupsIn(description);
    const network = follow(model, input, (layer, inputs) => {
      const [network, ...others] = inputs.map((each) => each.copy());
      try {
        readLayer(layer, [network, ...others], { weights, groups: groups.get(layer.name) });
      } catch (cause) {
        throw inPart(`${titleOf(layer)} after ${showShape(inputs[0].sizes)}`, cause);
      }
      return network;
    });
    weights.finish();
    return withDescription(network.finish(model.name), description);
  } catch (cause) {
    throw inPart(`Cannot read ${label} as a LayersModel`, cause);
  }
}

/** Starts at the input, whose shape may leave out the channels, or all but the count of pixels. */
function inputOf(model: ModelJson): NetworkBuilder {
  const { config: { batch_input_shape, batch_shape } } = firstOf(model);
  const input = batch_input_shape ?? batch_shape ?? model.config.build_input_shape;
  const sizes: unknown[] = Array.isArray(input) ? input.slice(1) : [];
  const isWhole = sizes.every((size) =>
    Number.isSafeInteger(size) && Number(size) >= 1 && Number(size) <= MAX_SIZE
  );
  const leaves = leavesOf(model);
  const format = leaves.map(({ className, config }) =>
    className === "Flatten" ? undefined : config.data_format
  ).find((each) => each != null);
  const order = format === "channels_first" ? CHANNELS_FIRST : CHANNELS_LAST;
  const first = leaves.find(({ className }) => !/^(InputLayer|Rescaling)$/.test(className));
  const isShaped = isWhole && sizes.length === 1 && first?.className === "Reshape";
  const image = isShaped ? targetOf(first.config.target_shape, sizes as number[]) : [];
  const isImage = image.length === 2 || image.length === 3;
  const network = isWhole
    ? NetworkBuilder.start(isImage ? image : sizes as number[], order)
    : undefined;
  if (network === undefined) {
    throw new TypeError(
      `its input must be [batch, height, width, channels] with known sizes, found ${quote(input)}`,
    );
  }
  if (isImage) network.flatten();
  return network;
}

/** Groups of channels by the names of layers, of which kernels have zeros between them here. */
function groupsIn(description = ""): ReadonlyMap<string, number> {
  const { layers = [] } = tryDescription(description)?.model ?? {};
  return new Map(
    layers.flatMap((layer) =>
      "groups" in layer && layer.groups > 1 ? [[safeName(layer.name), layer.groups]] : []
    ),
  );
}
