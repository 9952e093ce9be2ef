/** Models as safetensors files: PyTorch's names and layout, the layers described in the metadata. */

import type { Model } from "../nn/sequential.ts";
import { fromTensors, toTensors } from "./parameters.ts";
import { decodeSafetensors, encodeSafetensors, type Tensor } from "./safetensors.ts";
import {
  describeModel,
  DESCRIPTION_KEY,
  knownOf,
  type ModelDescription,
  parseDescription,
  type TrainedModel,
  tryDescription,
} from "./trained_model.ts";

/** Encodes a model: `safetensors.torch.load_file` gives the `state_dict` of its `nn.Sequential`.
 *
 * The metadata describes the layers, names the classes and says what pixels become: input is
 * [batch, channels, height, width], (pixel / 255 - mean) / std of its `standardization`.
 *
 * @example A file for PyTorch, and back
 * ```ts
 * import { initialParameters } from "../nn/init.ts";
 * import { lenet } from "../nn/zoo.ts";
 * import { decodeSafetensorsModel, encodeSafetensorsModel } from "./safetensors_model.ts";
 *
 * const model = lenet();
 * const file = encodeSafetensorsModel({ model, parameters: initialParameters(model, 0) });
 * console.log(decodeSafetensorsModel(file, "lenet.safetensors").model.name); // lenet
 * ```
 */
export function encodeSafetensorsModel(trained: TrainedModel): Uint8Array<ArrayBuffer> {
  const metadata = { format: "pt", [DESCRIPTION_KEY]: describeModel(trained) };
  return encodeSafetensors({ tensors: toTensors(trained.model, trained.parameters), metadata });
}

/** Decodes a model, of this project or the `state_dict` of an `nn.Sequential`.
 *
 * @param label Names the file in errors.
 * @throws {SyntaxError} If the file is damaged, or its description is.
 * @throws {TypeError} If it describes no model and none is given, or the parameters are of another.
 * @example A file of PyTorch, which does not say of which model it is
 * ```ts
 * import { initialParameters } from "../nn/init.ts";
 * import { zooModel } from "../nn/zoo.ts";
 * import { toTensors } from "./parameters.ts";
 * import { encodeSafetensors } from "./safetensors.ts";
 * import { decodeSafetensorsModel } from "./safetensors_model.ts";
 *
 * const model = zooModel("mlp");
 * const tensors = toTensors(model, initialParameters(model, 0));
 * const file = encodeSafetensors({ tensors, metadata: {} });
 * const { parameters } = decodeSafetensorsModel(file, "mlp.safetensors", { model });
 * console.log(parameters.length); // 203530
 * ```
 */
export function decodeSafetensorsModel(
  bytes: Uint8Array,
  label: string,
  { model, fallback }: {
    /** Whose parameters they are, whatever the metadata describes. */
    readonly model?: Model;
    /** Whose parameters they are if the metadata describes no model, as in PyTorch's files. */
    readonly fallback?: Model;
  } = {},
): TrainedModel {
  const { tensors, metadata } = decodeSafetensors(bytes, label);
  const description = metadata[DESCRIPTION_KEY];
  const described = model === undefined
    ? readDescription(description, label, fallback)
    : describedAs(model, description);
  const named = withLayerNames(described.model, tensors);
  return { ...described, parameters: fromTensors(described.model, named, label) };
}

/** Names the tensors of PyTorch's nn.Sequential, such as `3.weight`, by the model's layers.
 *
 * PyTorch numbers all modules; of those with parameters, the first is the model's first, and so on.
 */
function withLayerNames(
  { parameters }: Model,
  tensors: ReadonlyMap<string, Tensor>,
): ReadonlyMap<string, Tensor> {
  const modules = [...tensors.keys()].map((name) => /^(\d+)\.(?:weight|bias)$/.exec(name)?.[1]);
  const numbers = [...new Set(modules)].sort((a, b) => Number(a) - Number(b));
  const layers = [...new Set(parameters.map(({ name }) => layerOf(name)))];
  const isNumbered = !numbers.includes(undefined) && numbers.length === layers.length;
  if (!isNumbered) return tensors;
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const layer = layers[numbers.indexOf(layerOf(name))];
      return [`${layer}${name.slice(name.indexOf("."))}`, tensor];
    }),
  );
}

function layerOf(parameterName: string): string {
  return parameterName.slice(0, parameterName.indexOf("."));
}

/** A model by the caller's choice; what becomes of pixels, and all else, are the file's. */
function describedAs(model: Model, description: string | undefined): ModelDescription {
  const described = description === undefined ? undefined : tryDescription(description);
  const { standardization } = described?.model ?? model;
  return { model: { ...model, standardization }, ...knownOf(model, described) };
}

function readDescription(
  description: string | undefined,
  label: string,
  fallback: Model | undefined,
): ModelDescription {
  if (description === undefined) {
    if (fallback !== undefined) return { model: fallback };
    throw new TypeError(
      `Cannot read the model in ${label}: its metadata describes none; say which it is`,
    );
  }
  try {
    return parseDescription(description);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SyntaxError(`Cannot read the model in ${label}: ${reason}; name it with --model`);
  }
}
