/** Models as safetensors files: PyTorch's names and layout, the layers described in the metadata. */

import { type Model, showShape } from "../../nn/sequential.ts";
import { showPixels } from "../../nn/standardization.ts";
import { MODEL_NAMES, type ModelName, ZOO, zooModel } from "../../nn/zoo.ts";
import { quote } from "../../quote.ts";
import { decodeSafetensors, encodeSafetensors, type Safetensors } from "./file.ts";
import {
  fitTensors,
  fromTensors,
  listTensors,
  statisticsFrom,
  type Tensors,
  tensorsOf,
  zooModelsOf,
} from "./state_dict.ts";
import {
  asModel,
  describeModel,
  DESCRIPTION_KEY,
  knownOf,
  type ModelDescription,
  parseDescription,
  type TrainedModel,
} from "../trained_model.ts";

/** Encodes a model: `safetensors.torch.load_file` gives the `state_dict` of its `nn.Sequential`.
 *
 * The metadata describes the layers, names the classes and says what pixels become: input is
 * [batch, channels, height, width], (pixel / 255 - mean) / std of its `standardization`.
 *
 * @example A file for PyTorch, and back
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { lenet } from "../../nn/zoo.ts";
 * import { decodeSafetensorsModel, encodeSafetensorsModel } from "./model.ts";
 *
 * const model = lenet();
 * const file = encodeSafetensorsModel({ model, parameters: initialParameters(model, 0) });
 * console.log(decodeSafetensorsModel(file, "lenet.safetensors").model.name); // lenet
 * ```
 */
export function encodeSafetensorsModel(trained: TrainedModel): Uint8Array<ArrayBuffer> {
  const metadata = { format: "pt", [DESCRIPTION_KEY]: describeModel(trained) };
  return encodeSafetensors({ tensors: tensorsOf(trained), metadata });
}

/** Decodes a model, of this project or the `state_dict` of another program.
 *
 * What the metadata describes is so, or the file is refused. Where it describes nothing, the layers
 * are those of `model`, or of the one model of the zoo whose parameters the tensors can be; `notes`
 * say what was taken for granted, and what was converted. A prefix of all names, as `module.`, is
 * left out; otherwise named tensors are told apart by their shapes, where these are unique.
 *
 * @param label Names the file in errors.
 * @param model Which model it is: its layers, or a name of the zoo, for the images and classes that
 * the tensors have.
 * @throws {SyntaxError} If the file is damaged, or its description is.
 * @throws {TypeError} If the parameters are of no model or several, or the file is of another model
 * than `model`, or holds other numbers than float32, float16, bfloat16 and float64.
 * @example A file of PyTorch, which does not say of which model it is
 * ```ts
 * import { initialParameters } from "../../nn/init.ts";
 * import { zooModel } from "../../nn/zoo.ts";
 * import { toTensors } from "./state_dict.ts";
 * import { encodeSafetensors } from "./file.ts";
 * import { decodeSafetensorsModel } from "./model.ts";
 *
 * const model = zooModel("lenet-relu");
 * const tensors = toTensors(model, initialParameters(model, 0));
 * const file = encodeSafetensors({ tensors, metadata: {} });
 * const { notes } = decodeSafetensorsModel(file, "lenet.safetensors", { model: "lenet-relu" });
 * console.log(notes); // that layers, pixels and classes are taken for granted
 * ```
 */
export function decodeSafetensorsModel(
  bytes: Uint8Array,
  label: string,
  { model: expected }: { readonly model?: Model | ModelName } = {},
): TrainedModel {
  const { tensors, metadata } = decodeSafetensors(bytes, label);
  const notes: string[] = [];
  const dtypes = new Set([...tensors.values()].flatMap(({ dtype = "I64" }) => dtype));
  dtypes.delete("I64"); // counts, and what is as it should be
  if (dtypes.size > 0) notes.push(`its numbers are ${[...dtypes].join(" and ")}, converted to F32`);
  const description = describedIn(metadata, { label, isNeeded: expected === undefined, notes });
  const model = description?.model ?? undescribed(tensors, label, expected);
  const fitted = fitTensors(model, tensors);
  const own = fitted?.tensors ?? tensors;
  const parameters = fromTensors(model, own, label);
  const statistics = statisticsFrom(model, own, label);
  if (fitted?.note !== undefined) notes.push(fitted.note);
  if (description === undefined) notes.push(assumptionOf(model));
  const trained: TrainedModel = {
    ...{ model, parameters, ...(statistics && { statistics }), ...knownOf(model, description) },
    ...(notes.length > 0 && { notes }),
    ...(description === undefined && { assumesPixels: true }),
  };
  return expected === undefined ? trained : asModel(trained, expected, label);
}

/** The description in a file's metadata; a damaged one counts as none where it is not needed. */
function describedIn(
  { [DESCRIPTION_KEY]: text }: Safetensors["metadata"],
  { label, isNeeded, notes }: {
    readonly label: string;
    readonly isNeeded: boolean;
    readonly notes: string[];
  },
): ModelDescription | undefined {
  if (text === undefined) return undefined;
  try {
    return parseDescription(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (isNeeded) {
      throw new SyntaxError(`Cannot read the model in ${label}: ${reason}; name it with --model`);
    }
    notes.push(`its description is not used: ${reason}`);
    return undefined;
  }
}

/** The model that a file without a description is taken for. */
function undescribed(
  tensors: Tensors,
  label: string,
  expected: Model | ModelName | undefined,
): Model {
  if (typeof expected === "object") return expected;
  const models = zooModelsOf(tensors, expected && [expected]);
  if (models.length === 1) return models[0];
  const fitting = expected === undefined ? models : zooModelsOf(tensors);
  const names = fitting.map(({ name }) => name);
  if (names.length > 0) {
    throw new TypeError(
      `Cannot read the model in ${label}: its metadata describes none, and its tensors are those of ` +
        `${names.join(", ")}; say which with --model ${names.join("|")}`,
    );
  }
  const wanted = expected === undefined
    ? `the tensors of ${MODEL_NAMES.join(", ")}`
    : `${expected}'s ${listTensors(zooModel(expected).parameters)}`;
  const found = [...tensors].map(([name, { shape }]) => ({ name, shape }));
  throw new TypeError(
    `Cannot read the model in ${label}: its metadata describes none, expected ${wanted}, found ` +
      `${listTensors(found)}; export it as ONNX, which holds its layers too`,
  );
}

/** What a file that describes nothing is taken to be. */
function assumptionOf({ name, inputShape, classCount, standardization }: Model): string {
  const layers = Object.hasOwn(ZOO, name) ? ` (${ZOO[name as ModelName].description})` : "";
  return `it says nothing of layers, pixels and classes: taken for ${
    quote(name)
  }${layers}, images ` +
    `of ${showShape(inputShape)} as ${showPixels(standardization)}, classes 0 to ${classCount - 1}`;
}
