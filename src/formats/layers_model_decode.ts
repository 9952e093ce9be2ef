/** TensorFlow.js LayersModels as models, read without TensorFlow.js: a row of supported layers. */

import { showShape } from "../nn/sequential.ts";
import { parseJson } from "../parse_json.ts";
import { quote } from "../quote.ts";
import { requireObject } from "./layers_model_config.ts";
import { readLayer, requireTarget } from "./layers_model_layers.ts";
import { type LayerJson, LayersReader } from "./layers_model_reader.ts";
import { readManifest, type ReadWeights } from "./layers_model_weights.ts";
import { DESCRIPTION_KEY, type TrainedModel, withDescription } from "./trained_model.ts";

const MAX_LAYERS = 4_000;
/** Rows, columns, channels, or pixels in a vector. */
const MAX_SIZE = 65_536;

/** Decodes a LayersModel made by this project, by TensorFlow.js or by its converter from Keras.
 *
 * Supported are sequential models, functional ones whose layers stand in a row, and such models
 * within them, of Conv2D, pooling, also global, ZeroPadding2D, BatchNormalization, Flatten,
 * Reshape, Permute, Dense, Activation, ReLU and Softmax; Rescaling and Normalization. Batch norm is
 * folded into the layer before. Dropout and random changes of pictures are left out, and so is a
 * softmax at the end: what comes before are the logits. Every attribute of a layer is read, or it is
 * an error. Input is [batch, height, width, channels], or [batch, channels, height, width] where the
 * layers say so; [batch, height, width] and [batch, pixels] of a square are taken for pictures of one
 * channel. Quantised weights become numbers again. The result's `notes` say what was assumed.
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
    const { name, layers, input } = requireTopology(modelTopology);
    const { tensors, notes } = await readManifest(weightsManifest, read);
    const reader = readerOf(input, layers, tensors);
    for (const note of notes) reader.builder.note(note);
    for (const layer of layers) readNamed(reader, layer);
    const description = Object(userDefinedMetadata)[DESCRIPTION_KEY];
    const isText = typeof description === "string";
    return withDescription(reader.finish(name), isText ? description : undefined);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new TypeError(`Cannot read ${label} as a LayersModel: ${cause.message}`, { cause });
  }
}

function requireTopology(modelTopology: unknown) {
  const topology = requireObject(modelTopology, "modelTopology");
  if (Array.isArray(topology.node)) {
    throw new TypeError(
      "it is a graph model; convert the Keras model with --output_format tfjs_layers_model",
    );
  }
  // Keras puts the model one level deeper.
  const model = requireObject(topology.model_config ?? topology, "the model's configuration");
  const layers = layersOf(model, [], "");
  const { name, build_input_shape: built } = Object(model.config);
  const { batch_input_shape, batch_shape } = layers[0].config;
  const input = batch_input_shape ?? batch_shape ?? built;
  return { name: typeof name === "string" ? name : "", layers, input };
}

/** The layers of a model and of the models within, in the order of computation. */
function layersOf(model: unknown, path: readonly string[], place: string): LayerJson[] {
  const { class_name: className, config } = Object(model);
  const isFunctional = className === "Functional" || className === "Model";
  if (className !== "Sequential" && !isFunctional) {
    throw new TypeError(`it must be a Sequential model, found ${quote(className)}`);
  }
  const { layers } = Array.isArray(config) ? { layers: config } : Object(config);
  if (!Array.isArray(layers) || layers.length === 0 || layers.length > MAX_LAYERS) {
    throw new TypeError(`it must have 1 to ${MAX_LAYERS} layers`);
  }
  const storedNames = storedNamesOf(layers);
  const row = isFunctional ? inRow(layers, Object(config)) : layers;
  return row.flatMap((layer, index) => {
    const { class_name, config, registered_name } = requireObject(layer, `layer ${index}`);
    const stored = `${place}layers/${storedNames.get(layer)}`;
    if (class_name === "Sequential" || class_name === "Functional" || class_name === "Model") {
      return layersOf(layer, [...path, nameOf(layer)], `${stored}/`);
    }
    // A class of one's own may be called as Keras's are, and compute something else.
    const isOwn = typeof registered_name === "string" && /^(?!keras).*>/i.test(registered_name);
    const className = String(isOwn ? registered_name : class_name);
    return { className, config: requireObject(config, `layer ${index}`), path, stored };
  });
}

/** What a `.keras` file calls layers: by their class and a number, whatever their names are. */
function storedNamesOf(layers: readonly unknown[]): Map<unknown, string> {
  const counts = new Map<string, number>();
  return new Map(layers.map((layer) => {
    const name = String(Object(layer).class_name)
      .replaceAll(/(.)([A-Z][a-z]+)/g, "$1_$2").replaceAll(/([a-z])([A-Z])/g, "$1_$2")
      .toLowerCase();
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    return [layer, count === 0 ? name : `${name}_${count}`];
  }));
}

function nameOf(layer: unknown): string {
  const { name, config } = Object(layer);
  return String(name ?? Object(config).name);
}

