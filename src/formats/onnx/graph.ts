/** ONNX graphs, node by node: every input of every node is accounted for, or the graph is refused. */

import { scaleOutputs } from "../arithmetic.ts";
import { volume } from "../../nn/layers/layer.ts";
import { quote } from "../../quote.ts";
import { Attributes, requireShort } from "../attributes.ts";
import { CHANNELS_FIRST, CHANNELS_LAST } from "../value.ts";
import { NetworkBuilder } from "../network_builder.ts";
import { inPart, type TrainedModel } from "../trained_model.ts";
import {
  type Constant,
  type ExternalFiles,
  isFloat,
  nameOfType,
  TensorReader,
} from "./constants.ts";
import { OPERATORS } from "./layers.ts";
import type { ConstantNode, Operator } from "./operators.ts";
import { ATTRIBUTE, ELEMENT, type Proto } from "./schema.ts";

type GraphProto = Proto<"GraphProto">;
type NodeProto = Proto<"NodeProto">;

const MAX_NODES = 4_000;

/** Reads a graph of supported operators.
 *
 * @throws {TypeError} If it is none; the message names the node.
 */
export function readGraph(graph: GraphProto, files: ExternalFiles): TrainedModel {
  if (graph.node.length > MAX_NODES) {
    throw new TypeError(`it has ${graph.node.length} nodes, more than ${MAX_NODES}`);
  }
  const reader = new GraphReader(graph, files);
  for (const node of graph.node) {
    try {
      reader.read(node);
    } catch (cause) {
      const kind = quote(node.opType).slice(1, -1);
      throw inPart(node.name === "" ? kind : `${kind} ${quote(node.name)}`, cause);
    }
  }
  return reader.finish();
}

/** Follows the computed values, and works out all that is constant. */
class GraphReader {
  readonly #graph: GraphProto;
  readonly #tensors: TensorReader;
  readonly #values = new Map<string, NetworkBuilder | Constant | Proto<"TensorProto">>();
  /** Names of computed values that are the input's bytes still, which no arithmetic may take. */
  readonly #bytes = new Set<string>();
  readonly #leftOut = new Set<string>();
  /** The batch size that the file is fixed to; NaN if it is free. */
  readonly #batchSize: number;

