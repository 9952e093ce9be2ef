// deno-lint-ignore-file no-console
/** The export command and its formats: a trained model as a file, or a folder of them, that other programs
 * read. */

import { dirname, join, resolve, sep } from "node:path";
import { formatCount, invocation, printable } from "../quote.ts";
import { createRandom } from "../random.ts";
import { formatBytes } from "../report/std.ts";
import { writeAtomic } from "../write_atomic.ts";
import { EXIT, UsageError } from "./errors.ts";
import type { Quantized } from "./export_quantized.ts";
import { defineCommand, JSON_FLAG, parseFlags } from "./flags.ts";
import { type LoadedModel, loadModel, MODEL_FLAGS } from "./loaded_model.ts";
import { requireNoFolder, requireWritePermission } from "./permissions.ts";
import { sayNotes } from "./picture_flags.ts";

interface ExportFormat {
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
const FORMATS: Readonly<Record<string, ExportFormat>> = {
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
};

const FORMAT_NAMES = Object.keys(FORMATS);

/** Formats that can hold whole numbers. */
const QUANTIZING = FORMAT_NAMES.filter((name) => FORMATS[name].quantizes);

export const command = defineCommand({
  usage: invocation("export"),
  summary: "Write a trained model in a format that other programs read.",
  examples: [
    ["--format tfjs", "the newest run below runs/, for TensorFlow.js"],
    ["--format safetensors --run runs/first", "a run, for PyTorch"],
    ["--format onnx --weights best.safetensors", "a file, for ONNX Runtime and all who read ONNX"],
    ["--format html", "a page to draw on, for any browser"],
    ["--format c --quantize int8", "C for a microcontroller, in whole numbers of 8 bits"],
  ],
  flags: {
    format: { type: "choice", choices: FORMAT_NAMES, help: "what to write" },
    ...MODEL_FLAGS,
    quantize: {
      type: "choice",
      choices: ["int8"],
      defaultText: "floats",
      help: `numbers of ${QUANTIZING.join(" and ")}, calibrated on training images`,
    },
    dataset: {
      type: "string",
      placeholder: "NAME|DIR",
      defaultText: "the run's",
      help: "whose images --quantize calibrates and measures on",
    },
    out: {
      type: "string",
      placeholder: "PATH",
      defaultText: "exports/NAME, named as the run or the file",
      help: "the file, or the folder for tfjs and c; what is there is replaced",
    },
    json: JSON_FLAG,
  },
});

export async function run(args: string[]): Promise<number> {
  const { flags } = parseFlags(command, args);
  if (flags.format === undefined) {
    throw new UsageError(
      `Missing --format: expected one of ${FORMAT_NAMES.join(", ")}`,
    );
  }
  const format = FORMATS[flags.format];
  if (flags.quantize !== undefined && !format.quantizes) {
    throw new UsageError(
      `Cannot use --quantize with --format ${flags.format}: expected ${QUANTIZING.join(" or ")}`,
    );
  }
  if (flags.dataset !== undefined && flags.quantize === undefined) {
    throw new UsageError("Cannot use --dataset without --quantize: nothing else needs images");
  }
  const loaded = await loadModel(flags);
  sayNotes(loaded);
  const out = flags.out ?? join("exports", nameOf(loaded.label) + format.suffix);
  if (!format.isFolder) await requireNoFolder(out, nameOf(loaded.label) + format.suffix);
  await requireWritePermission(format.isFolder ? out : dirname(out), out);
  // What reads images is loaded for those who ask for it alone.
  const quantizer = flags.quantize && await import("./export_quantized.ts");
  const quantized = quantizer && await quantizer.quantizeLoaded(loaded, flags);
  const { files, facts: known, line } = await format.encode(loaded, quantized);
  await Deno.mkdir(format.isFolder ? out : dirname(out), { recursive: true });
  let bytes = 0;
  for (const { name, content } of files) {
    await writeAtomic(format.isFolder ? join(out, name) : out, content);
    bytes += typeof content === "string"
      ? new TextEncoder().encode(content).length
      : content.length;
  }
  const { model, classNames, label, notes } = loaded;
  if (flags.json) {
    const { name, inputShape } = model;
    const quantization = quantized && { quantization: quantized.facts };
    const file = { out, format: flags.format, bytes, ...known, ...quantization };
    const facts = { ...file, model: name, inputShape, classNames };
    console.log(JSON.stringify({ ...facts, ...(notes.length > 0 && { notes }) }));
    return EXIT.ok;
  }
  console.log(
    `${printable(`${out}: ${label}`)} (${model.name}, ` +
      `${formatCount(model.parameterCount)} parameters) as ` +
      `${format.description}; ${formatBytes(bytes)}`,
  );
  if (line !== undefined) console.log(line);
  if (quantizer && quantized) console.log(quantizer.showFacts(quantized.facts));
  return EXIT.ok;
}

/** What an export is called: the last part of the model's path that says something. */
function nameOf(label: string): string {
  const parts = resolve(label).split(sep)
    .map((part) => part.replace(/\.(safetensors|onnx|json)$/i, ""));
  return parts.findLast((part) => part !== "model" && part !== "") ?? "model";
}