/** A functional model's layers in the order in which each takes what the one before it gives. */
function inRow(layers: readonly unknown[], config: Readonly<Record<string, unknown>>): unknown[] {
  const [inputs, outputs] = [config.input_layers, config.output_layers].map((list) =>
    // Keras 3 writes a single one without the list around it.
    (Array.isArray(list) && !Array.isArray(list[0]) ? [list] : [list].flat()).map((end) =>
      Object(end)[0]
    )
  );
  if (inputs.length !== 1 || outputs.length !== 1) {
    throw new TypeError(
      `it must have one input and one output, found ${inputs.length} and ${outputs.length}`,
    );
  }
  const users = Map.groupBy(layers, (layer) => sourceOf(layer));
  const row: unknown[] = [];
  for (let next = users.get(undefined) ?? []; next.length > 0;) {
    const [layer, other] = next;
    if (other !== undefined) {
      throw new TypeError(
        `layers ${quote(nameOf(layer))} and ${quote(nameOf(other))} take the same: ` +
          `only layers in a row are supported`,
      );
    }
    row.push(layer);
    next = row.length > layers.length ? [] : users.get(nameOf(layer)) ?? [];
  }
  const [first, last] = [nameOf(row[0]), nameOf(row.at(-1))];
  if (row.length === layers.length && first === inputs[0] && last === outputs[0]) return row;
  throw new TypeError("its layers must stand in a row, from its one input to its one output");
}

/** Name of the layer whose output a layer of a functional model takes; undefined for an input. */
function sourceOf(layer: unknown): string | undefined {
  const { inbound_nodes: nodes, class_name: className } = Object(layer);
  const calls: unknown[] = Array.isArray(nodes) ? nodes : [];
  if (calls.length === 0) return undefined;
  // Keras 3: {args: [{config: {keras_history}}], kwargs}; before: [[name, 0, 0, kwargs]].
  const [{ args, kwargs }] = calls.map((call) =>
    Array.isArray(call)
      ? { args: call, kwargs: Object(call[0])[3] }
      : Object(call) as { args: unknown; kwargs: unknown }
  );
  const sources = [args].flat().map((arg) => Object(Object(arg).config).keras_history ?? arg);
  // Between them stands the number of the call, which a model within counts from its own making.
  const [name, , tensor] = Array.isArray(sources[0]) ? sources[0] : [];
  const title = `${quote(className).slice(1, -1)} ${quote(nameOf(layer))}`;
  if (calls.length > 1 || sources.length > 1 || typeof name !== "string" || tensor) {
    throw new TypeError(
      `${title} takes more than one input, or is used twice: ` +
        `only layers in a row are supported`,
    );
  }
  const unusual = Object.entries(Object(kwargs)).find(([, value]) =>
    value != null && value !== false
  );
  if (unusual === undefined) return name;
  throw new TypeError(`${title} is called with ${unusual[0]}=${quote(unusual[1])}: not supported`);
}

/** Starts at the input, whose shape may leave out the channels, or all but the count of pixels. */
function readerOf(
  input: unknown,
  layers: LayerJson[],
  weights: ConstructorParameters<typeof LayersReader>[1]["weights"],
): LayersReader {
  const sizes: unknown[] = Array.isArray(input) ? input.slice(1) : [];
  const isWhole = sizes.every((size) =>
    Number.isSafeInteger(size) && Number(size) >= 1 && Number(size) <= MAX_SIZE
  );
  if (!isWhole || sizes.length < 1 || sizes.length > 3) throw wrongInput(input);
  const format = layers.map(({ className, config }) =>
    className === "Flatten" ? undefined : config.data_format
  ).find((each) => each != null);
  const isChannelsFirst = format === "channels_first";
  if (sizes.length > 1) return new LayersReader(sizes as number[], { isChannelsFirst, weights });
  const [count] = sizes as [number];
  const place = layers.findIndex(({ className }) => !/^(InputLayer|Rescaling)$/.test(className));
  if (layers[place]?.className === "Reshape") {
    const image = requireTarget(layers[place].config.target_shape, [count]);
    if (image.length === 2 || image.length === 3) {
      layers.splice(place, 1);
      return asVector(new LayersReader(image, { isChannelsFirst, weights }), layers);
    }
  }
  const side = Math.sqrt(count);
  if (!Number.isInteger(side) || side < 2) throw wrongInput(input);
  const reader = new LayersReader([side, side], { isChannelsFirst, weights });
  reader.builder.note(
    `its input of ${count} numbers is taken for ${side}x${side} pixels, row by row`,
  );
  layers.splice(Math.max(0, place), 0, { className: "Flatten", config: {}, path: [], stored: "" });
  return asVector(reader, layers);
}

/** The input layer's own shape is that of the vector, which is no more. */
function asVector(reader: LayersReader, layers: LayerJson[]): LayersReader {
  layers.forEach((layer, index) => {
    if (layer.className !== "InputLayer") return;
    const { batch_input_shape: _, batch_shape: __, ...config } = layer.config;
    layers[index] = { ...layer, config };
  });
  return reader;
}

function wrongInput(input: unknown): TypeError {
  return new TypeError(
    `its input must be [batch, height, width, channels] with known sizes, found ${quote(input)}`,
  );
}

function readNamed(reader: LayersReader, layer: LayerJson): void {
  try {
    readLayer(reader, layer);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    const { className, config } = layer;
    throw new TypeError(
      `${quote(className).slice(1, -1)} ${quote(config.name)} after ` +
        `${showShape(reader.sizes)}: ${cause.message}`,
      { cause },
    );
  }
}