  constructor(graph: GraphProto, files: ExternalFiles) {
    this.#graph = graph;
    for (const tensor of graph.initializer) this.#define(tensor.name, tensor);
    const inputs = graph.input.filter(({ name }) => !this.#values.has(name));
    if (inputs.length !== 1) {
      const names = inputs.map(({ name }) => name).join(", ");
      throw new TypeError(`it must have one input, found ${inputs.length}: ${quote(names)}`);
    }
    const [{ name }] = inputs;
    const { network, batchSize, isBytes } = readInput(inputs[0], graph);
    this.#batchSize = batchSize;
    this.#define(name, network);
    if (isBytes) this.#bytes.add(name);
    this.#tensors = new TensorReader(files, (sentence) => network.note(sentence));
  }

  read(node: NodeProto): void {
    const { opType, domain, input, output } = node;
    if (/quantize|^QLinear|Integer$/i.test(opType)) {
      throw new TypeError("quantised models are not supported: export the model of floats");
    }
    if (!isStandard(domain)) throw new TypeError(`operators of ${quote(domain)} are not supported`);
    const operator = OPERATORS.get(opType);
    if (operator === undefined && opType !== "Shape") {
      const supported = [...OPERATORS.keys()].join(", ");
      throw new TypeError(`the operator is not supported; supported are ${supported}`);
    }
    const { inputs: most = 1 } = operator ?? {};
    if (input.length > most) throw new TypeError(`it takes ${input.length} inputs, not ${most}`);
    if (!output[0]) throw new TypeError("it must have an output");
    const unknown = input.find((name) => name !== "" && !this.#values.has(name));
    if (unknown !== undefined) {
      throw new TypeError(`it takes ${quote(unknown)}, which no node before it gives`);
    }
    const attributes = attributesOf(node);
    const isComputed = input.some((name) => this.#values.get(name) instanceof NetworkBuilder);
    const given = () => {
      const inputs = input.map((name) => this.#constant(name));
      return { attributes, inputs, tensors: this.#tensors };
    };
    const value = operator === undefined
      ? this.#shapeOf(node, attributes)
      : isComputed
      ? this.#apply(operator, node, given())
      : this.#fold(operator, given());
    this.#define(output[0], value);
    attributes.finish();
  }

  /** Ends the network where the graph ends. */
  finish(): TrainedModel {
    const { output, name } = this.#graph;
    const network = this.#values.get(output[0]?.name);
    if (output.length !== 1 || !(network instanceof NetworkBuilder)) {
      const found = quote(output.map(({ name }) => name).join(", "));
      throw new TypeError(`its one output must be what a node computes, found ${found}`);
    }
    if (this.#leftOut.size > 0) {
      const names = [...this.#leftOut].join(", ");
      network.note(`left out, because it changes no answer: ${names}`);
    }
    return network.finish(name);
  }

  #define(name: string, value: NetworkBuilder | Constant | Proto<"TensorProto">): void {
    if (this.#values.has(name)) throw new TypeError(`the value ${quote(name)} is given twice`);
    this.#values.set(name, value);
  }

  /** The constant of a name, which is read where it is first asked for; undefined for what is computed. */
  #constant(name: string): Constant | undefined {
    const found = this.#values.get(name);
    if (found === undefined || found instanceof NetworkBuilder) return undefined;
    if ("shape" in found) return found;
    const constant = this.#tensors.read(found);
    this.#values.set(name, constant);
    return constant;
  }

  #shapeOf({ input: [name] }: NodeProto, attributes: Attributes): Constant {
    const value = this.#values.get(name);
    const shape = value instanceof NetworkBuilder
      ? [this.#batchSize, ...value.sizes]
      : this.#constant(name)?.shape ?? [];
    const start = attributes.number("start", 0);
    const data = shape.slice(start, attributes.number("end", shape.length));
    return { shape: [data.length], data };
  }

  #fold({ fold, reshape }: Operator, node: ConstantNode): Constant {
    if (fold !== undefined) return fold(node);
    const [constant] = node.inputs;
    if (reshape === undefined || constant === undefined) {
      throw new TypeError("it takes constants alone, which is not supported");
    }
    const { shape, data } = constant;
    const sizes = reshape(node, shape);
    if (volume(sizes) === data.length && sizes.every((size) => size >= 0)) {
      return { shape: sizes, data };
    }
    throw new TypeError(`it makes ${showSizes(sizes)} of ${showSizes(shape)}`);
  }

  #apply(operator: Operator, node: NodeProto, given: ConstantNode): NetworkBuilder {
    const { opType, input, output, name } = node;
    const computed = input.flatMap((name, place) => {
      const value = this.#values.get(name);
      return value instanceof NetworkBuilder ? [{ place, value, shown: quote(name) }] : [];
    });
    const [{ place, value, shown }, second] = computed;
    const { read, reshape, moves, isLeftOut, adds, commutes } = operator;
    if (second !== undefined && !adds) {
      const names = computed.map(({ shown }) => shown).join(" and ");
      throw new TypeError(
        `it takes ${computed.length} computed values, ${names}: only Add may take two`,
      );
    }
    if (place !== 0 && !commutes) {
      throw new TypeError(
        `it takes the computed value ${shown} as its input ${place}, which must be a constant`,
      );
    }
    const isBytes = this.#bytes.has(input[place]);
    if (isBytes && !moves) throw new TypeError("it takes uint8: a Cast to float must come before");
    if (isBytes && opType !== "Cast") this.#bytes.add(output[0]);
    const network = value.copy();
    // PyTorch names its nodes by number, and the weight after the module.
    const weightName = /^(.+)\.weight$/.exec(input[1] ?? "")?.[1];
    if (reshape !== undefined) this.#reshape(network, (shape) => reshape(given, shape));
    else if (read === undefined) throw new TypeError("it is supported on constants only");
    else read({ ...given, network, other: second?.value, place, name: weightName ?? name });
    if (isLeftOut) this.#leftOut.add(opType);
    return network;
  }

  /** Gives a computed value another shape, which must leave the batch in front. */
  #reshape(
    network: NetworkBuilder,
    reshape: (shape: readonly number[]) => readonly number[],
  ): void {
    const shape = [this.#batchSize, ...network.sizes];
    const [batch, ...sizes] = reshape(shape);
    const features = volume(network.sizes);
    if (!Object.is(batch, shape[0]) || volume(sizes) !== features) {
      const found = showSizes([batch, ...sizes]);
      throw new TypeError(`it must make vectors of ${features}, found ${found}`);
    }
    network.reshape(sizes);
  }
}

/** Sizes as errors show them: NaN is the free batch size. */
function showSizes(sizes: readonly number[]): string {
  return `[${sizes.map((size) => Number.isNaN(size) ? "batch" : size).join(", ")}]`;
}

/** A node's attributes as plain values: numbers, words, lists; a tensor within an object. */
function attributesOf({ attribute }: NodeProto): Attributes {
  const values = new Map(attribute.map((each) => [each.name, valueOf(each)]));
  if (values.size < attribute.length) throw new TypeError("an attribute is given twice");
  return new Attributes(values);
}

function valueOf({ name, type, i, f, s, t, floats, ints }: Proto<"AttributeProto">): unknown {
  // Files of the first versions leave the type out.
  const isOf = (kind: keyof typeof ATTRIBUTE, isThere: boolean) =>
    type === ATTRIBUTE[kind] || type === 0 && isThere;
  if (isOf("ints", ints.length > 0)) return requireShort(ints, name).map(Number);
  if (isOf("floats", floats.length > 0)) return floats;
  if (isOf("string", s.length > 0)) return new TextDecoder().decode(s);
  if (isOf("tensor", t !== undefined)) return { tensor: t, toJSON: () => "a tensor" };
  if (isOf("float", f !== 0)) return f;
  if (isOf("int", true)) return Number(i);
  throw new TypeError(`attribute ${quote(name)} is not supported: it is of type ${type}`);
}

/** Starts at the graph's input. */
function readInput({ name, type }: Proto<"ValueInfoProto">, graph: GraphProto) {
  const { elemType = 0, shape } = type?.tensorType ?? {};
  const [batch, ...sizes] = shape?.dim.map(({ dimValue }) => Number(dimValue)) ?? [];
  const isBytes = elemType === ELEMENT.uint8;
  const isKnown = (isBytes || isFloat(elemType)) && sizes.every((size) => size >= 1);
  const isLast = sizes.length === 3 && isChannelsLast(name, sizes, graph);
  const network = isKnown
    ? NetworkBuilder.start(sizes, isLast ? CHANNELS_LAST : CHANNELS_FIRST)
    : undefined;
  if (network === undefined) {
    const found = shape?.dim.map(({ dimValue, dimParam }) => Number(dimValue) || dimParam || "?");
    throw new TypeError(
      `its input ${quote(name)} must be float32 [batch, channels, height, width] with known ` +
        `sizes, found ${nameOfType(elemType)} ${quote(found ?? [])}`,
    );
  }
  if (isLast) network.note("its input is channels last: [batch, height, width, channels]");
  if (isBytes) scaleOutputs(network, [255], [0]);
  else if (elemType !== ELEMENT.float32) {
    network.note(`its ${nameOfType(elemType)} is computed as float32`);
  }
  return { network, isBytes, batchSize: batch > 0 ? batch : NaN };
}

/** Whether an input has its channels behind rows and columns, as in TensorFlow.
 *
 * The first operator that is not elementwise tells; where it does not, the sizes do: up to four
 * channels, which are fewer than rows.
 */
function isChannelsLast(input: string, sizes: readonly number[], { node }: GraphProto): boolean {
  let name = input;
  for (const { input, output, opType, attribute } of node) {
    if (!input.includes(name)) continue;
    if (opType === "Transpose") {
      return attribute.some(({ ints }) => ints.join() === "0,3,1,2");
    }
    if (/^(Conv|AveragePool|MaxPool|Global.*Pool|BatchNormalization)$/.test(opType)) return false;
    if (!/^(Identity|Cast|Dropout|Add|Sub|Mul|Div)$/.test(opType)) break;
    name = output[0];
  }
  const [first, second, last] = sizes;
  return last <= 4 && (first > 4 || (first === second && second !== last));
}

/** Whether operators are those of the format itself. */
export function isStandard(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}
