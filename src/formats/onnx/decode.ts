/** ONNX files as models: the graph must be a row of supported layers. */

import { fromBinary } from "@bufbuild/protobuf";
import { quote } from "../../quote.ts";
import type { ReadWeights } from "../layers_model_weights.ts";
import { DESCRIPTION_KEY, type TrainedModel, withDescription } from "../trained_model.ts";
import { isStandard, readGraph } from "./graph.ts";
import { type GraphProto, type ModelProto, ModelProtoSchema } from "./schema.ts";
import { type ExternalFiles, externalNames } from "./tensors.ts";

/** The first version in which Gemm and Add broadcast as they do today (2017). */
const MIN_OPSET = 7;
/** The last one whose changes are known here (2026). */
const KNOWN_OPSET = 26;
/** A model, its graph, a node, its attribute, a tensor: with room to spare. */
const MAX_DEPTH = 16;
const MAX_EXTERNAL_BYTES = 2 ** 30;

/** Decodes a model from an ONNX file of this project, of PyTorch, of tf2onnx, or of another exporter.
 *
 * The graph must be a row, each node taking what the one before gives, of Conv, AveragePool, MaxPool,
 * their global forms, ReduceMean over rows and columns, Sigmoid, Tanh, Relu, Flatten or Reshape to a
 * vector, Gemm and MatMul, with constants of floats, which become float32. Arithmetic with constants
 * and BatchNormalization go into the layer before, or into what becomes of pixels; Pad goes into the
 * convolution behind. Axes may be transposed between. Sizes, and constants of constants, are worked
 * out. Identity, Dropout and Cast are left out, and so is a Softmax at the end: what comes before are
 * the logits. One output with a Sigmoid becomes two classes.
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
 * import { decodeOnnx } from "./decode.ts";
 * import { encodeOnnx } from "./encode.ts";
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
 * @example A file that names no other
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { decodeOnnx } from "./decode.ts";
 * import { encodeOnnx } from "./encode.ts";
 *
 * const model = lenet();
 * const file = encodeOnnx({ model, parameters: initialParameters(model, 0) });
 * const read = (name: string) => Deno.readFile(`models/${name}`);
 * console.log((await decodeOnnx(file, "lenet.onnx", read)).model.name); // lenet
 * ```
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

type Model = ModelProto & { readonly graph: GraphProto };

function parse(bytes: Uint8Array, label: string): Model {
  const damaged = (what: string, cause?: unknown) =>
    new SyntaxError(
      `Cannot read ${label} as ONNX: ${what}; the file is damaged or of another kind`,
      { cause },
    );
  let file: ModelProto;
  try {
    const options = { readUnknownFields: false, recursionLimit: MAX_DEPTH };
    file = fromBinary(ModelProtoSchema, bytes, options);
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
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new TypeError(`Cannot read ${label} as ONNX: ${cause.message}`, { cause });
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
  { graph, opsetImport, metadataProps }: Model,
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
