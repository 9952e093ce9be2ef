/** ONNX files as models: the graph must be a row of supported layers. */

import { fromBinary } from "@bufbuild/protobuf";
import type { ImageShape } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import { NetworkBuilder } from "../network_builder.ts";
import type { Tensor } from "../safetensors.ts";
import { DESCRIPTION_KEY, type TrainedModel, withDescription } from "../trained_model.ts";
import { Attributes } from "./attributes.ts";
import { addLinear, type NodeContext, OPERATORS, requireConstant, transpose } from "./operators.ts";
import { ELEMENT, type GraphProto, type ModelProto, ModelProtoSchema } from "./schema.ts";
import type { NodeProto, TensorProto } from "./schema.ts";
import { floatsOf, integersOf } from "./tensors.ts";

/** The first version in which Gemm and Add broadcast as they do today (2017). */
const MIN_OPSET = 7;
const MAX_NODES = 4_000;
/** A model, its graph, a node, its attribute, a tensor: with room to spare. */
const MAX_DEPTH = 16;

/** Decodes a model from an ONNX file of this project, of PyTorch, or of another exporter.
 *
 * The graph must be a row of Conv, AveragePool, MaxPool, Sigmoid, Tanh, Relu, Flatten or Reshape to
 * a vector, Gemm, and MatMul with or without Add, with float32 constants; arithmetic with single
 * numbers may come before. Identity and Dropout are
 * left out, and so is a Softmax at the end: what comes before are the logits. Input is [batch,
 * channels, height, width]; it is taken for pixel / 255.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If the file is no ONNX file.
 * @throws {TypeError} If it holds what is not supported; the message names the operator.
 * @example A file, written and read
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { decodeOnnx } from "./decode.ts";
 * import { encodeOnnx } from "./encode.ts";
 *
 * const model = lenet();
 * const file = encodeOnnx({ model, parameters: initialParameters(model, 0) });
 * console.log(decodeOnnx(file, "lenet.onnx").model.layers.length); // 12
 * ```
 */
