/** ONNX graphs, node by node: every input of every node is accounted for, or the graph is refused. */

import { quote } from "../../quote.ts";
import type { TrainedModel } from "../trained_model.ts";
import { Attributes } from "./attributes.ts";
import { Flow } from "./flow.ts";
import { FOLDED } from "./fold.ts";
import { COMMUTING, INPUT_COUNTS, MOVING, OPERATORS, RESHAPING } from "./operators.ts";
import type { GraphProto, NodeProto, TensorProto } from "./schema.ts";
import { type Constant, type ExternalFiles, TensorReader } from "./tensors.ts";

const MAX_NODES = 4_000;

/** Operators that change no answer; a note names those that a graph has. */
const LEFT_OUT = ["Identity", "Dropout", "Cast", "Softmax", "LogSoftmax"];

/** Reads a graph that is a row of supported operators.
 *
 * @throws {TypeError} If it is not; the message names the node.
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
      if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
      const kind = quote(node.opType).slice(1, -1);
      const title = node.name === "" ? kind : `${kind} ${quote(node.name)}`;
      throw new TypeError(`${title}: ${cause.message}`, { cause });
    }
  }
  return reader.finish();
}

/** Follows the one computed value, and works out all that is constant. */
class GraphReader {
  readonly #graph: GraphProto;
  readonly #flow: Flow;
  readonly #tensors: TensorReader;
  readonly #constants = new Map<string, Constant | TensorProto>();
  /** Axes of every computed value, the batch in front; of all but the last, only Shape may ask. */
  readonly #computed = new Map<string, readonly number[]>();
  readonly #leftOut = new Set<string>();
  /** Name of the value that the next node must take. */
  #current: string;

  constructor(graph: GraphProto, files: ExternalFiles) {
    this.#graph = graph;
    for (const tensor of graph.initializer) this.#define(tensor.name, tensor);
    const inputs = graph.input.filter(({ name }) => !this.#constants.has(name));
    if (inputs.length !== 1) {
      const names = inputs.map(({ name }) => name).join(", ");
      throw new TypeError(`it must have one input, found ${inputs.length}: ${quote(names)}`);
    }
    this.#flow = new Flow(inputs[0], graph);
    this.#current = inputs[0].name;
    this.#compute(this.#current);
    this.#tensors = new TensorReader(files, (sentence) => this.#flow.builder.note(sentence));
  }

  read(node: NodeProto): void {
    const { opType, domain, input, output } = node;
    if (/quantize|^QLinear|Integer$/i.test(opType)) {
      throw new TypeError("quantised models are not supported: export the model of floats");
    }
    if (!isStandard(domain)) throw new TypeError(`operators of ${quote(domain)} are not supported`);
    if (!OPERATORS.has(opType) && !FOLDED.has(opType) && opType !== "Shape") {
      throw new TypeError(`the operator is not supported; ${SUPPORTED}`);
    }
    const most = INPUT_COUNTS[opType] ?? 1;
    if (input.length > most) throw new TypeError(`it takes ${input.length} inputs, not ${most}`);
    if (!output[0]) throw new TypeError("it must have an output");
    const attributes = new Attributes(node);
    if (opType === "Shape") this.#define(output[0], this.#shapeOf(node, attributes));
    else if (input.every((name) => name === "" || this.#constants.has(name))) {
      this.#define(output[0], this.#fold(node, attributes));
    } else this.#apply(node, attributes);
    attributes.finish();
  }

  /** Ends the network where the graph ends. */
  finish(): TrainedModel {
    const { output, name } = this.#graph;
    if (output.length !== 1 || output[0].name !== this.#current) {
      throw new TypeError(
        `its one output must be what the last layer gives, ${quote(this.#current)}, found ` +
          `${quote(output.map(({ name }) => name).join(", "))}`,
      );
    }
    this.#requireNoPadding();
    if (this.#leftOut.size > 0) {
      const names = [...this.#leftOut].join(", ");
      this.#flow.builder.note(`left out, because it changes no answer: ${names}`);
    }
    return this.#flow.builder.finish(name);
  }

  #define(name: string, constant: Constant | TensorProto): void {
    this.#requireNew(name);
    this.#constants.set(name, constant);
  }

  #compute(name: string): void {
    this.#requireNew(name);
    const { batchSize = NaN, sizes } = this.#flow;
    this.#computed.set(name, [batchSize, ...sizes]);
    this.#current = name;
  }

  #requireNew(name: string): void {
    if (!this.#constants.has(name) && !this.#computed.has(name)) return;
    throw new TypeError(`the value ${quote(name)} is given twice`);
  }

  /** The constant of a name, which is read where it is first asked for. */
  #constant(name: string): Constant | undefined {
    const found = this.#constants.get(name);
    if (found === undefined || "shape" in found) return found;
    const constant = this.#tensors.read(found);
    this.#constants.set(name, constant);
    return constant;
  }

