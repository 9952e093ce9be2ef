/** The formats of the export command: each makes a file, or a folder of them, of a trained model. */

import { createRandom } from "../random.ts";
import { formatCount } from "../report/table.ts";
import type { Quantized } from "./export_quantized.ts";
import type { LoadedModel } from "./loaded_model.ts";

/** How a format is written. */
export interface ExportFormat {
  /** What stands behind the model's name in the default path. */
  readonly suffix: string;
  /** Whether it is a folder of files rather than one file. */
  readonly isFolder: boolean;
  /** What came out and how it is used, in one line. */
  readonly description: string;
  /** Whether it can hold whole numbers of 8 bits. */
  readonly quantizes?: boolean;
  /** Makes the files; only now is the format's code loaded. The name of one that is all is not used.
   *
   * @returns Also what else is to be known of it, as JSON has it, and a line of it.
   */
  encode(trained: LoadedModel, quantized?: Quantized): Promise<{
    readonly files: readonly { readonly name: string; readonly content: Uint8Array | string }[];
    readonly facts?: Readonly<Record<string, number>>;
    readonly line?: string;
  }>;
}

/** Bytes that the functions in C take beside their constants, by gcc -Os: 1,500 to 2,500. */
const CODE_BYTES = 2000;

/** All formats by their name on the command line. */
export const EXPORT_FORMATS = {
  safetensors: {
    suffix: ".safetensors",
    isFolder: false,
    description: "the state_dict of a PyTorch nn.Sequential",
    encode: async (trained) => {
      const { encodeSafetensorsModel } = await import("../formats/safetensors/model.ts");
      return { files: [{ name: "model.safetensors", content: encodeSafetensorsModel(trained) }] };
    },
  },
  tfjs: {
    suffix: "-tfjs",
    isFolder: true,
    description: "a LayersModel: tf.loadLayersModel takes the address of its model.json",
    encode: async (trained) => {
      const { encodeLayersModel } = await import("../formats/layers_model/file.ts");
      const { modelJson, weights } = await encodeLayersModel(trained);
      const files = [
        { name: "weights.bin", content: weights },
        { name: "model.json", content: modelJson },
      ];
      return { files };
    },
  },
  onnx: {
    suffix: ".onnx",
    isFolder: false,
    description: "ONNX, opset 17: input [batch, channels, height, width], output logits",
    quantizes: true,
    encode: async (trained, quantized) => {
      const { encodeOnnx } = await import("../formats/onnx/file.ts");
      const content = encodeOnnx(quantized?.model ?? trained);
      return { files: [{ name: "model.onnx", content }] };
    },
  },
  c: {
    suffix: "-c",
    isFolder: true,
    description: "C99 for any program or microcontroller, without dependencies",
    quantizes: true,
    encode: async (loaded, quantized) => {
      const { encodeC } = await import("../formats/c/file.ts");
      const { referenceLogitsOf } = await import("../train/quantize.ts");
      const { inputShape: shape } = loaded.model;
      const random = createRandom(0, "example");
      const length = shape[0] * shape[1] * shape[2];
      const pixels = quantized?.pixels ?? Uint8Array.from({ length }, () => random.below(256));
      const trained = quantized?.model ?? loaded;
      const image = { images: pixels, count: 1, shape };
      const logits = await referenceLogitsOf(trained, image, Uint32Array.of(0));
      const { name, header, source, flashBytes, ramBytes } = encodeC(trained, { pixels, logits });
      return {
        files: [
          { name: `${name}.h`, content: header },
          { name: `${name}.c`, content: source },
        ],
        facts: { flashBytes, ramBytes },
        line: `flash: ${formatCount(flashBytes)} bytes of constants, about ` +
          `${formatCount(CODE_BYTES)} of code; RAM: ${formatCount(ramBytes)} bytes`,
      };
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
      return { files: [{ name: "model.html", content: page }] };
    },
  },
} as const satisfies Readonly<Record<string, ExportFormat>>;

/** Names of all formats. */
export const EXPORT_FORMAT_NAMES = Object.keys(EXPORT_FORMATS) as (keyof typeof EXPORT_FORMATS)[];