export function decodeOnnx(bytes: Uint8Array, label: string): TrainedModel {
  let file: ModelProto;
  try {
    const options = { readUnknownFields: false, recursionLimit: MAX_DEPTH };
    file = fromBinary(ModelProtoSchema, bytes, options);
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read ${label} as ONNX: its bytes are no model; ` +
        `the file is damaged or of another kind`,
      { cause },
    );
  }
  if (file.graph === undefined) {
    throw new SyntaxError(
      `Cannot read ${label} as ONNX: it holds no graph; the file is damaged or of another kind`,
    );
  }
  try {
    checkOpset(file);
    const description = file.metadataProps.find(({ key }) => key === DESCRIPTION_KEY)?.value;
    return withDescription(readGraph(file.graph), description);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new TypeError(`Cannot read ${label} as ONNX: ${cause.message}`, { cause });
  }
}

function checkOpset({ opsetImport }: ModelProto): void {
  const opset = opsetImport.find(({ domain }) => isStandard(domain));
  if (opset === undefined) throw new TypeError("it does not say which opset it uses");
  if (opset.version < MIN_OPSET) {
    throw new TypeError(`its opset must be ${MIN_OPSET} or later, found ${opset.version}`);
  }
}

function isStandard(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

function readGraph(graph: GraphProto): TrainedModel {
  if (graph.node.length > MAX_NODES) {
    throw new TypeError(`it has ${graph.node.length} nodes, more than ${MAX_NODES}`);
  }
  const reader = new GraphReader(graph);
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

/** A MatMul with a constant, [out, in]. */
interface Product {
  readonly name: string;
  readonly weight: Tensor;
}

/** Follows the one value that goes from layer to layer. */
class GraphReader {
  readonly #graph: GraphProto;
  readonly #constants: Map<string, TensorProto>;
  readonly #builder: NetworkBuilder;
  readonly #batchSize: number | undefined;
  /** Name of the value that the next node must take. */
  #current: string;
  /** A MatMul whose bias may follow. */
  #product: Product | undefined;
  /** Whether a Softmax has ended the network. */
  #ended = false;

  constructor(graph: GraphProto) {
    this.#graph = graph;
    this.#constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
    const inputs = graph.input.filter(({ name }) => !this.#constants.has(name));
    if (inputs.length !== 1) {
      throw new TypeError(`it must have one input, found ${inputs.length}`);
    }
    const [{ name, type }] = inputs;
    const { elemType, shape } = type?.tensorType ?? {};
    const [batch, ...sizes] = shape?.dim.map(({ dimValue }) => Number(dimValue)) ?? [];
    if (elemType !== ELEMENT.float32 || sizes.length !== 3 || sizes.some((size) => size < 1)) {
      throw new TypeError(
        `its input ${quote(name)} must be float32 [batch, channels, height, width] ` +
          `with known sizes`,
      );
    }
    this.#current = name;
    this.#batchSize = batch > 0 ? batch : undefined;
    this.#builder = new NetworkBuilder(sizes as unknown as ImageShape);
  }

  read(node: NodeProto): void {
    const { opType, domain, output } = node;
    if (!isStandard(domain)) throw new TypeError(`operators of ${quote(domain)} are not supported`);
    const attributes = new Attributes(node);
    if (opType === "Constant") {
      const tensor = attributes.tensor("value");
      if (tensor === undefined) throw new TypeError("it must hold a tensor");
      this.#constants.set(output[0], tensor);
      return;
    }
    this.#take(node);
    if (this.#ended) throw new TypeError("nothing may follow a Softmax");
    this.#apply(node, attributes);
    attributes.finish();
    this.#current = output[0];
  }

  /** Ends the network where the graph ends. */
  finish(): TrainedModel {
    this.#endProduct();
    const { output, name } = this.#graph;
    if (output.length !== 1 || output[0].name !== this.#current) {
      throw new TypeError(
        `its one output must be what the last layer gives, found ` +
          `${quote(output.map(({ name }) => name).join(", "))}`,
      );
    }
    return this.#builder.finish(name);
  }

  #take({ opType, input, output }: NodeProto): void {
    const known = OPERATORS.has(opType) || OTHERS.includes(opType);
    if (!known) throw new TypeError(`the operator is not supported; ${SUPPORTED}`);
    const from = opType === "Add" || opType === "Mul"
      ? input.find((name) => !this.#constants.has(name))
      : input[0];
    if (from !== this.#current || output.length < 1) {
      throw new TypeError(
        `it takes ${quote(from ?? "")} where ${quote(this.#current)} is at hand: ` +
          `only layers in a row are supported`,
      );
    }
  }

  #apply(node: NodeProto, attributes: Attributes): void {
    const context = this.#context(node, attributes);
    if (node.opType === "Add" && this.#product !== undefined) {
      return this.#addBias(context, node, this.#product);
    }
    this.#endProduct();
    switch (node.opType) {
      case "Add":
      case "Sub":
      case "Mul":
      case "Div":
        return this.#rescale(context, node);
      case "Identity":
        return;
      case "Dropout":
        ["ratio", "seed"].forEach((name) => attributes.ignore(name));
        return;
      case "Softmax":
      case "LogSoftmax": {
        const axis = attributes.integer("axis", -1);
        if (this.#builder.shape.length !== 1 || (axis !== 1 && axis !== -1)) {
          throw new TypeError("it must be over the logits, at the end");
        }
        this.#ended = true;
        return;
      }
      case "MatMul":
        this.#product = {
          name: context.name,
          weight: transpose(requireConstant(context, 1, 2)),
        };
        return;
      default:
        OPERATORS.get(node.opType)!(context);
    }
  }

  #addBias({ floats }: NodeContext, { input }: NodeProto, { name, weight }: Product): void {
    const bias = floats(input.findIndex((name) => this.#constants.has(name)));
    addLinear(this.#builder, name, weight, bias);
    this.#product = undefined;
  }

  /** Arithmetic with one number, before the first layer. */
  #rescale({ floats }: NodeContext, { input, opType }: NodeProto): void {
    const { data } = floats(input.findIndex((name) => this.#constants.has(name))) ?? {};
    if (data?.length !== 1) throw new TypeError("it is supported with one constant number only");
    const [value] = data;
    if (opType === "Add" || opType === "Sub") {
      this.#builder.rescale(1, opType === "Add" ? value : -value);
    } else {
      this.#builder.rescale(opType === "Mul" ? value : 1 / value, 0);
    }
  }

  /** Adds the layer of a MatMul that has no bias. */
  #endProduct(): void {
    if (this.#product === undefined) return;
    addLinear(this.#builder, this.#product.name, this.#product.weight, undefined);
    this.#product = undefined;
  }

  #context({ name, input }: NodeProto, attributes: Attributes): NodeContext {
    const constant = (place: number) => {
      const key = input[place] ?? "";
      if (key === "") return undefined; // how the format leaves an input out
      const found = this.#constants.get(key);
      if (found === undefined) throw new TypeError(`its input ${quote(key)} must be a constant`);
      return found;
    };
    // PyTorch names its nodes by number, and the weight after the module.
    const weightName = /^(.+)\.weight$/.exec(input[1] ?? "")?.[1];
    return {
      builder: this.#builder,
      attributes,
      batchSize: this.#batchSize,
      name: weightName ?? name,
      floats: (place) => {
        const tensor = constant(place);
        return tensor && floatsOf(tensor);
      },
      integers: (place) => {
        const tensor = constant(place);
        return tensor === undefined ? [] : integersOf(tensor);
      },
    };
  }
}

/** Operators that are more, or less, than a layer. */
const OTHERS = ["MatMul", "Add", "Sub", "Mul", "Div"].concat(
  ["Softmax", "LogSoftmax", "Identity", "Dropout"],
);

const SUPPORTED = `supported are ${[...OPERATORS.keys(), ...OTHERS].join(", ")}`;
