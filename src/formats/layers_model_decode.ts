/** TensorFlow.js LayersModels as models, read without TensorFlow.js: a row of supported layers. */

import { type ImageShape, showShape } from "../nn/sequential.ts";
import { parseJson } from "../parse_json.ts";
import { quote } from "../quote.ts";
import { LAYER_READERS, LayersReader, requireObject } from "./layers_model_layers.ts";
import { readManifest, type ReadWeights } from "./layers_model_weights.ts";
import { DESCRIPTION_KEY, type TrainedModel, withDescription } from "./trained_model.ts";

const MAX_LAYERS = 4_000;

/** Decodes a LayersModel made by this project, by TensorFlow.js or by its converter from Keras.
 *
 * Supported are sequential models, and functional ones whose layers stand in a row, of Conv2D,
 * AveragePooling2D, MaxPooling2D, Flatten, Dense, Activation and ReLU, channels last. Dropout is left
 * out, and so is a softmax at the end: what comes before are the logits. Input is [batch, height,
 * width, channels]; it is taken for pixel / 255.
 *
 * @param modelJson Content of `model.json`.
 * @param read Reads the files of weights that it names.
 * @param label Names the file in errors.
 * @throws {SyntaxError} If it is not JSON.
 * @throws {TypeError} If it is no LayersModel, or holds what is not supported; names the layer.
 * @example Files that TensorFlow.js can read, read here
 * ```ts
 * import { initialParameters } from "../nn/init.ts";
 * import { lenet } from "../nn/zoo.ts";
 * import { encodeLayersModel } from "./layers_model.ts";
 * import { decodeLayersModel } from "./layers_model_decode.ts";
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
    const topology = requireTopology(modelTopology);
    const reader = new LayersReader(topology.inputShape, await readManifest(weightsManifest, read));
    for (const layer of topology.layers) readLayer(reader, layer);
    const description = Object(userDefinedMetadata)[DESCRIPTION_KEY];
    const isText = typeof description === "string";
    return withDescription(reader.finish(topology.name), isText ? description : undefined);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new TypeError(`Cannot read ${label} as a LayersModel: ${cause.message}`, { cause });
  }
}

interface LayerConfig {
  readonly className: string;
  readonly config: Readonly<Record<string, unknown>>;
}

interface Topology {
  readonly name: string;
  readonly layers: readonly LayerConfig[];
  readonly inputShape: ImageShape;
}

function requireTopology(modelTopology: unknown): Topology {
  const topology = requireObject(modelTopology, "modelTopology");
  // Keras puts the model one level deeper.
  const model = requireObject(topology.model_config ?? topology, "the model's configuration");
  const { class_name: className, config } = model;
  const isFunctional = className === "Functional" || className === "Model";
  if (className !== "Sequential" && !isFunctional) {
    throw new TypeError(`it must be a Sequential model, found ${quote(className)}`);
  }
  const { name, layers } = Array.isArray(config) ? { name: "", layers: config } : Object(config);
  if (!Array.isArray(layers) || layers.length === 0 || layers.length > MAX_LAYERS) {
    throw new TypeError(`it must have 1 to ${MAX_LAYERS} layers`);
  }
  if (isFunctional) requireRow(layers, config);
  const configs = layers.map((layer, index) => {
    const { class_name: className, config } = requireObject(layer, `layer ${index}`);
    return { className: String(className), config: requireObject(config, `layer ${index}`) };
  });
  const { batch_input_shape, batch_shape } = configs[0].config;
  const inputShape = requireInput(batch_input_shape ?? batch_shape);
  return { name: typeof name === "string" ? name : "", layers: configs, inputShape };
}

/** Demands that each layer of a functional model takes what the one before it gives. */
function requireRow(layers: readonly unknown[], config: unknown): void {
  const nameOf = (layer: unknown) => Object(Object(layer).config).name;
  layers.forEach((layer, index) => {
    const { inbound_nodes: nodes } = Object(layer);
    const sources = Array.isArray(nodes) ? nodes.flat(1) : [];
    const expected = index === 0 ? [] : [nameOf(layers[index - 1])];
    const found = sources.map((source) => Object(source)[0]);
    if (JSON.stringify(found) !== JSON.stringify(expected)) {
      throw new TypeError(
        `layer ${quote(nameOf(layer))} must take what the layer before it gives: ` +
          `only layers in a row are supported`,
      );
    }
  });
  const { input_layers: inputs, output_layers: outputs } = Object(config);
  const ends = [inputs, outputs].map((list) => Array.isArray(list) ? list.length : 0);
  if (ends.some((count) => count !== 1) || outputs[0]?.[0] !== nameOf(layers.at(-1))) {
    throw new TypeError("it must have one input, and one output that the last layer gives");
  }
}

function requireInput(shape: unknown): ImageShape {
  const [batch, height, width, channels] = Array.isArray(shape) ? shape : [];
  const sizes: ImageShape = [channels, height, width];
  const isImage = Array.isArray(shape) && shape.length === 4 && batch !== undefined &&
    sizes.every((size) => Number.isSafeInteger(size) && size >= 1);
  if (isImage) return sizes;
  throw new TypeError(
    `its input must be [batch, height, width, channels] with known sizes, found ${quote(shape)}`,
  );
}

function readLayer(reader: LayersReader, { className, config }: LayerConfig): void {
  try {
    const read = LAYER_READERS.get(className);
    if (read === undefined) {
      const supported = [...LAYER_READERS.keys()].join(", ");
      throw new TypeError(`the layer is not supported; supported are ${supported}`);
    }
    reader.begin(className);
    read(reader, config);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    const before = showShape(reader.builder.shape);
    throw new TypeError(
      `${quote(className).slice(1, -1)} ${quote(config.name)} after ${before}: ${cause.message}`,
      { cause },
    );
  }
}
