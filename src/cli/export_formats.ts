/** The formats of the export command: each makes a file, or a folder of them, of a trained model. */

import type { LoadedModel } from "./loaded_model.ts";

/** A file that an export consists of. */
export interface ExportedFile {
  /** Its name in the export's folder; not used where the export is one file. */
  readonly name: string;
  readonly content: Uint8Array | string;
}

/** How a format is written. */
export interface ExportFormat {
  /** What stands behind the model's name in the default path. */
  readonly suffix: string;
  /** Whether it is a folder of files rather than one file. */
  readonly isFolder: boolean;
  /** What came out and how it is used, in one line. */
  readonly description: string;
  /** Makes the files; only now is the format's code loaded. */
  encode(trained: LoadedModel): Promise<readonly ExportedFile[]>;
}

/** All formats by their name on the command line. */
export const EXPORT_FORMATS = {
  safetensors: {
    suffix: ".safetensors",
    isFolder: false,
    description: "the state_dict of a PyTorch nn.Sequential",
    encode: async (trained) => {
      const { encodeSafetensorsModel } = await import("../formats/safetensors/model.ts");
      return [{ name: "model.safetensors", content: encodeSafetensorsModel(trained) }];
    },
  },
  tfjs: {
    suffix: "-tfjs",
    isFolder: true,
    description: "a LayersModel: tf.loadLayersModel takes the address of its model.json",
    encode: async (trained) => {
      const { encodeLayersModel } = await import("../formats/layers_model/file.ts");
      const { modelJson, weights } = await encodeLayersModel(trained);
      return [{ name: "weights.bin", content: weights }, {
        name: "model.json",
        content: modelJson,
      }];
    },
  },
  onnx: {
    suffix: ".onnx",
    isFolder: false,
    description: "ONNX, opset 17: input [batch, channels, height, width], output logits",
    encode: async (trained) => {
      const { encodeOnnx } = await import("../formats/onnx/file.ts");
      return [{ name: "model.onnx", content: encodeOnnx(trained) }];
    },
  },
  html: {
    suffix: ".html",
    isFolder: false,
    description: "a page that classifies drawings and pictures: open it in a browser",
    encode: async (trained) => {
      const { modelPage } = await import("../page/model_page.ts");
      const { readMetrics } = await import("../run/folder.ts");
      const { run, datasetName } = trained;
      const last = run === undefined ? undefined : (await readMetrics(run)).at(-1);
      const page = await modelPage(trained, {
        ...(run !== undefined && { datasetName }),
        ...(last && { testAccuracy: last.testAccuracy, epoch: last.epoch }),
      });
      return [{ name: "model.html", content: page }];
    },
  },
} as const satisfies Readonly<Record<string, ExportFormat>>;

/** Name of a format. */
export type ExportFormatName = keyof typeof EXPORT_FORMATS;

/** Names of all formats. */
export const EXPORT_FORMAT_NAMES = Object.keys(EXPORT_FORMATS) as ExportFormatName[];
