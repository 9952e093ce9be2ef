/** The formats of the export command: each makes a file, or a folder of them, of a trained model. */

import type { TrainedModel } from "../formats/trained_model.ts";

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
  encode(trained: Required<TrainedModel>): Promise<readonly ExportedFile[]>;
}

/** All formats by their name on the command line. */
export const EXPORT_FORMATS = {
  safetensors: {
    suffix: ".safetensors",
    isFolder: false,
    description: "the state_dict of a PyTorch nn.Sequential",
    encode: async (trained) => {
      const { encodeSafetensorsModel } = await import("../formats/safetensors_model.ts");
      return [{ name: "model.safetensors", content: encodeSafetensorsModel(trained) }];
    },
  },
  tfjs: {
    suffix: "-tfjs",
    isFolder: true,
    description: "a LayersModel: tf.loadLayersModel takes the address of its model.json",
    encode: async (trained) => {
      const { encodeLayersModel } = await import("../formats/layers_model.ts");
      const { modelJson, weights } = await encodeLayersModel(trained);
      return [{ name: "weights.bin", content: weights }, {
        name: "model.json",
        content: modelJson,
      }];
    },
  },
} as const satisfies Readonly<Record<string, ExportFormat>>;

/** Name of a format. */
export type ExportFormatName = keyof typeof EXPORT_FORMATS;

/** Names of all formats. */
export const EXPORT_FORMAT_NAMES = Object.keys(EXPORT_FORMATS) as ExportFormatName[];
