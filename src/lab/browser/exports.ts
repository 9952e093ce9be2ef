/** A trained network as files to take home. */

import { encodeLayersModel } from "../../formats/layers_model/file.ts";
import { encodeOnnx } from "../../formats/onnx/file.ts";
import { encodeSafetensorsModel } from "../../formats/safetensors/model.ts";
import { modelPage } from "../../page/model_page.ts";
import type { NamedModel } from "../../page/page_model.ts";

/** A file to save. */
export interface ExportedFile {
  readonly name: string;
  readonly content: Uint8Array | string;
}

const FORMATS = {
  safetensors: (
    trained,
  ) => [{ name: "model.safetensors", content: encodeSafetensorsModel(trained) }],
  onnx: (trained) => [{ name: "model.onnx", content: encodeOnnx(trained) }],
  tfjs: async (trained) => {
    const { modelJson, weights } = await encodeLayersModel(trained);
    return [{ name: "model.json", content: modelJson }, { name: "weights.bin", content: weights }];
  },
  html: async (trained, datasetName) => [
    { name: "model.html", content: await modelPage(trained, { datasetName }) },
  ],
  start: (trained) => [{ name: "start.safetensors", content: encodeSafetensorsModel(trained) }],
} as const satisfies Record<
  string,
  (trained: NamedModel, dataName: string) => ExportedFile[] | Promise<ExportedFile[]>
>;

/** Name of a format; `start` is the network before its first step. */
export type ExportName = keyof typeof FORMATS;

/** Writes a network in a format.
 *
 * @throws {TypeError} If the format cannot hold it.
 */
export async function exportModel(
  format: ExportName,
  trained: NamedModel,
  dataName: string,
): Promise<readonly ExportedFile[]> {
  return await FORMATS[format](trained, dataName);
}
