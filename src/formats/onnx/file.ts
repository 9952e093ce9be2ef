/** Models as ONNX files, written and read. */

import { isNormalized } from "../../nn/standardization.ts";
import { quote } from "../../quote.ts";
import type { ReadWeights } from "../layers_model/weights.ts";
import type { QuantizedModel } from "../quantized_model.ts";
import {
  describeModel,
  DESCRIPTION_KEY,
  inPart,
  type TrainedModel,
  withDescription,
} from "../trained_model.ts";
import { isStandard, readGraph } from "./graph.ts";
import { type ExternalFiles, externalNames } from "./constants.ts";
import { decodeMessage, encodeMessage } from "./codec.ts";
import { ELEMENT, type Proto } from "./schema.ts";
import { graphOf, INPUT, OUTPUT } from "./written.ts";

/** The first version in which Gemm and Add broadcast as they do today (2017). */
const MIN_OPSET = 7;
/** The last one whose changes are known here (2026). */
const KNOWN_OPSET = 26;
/** A model, its graph, a node, its attribute, a tensor: with room to spare. */
const MAX_DEPTH = 16;
const MAX_EXTERNAL_BYTES = 2 ** 30;

/** Decodes a model from an ONNX file of this project, of PyTorch, of tf2onnx, or of another exporter.
 *
 * The graph may hold Conv, also of groups, AveragePool, MaxPool, their global forms, ReduceMean over
 * rows and columns, BatchNormalization, Dropout, Sigmoid, Tanh, Relu, LeakyRelu, Flatten or Reshape to
 * a vector, Gemm and MatMul, with constants of floats, which become float32, and Add of two values,
 * which becomes a residual block. Arithmetic with constants goes into the layer before, or into what
 * becomes of pixels; Pad goes into the convolution or pooling behind. Axes may be transposed between.
 * Sizes, and constants of constants, are worked out. Identity and Cast are left out, and so is a
 * Softmax at the end: what comes before are the logits. One output with a Sigmoid becomes two classes.
 *
 * Input is [batch, channels, height, width], or channels last, or without channels, or flat; it is
 * taken for pixel / 255, or for bytes where its first step shows that. `notes` of the result say what was
 * assumed.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If the file is no ONNX file.
 * @throws {TypeError} If it holds what is not supported; the message names the node.
 * @example A file, written and read
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { decodeOnnx, encodeOnnx } from "./file.ts";
 *
 * const model = lenet();
 * const file = encodeOnnx({ model, parameters: initialParameters(model, 0) });
 * console.log(decodeOnnx(file, "lenet.onnx").model.layers.length); // 12
 * ```
 */
export function decodeOnnx(bytes: Uint8Array, label: string): TrainedModel;
/** The same for a file whose weights lie in others, as `torch.onnx.export` writes it: `model.onnx.data`.
 *
 * @param read Reads one of them, by its name beside the model.
 */
export function decodeOnnx(
  bytes: Uint8Array,
  label: string,
  read: ReadWeights,
): Promise<TrainedModel>;
export function decodeOnnx(
  bytes: Uint8Array,
  label: string,
  read?: ReadWeights,
): TrainedModel | Promise<TrainedModel> {
  const file = parse(bytes, label);
  if (read === undefined) return labeled(label, () => readModel(file, new Map()));
  const names = labeled(label, () => externalNames(file.graph));
  return readFiles(names, read, label)
    .then((files) => labeled(label, () => readModel(file, files)));
}

type ModelFile = Proto<"ModelProto"> & { readonly graph: Proto<"GraphProto"> };

function parse(bytes: Uint8Array, label: string): ModelFile {
  const damaged = (what: string, cause?: unknown) =>
    new SyntaxError(
      `Cannot read ${label} as ONNX: ${what}; the file is damaged or of another kind`,
      { cause },
    );
  let file: Proto<"ModelProto">;
  try {
    file = decodeMessage("ModelProto", bytes, MAX_DEPTH);
  } catch (cause) {
    throw damaged("its bytes are no model", cause);
  }
  const { graph } = file;
  if (graph === undefined) throw damaged("it holds no graph");
  return { ...file, graph };
}

/** Lets an error say of which file it is. */
function labeled<Result>(label: string, work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    throw inPart(`Cannot read ${label} as ONNX`, cause);
  }
}

