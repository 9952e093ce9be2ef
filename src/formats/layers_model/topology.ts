/** The layers of a LayersModel, in models within models, and which takes what. */

import { isRecord } from "../../parse_json.ts";
import { quote } from "../../quote.ts";

/** An object of a file, whatever is in it. */
type Json = Readonly<Record<string, unknown>>;

/** A layer as the file has it. */
export interface LayerJson {
  readonly className: string;
  readonly name: string;
  readonly config: Json;
  /** Names of the models that it lies in, the outermost first. */
  readonly path: readonly string[];
  /** Where a `.keras` file has its weights, in order: `layers/conv2d_1/vars/0`. */
  readonly stored: string;
  /** Names of the layers whose outputs it takes; none in a sequential model. */
  readonly sources: readonly string[];
}

/** A model, which may be a layer of another. */
export interface ModelJson extends LayerJson {
  readonly layers: readonly (LayerJson | ModelJson)[];
  /** The layers at both ends of a functional model. */
  readonly ends?: { readonly input: string; readonly output: string };
}

const MAX_LAYERS = 4_000;

/** Reads `modelTopology`.
 *
 * @throws {TypeError} If it is of another kind than sequential and functional models.
 */
export function readTopology(modelTopology: unknown): ModelJson {
  const topology = requireObject(modelTopology, "modelTopology");
  if (Array.isArray(topology.node)) {
    throw new TypeError(
      "it is a graph model; convert the Keras model with --output_format tfjs_layers_model",
    );
  }
  // Keras puts the model one level deeper.
  const model = requireObject(topology.model_config ?? topology, "the model's configuration");
  return modelOf(model, { path: [], stored: "", sources: [] });
}

function isModel(layer: LayerJson | ModelJson): layer is ModelJson {
  return "layers" in layer;
}

/** All layers that are no models, in the file's order. */
export function leavesOf({ layers }: ModelJson): LayerJson[] {
  return layers.flatMap((layer) => isModel(layer) ? leavesOf(layer) : [layer]);
}

/** The layer at which a model begins. */
export function firstOf({ layers, ends }: ModelJson): LayerJson {
  const first = layers.find(({ name }) => name === ends?.input) ?? layers[0];
  return isModel(first) ? firstOf(first) : first;
}

/** A layer as errors call it. */
export function titleOf({ className, name }: Pick<LayerJson, "className" | "name">): string {
  return `${quote(className).slice(1, -1)} ${quote(name)}`;
}

/** What a model makes of its input, layer by layer, each behind those that it takes.
 *
 * @param apply What a layer, which is no model, makes of what it takes.
 * @throws {TypeError} If layers are called alike, or one takes what none gives, or leads nowhere.
 */
export function follow<Value>(
  { layers, ends }: ModelJson,
  input: Value,
  apply: (layer: LayerJson, inputs: readonly Value[]) => Value,
): Value {
  const applied = (layer: LayerJson | ModelJson, inputs: readonly Value[]) =>
    isModel(layer) && inputs.length === 1 ? follow(layer, inputs[0], apply) : apply(layer, inputs);
  if (ends === undefined) return layers.reduce((value, layer) => applied(layer, [value]), input);
  const values = new Map<string, Value>();
  const left = [...layers];
  while (left.length > 0) {
    const place = left.findIndex(({ sources }) => sources.every((source) => values.has(source)));
    if (place < 0) throw new TypeError(`${titleOf(left[0])} takes what no layer gives`);
    const [layer] = left.splice(place, 1);
    const { name, sources } = layer;
    if (values.has(name)) throw new TypeError(`two layers are called ${quote(name)}`);
    if (sources.length === 0 && name !== ends.input) {
      throw new TypeError(`${titleOf(layer)} takes nothing, and is not the input`);
    }
    const inputs = sources.map((source) => values.get(source)!);
    values.set(name, applied(layer, inputs.length === 0 ? [input] : inputs));
  }
  const taken = new Set([...layers.flatMap(({ sources }) => sources), ends.output]);
  const unused = layers.find(({ name }) => !taken.has(name));
  if (unused !== undefined) throw new TypeError(`${titleOf(unused)} leads nowhere`);
  const output = values.get(ends.output);
  if (output !== undefined) return output;
  throw new TypeError(`it has no layer ${quote(ends.output)}, which is to be its output`);
}