  #shapeOf({ input: [name] }: NodeProto, attributes: Attributes): Constant {
    const shape = this.#computed.get(name) ?? this.#constant(name)?.shape;
    if (shape === undefined) throw new TypeError(`no node before it gives ${quote(name)}`);
    const start = attributes.integer("start", 0);
    const data = shape.slice(start, attributes.integer("end", shape.length));
    return { shape: [data.length], data };
  }

  #fold({ opType, input }: NodeProto, attributes: Attributes): Constant {
    const fold = FOLDED.get(opType);
    if (fold === undefined) throw new TypeError("it takes constants alone, which is not supported");
    const inputs = input.map((name) => this.#constant(name));
    return fold({ attributes, inputs, tensors: this.#tensors });
  }

  #apply(node: NodeProto, attributes: Attributes): void {
    const { opType, input, output, name } = node;
    const place = this.#take(node);
    const apply = OPERATORS.get(opType);
    if (apply === undefined) throw new TypeError("it is supported on constants only");
    const flow = this.#flow;
    if (![...MOVING, "Pad", "Conv"].includes(opType)) this.#requireNoPadding();
    if (flow.isBytes && ![...MOVING, ...RESHAPING].includes(opType)) {
      throw new TypeError("it takes uint8: a Cast to float must come before");
    }
    // PyTorch names its nodes by number, and the weight after the module.
    const weightName = /^(.+)\.weight$/.exec(input[1] ?? "")?.[1];
    const inputs = input.map((name) => this.#constant(name));
    apply({ flow, place, attributes, inputs, name: weightName ?? name });
    if (LEFT_OUT.includes(opType)) this.#leftOut.add(opType);
    this.#compute(output[0]);
  }

  /** Which of a node's inputs the computed value is; it must be there once, and no other. */
  #take({ opType, input }: NodeProto): number {
    const computed = input.filter((name) => name !== "" && !this.#constants.has(name));
    if (computed.length > 1) {
      throw new TypeError(
        `it takes ${computed.length} computed values, ${computed.map(quote).join(" and ")}, ` +
          `as skip connections do: ${ROWS}`,
      );
    }
    const [taken] = computed;
    if (taken !== this.#current) {
      const why = this.#computed.has(taken)
        ? "which another node has taken"
        : "which no node gives";
      throw new TypeError(
        `it takes ${quote(taken)}, ${why}, where ${quote(this.#current)} is at hand: ${ROWS}`,
      );
    }
    const place = input.indexOf(taken);
    if (place === 0 || COMMUTING.includes(opType)) return place;
    throw new TypeError(
      `it takes the computed value ${quote(taken)} as its input ${place}, which must be a constant`,
    );
  }

  #requireNoPadding(): void {
    if (this.#flow.padding.every((size) => size === 0)) return;
    throw new TypeError("only a Conv may follow a Pad");
  }
}

/** Whether operators are those of the format itself. */
export function isStandard(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

const ROWS = "only layers in a row are supported";
const SUPPORTED = "supported are Conv, Gemm, MatMul, AveragePool, MaxPool, Sigmoid, Tanh, Relu, " +
  "BatchNormalization, what gives other axes, and arithmetic with constants";