async function readFiles(
  names: ReadonlySet<string>,
  read: ReadWeights,
  label: string,
): Promise<ExternalFiles> {
  const files = new Map<string, Uint8Array>();
  let budget = MAX_EXTERNAL_BYTES;
  for (const name of names) {
    try {
      const content = await read(name);
      budget -= content.length;
      if (budget < 0) {
        throw new TypeError(`it and those before are over ${MAX_EXTERNAL_BYTES} bytes`);
      }
      files.set(name, content);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TypeError(
        `Cannot read ${label} as ONNX: its weights lie in ${
          quote(name)
        }, which must be beside it ` +
          `under the name it was saved with: ${reason}`,
        { cause },
      );
    }
  }
  return files;
}

function readModel(
  { graph, opsetImport, metadataProps }: ModelFile,
  files: ExternalFiles,
): TrainedModel {
  const opset = Number(opsetImport.find(({ domain }) => isStandard(domain))?.version ?? NaN);
  if (Number.isNaN(opset)) throw new TypeError("it does not say which opset it uses");
  if (opset < MIN_OPSET) {
    throw new TypeError(`its opset must be ${MIN_OPSET} or later, found ${opset}`);
  }
  const description = metadataProps.find(({ key }) => key === DESCRIPTION_KEY)?.value;
  const trained = readGraph(graph, files);
  const late = `its opset ${opset} is later than ${KNOWN_OPSET}: operators are read as of then`;
  const notes = [...opset > KNOWN_OPSET ? [late] : [], ...trained.notes ?? []];
  return withDescription({ ...trained, notes }, description);
}

/** What ONNX Runtime has read since 1.12 (2022); the operators in use have not changed since. */
const OPSET = 17n;
const IR_VERSION = 8n;

/** Encodes a model as an ONNX file, opset 17.
 *
 * Shapes: `input` float32 [batch, channels, height, width], pixel / 255 -> `logits` float32 [batch,
 * classes]; any batch. A model that standardizes pixels begins with Sub and Div. The parameters are
 * initializers under PyTorch's names. The file's `doc_string` says what goes in and comes out; of its
 * metadata, `class_names` is a JSON list in label order, `lenet` describes layers and all else as JSON.
 * A model from {@linkcode quantizeModel} becomes one of QuantizeLinear and DequantizeLinear around its
 * layers, with weights of 8 bits.
 *
 * @throws {RangeError} If there are not as many parameters or running statistics as the model has.
 * @example A file for ONNX Runtime
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { encodeOnnx } from "./file.ts";
 *
 * const model = lenet();
 * const file = encodeOnnx({ model, parameters: initialParameters(model, 0) });
 * console.log(file.length > 4 * model.parameterCount); // true
 * ```
 */
export function encodeOnnx(trained: TrainedModel | QuantizedModel): Uint8Array<ArrayBuffer> {
  const { model, classNames } = trained;
  const names = classNames && { key: "class_names", value: JSON.stringify(classNames) };
  return encodeMessage("ModelProto", {
    irVersion: IR_VERSION,
    producerName: "lenet",
    docString: documentation(trained),
    opsetImport: [{ domain: "", version: OPSET }],
    metadataProps: [
      ...names ? [names] : [],
      { key: DESCRIPTION_KEY, value: describeModel(trained) },
    ],
    graph: {
      name: model.name,
      ...graphOf(trained),
      input: [valueInfo(INPUT, model.inputShape)],
      output: [valueInfo(OUTPUT, [model.classCount])],
    },
  });
}

/** What somebody who has nothing but the file needs to know. */
function documentation(trained: TrainedModel): string {
  const { model, classNames, pictures } = trained;
  const isQuantized = "grids" in trained;
  const { inputShape, classCount } = model;
  const [channels] = inputShape;
  const colors = channels === 3 ? "red, green, blue" : `${channels} channels`;
  const ground = pictures && `, ${pictures.darkOnLight ? "dark on light" : "light on dark"}`;
  const kind = channels === 1 ? "grey" : colors;
  return [
    `${INPUT}: float32 [batch, ${inputShape.join(", ")}], channels first, ${kind}, pixel / 255 ` +
    `(black 0, white 1)${channels === 1 && ground || ""}`,
    ...isQuantized ? ["Between its layers are whole numbers of 8 bits"] : [],
    ...isNormalized(model.standardization) ? [] : ["The model standardizes pixels itself"],
    `${OUTPUT}: float32 [batch, ${classCount}]; their softmax is the probabilities`,
    ...classNames === undefined ? [] : [`Classes in order: ${classNames.join(", ")}`],
  ].map((sentence) => `${sentence}.`).join("\n");
}

function valueInfo(name: string, shape: readonly number[]) {
  const dim = [{ dimParam: "batch" }, ...shape.map((size) => ({ dimValue: BigInt(size) }))];
  return { name, type: { tensorType: { elemType: ELEMENT.float32, shape: { dim } } } };
}