function modelOf(model: Json, place: Pick<LayerJson, "path" | "stored" | "sources">): ModelJson {
  const { class_name: className, config } = model;
  const isFunctional = className === "Functional" || className === "Model";
  if (className !== "Sequential" && !isFunctional) {
    throw new TypeError(`it must be a Sequential model, found ${quote(className)}`);
  }
  const { layers, ...rest } = Array.isArray(config) ? { layers: config } : Object(config);
  if (!Array.isArray(layers) || layers.length === 0 || layers.length > MAX_LAYERS) {
    throw new TypeError(`it must have 1 to ${MAX_LAYERS} layers`);
  }
  const { path, stored } = place;
  const name = nameOf(model);
  const counts = new Map<string, number>();
  const within = layers.map((value, index) => {
    const layer = requireObject(value, `layer ${index}`);
    const { class_name, registered_name } = layer;
    const config = requireObject(layer.config, `layer ${index}`);
    const at = {
      path: stored === "" ? path : [...path, name],
      stored: `${stored && `${stored}/`}layers/${storedName(String(class_name), counts)}`,
      sources: isFunctional ? sourcesOf(layer) : [],
    };
    if (class_name === "Sequential" || class_name === "Functional" || class_name === "Model") {
      return modelOf(layer, at);
    }
    // A class of one's own may be called as Keras's are, and compute something else.
    const isOwn = typeof registered_name === "string" && /^(?!keras).*>/i.test(registered_name);
    return {
      ...{ className: String(isOwn ? registered_name : class_name), name: nameOf(layer), config },
      ...at,
    };
  });
  const ends = isFunctional ? endsOf(rest) : undefined;
  return { className: String(className), name, config: rest, ...place, layers: within, ends };
}

/** What a `.keras` file calls a layer: by its class and a number, whatever its name is. */
function storedName(className: string, counts: Map<string, number>): string {
  const name = className.replaceAll(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replaceAll(/([a-z])([A-Z])/g, "$1_$2").toLowerCase();
  const count = counts.get(name) ?? 0;
  counts.set(name, count + 1);
  return count === 0 ? name : `${name}_${count}`;
}

function nameOf({ name, config }: Json): string {
  return String(name ?? Object(config).name ?? "");
}

/** The input and the output of a functional model. */
function endsOf({ input_layers, output_layers }: Json): { input: string; output: string } {
  const [inputs, outputs] = [input_layers, output_layers].map((list) =>
    // Keras 3 writes a single one without the list around it.
    Array.isArray(list) && !Array.isArray(list[0]) ? [list] : [list].flat()
  );
  if (inputs.length !== 1 || outputs.length !== 1) {
    throw new TypeError(
      `it must have one input and one output, found ${inputs.length} and ${outputs.length}`,
    );
  }
  return { input: String(Object(inputs[0])[0]), output: String(Object(outputs[0])[0]) };
}

/** Names of the layers whose outputs a layer of a functional model takes; none of an input. */
function sourcesOf(layer: Json): string[] {
  const { inbound_nodes: nodes, class_name } = layer;
  const calls: unknown[] = Array.isArray(nodes) ? nodes : [];
  const title = titleOf({ className: String(class_name), name: nameOf(layer) });
  if (calls.length > 1) throw new TypeError(`${title} is used twice: not supported`);
  return calls.flatMap((call) => {
    // Keras 3: {args: [{config: {keras_history}}], kwargs}; before: [[name, 0, 0, kwargs]].
    const { args, kwargs } = Array.isArray(call)
      ? { args: call, kwargs: Object(Object(call[0])[3]) }
      : Object(call);
    const unusual = Object.entries(Object(kwargs)).find(([, value]) =>
      value != null && value !== false
    );
    if (unusual !== undefined) {
      const [key, value] = unusual;
      throw new TypeError(`${title} is called with ${key}=${quote(value)}: not supported`);
    }
    const taken = Array.isArray(call) ? call : [args].flat(2);
    return taken.map((arg) => {
      // Between them stands the number of the call, which a model within counts from its own making.
      const source = Object(Object(arg).config).keras_history ?? arg;
      const [name, , tensor] = Array.isArray(source) ? source : [];
      if (typeof name === "string" && !tensor) return name;
      throw new TypeError(`${title} takes what no layer of one output gives: not supported`);
    });
  });
}

function requireObject(value: unknown, what: string): Json {
  if (isRecord(value)) return value;
  throw new TypeError(`${what} must be an object, found ${quote(value)}`);
}
