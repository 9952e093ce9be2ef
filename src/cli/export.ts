// deno-lint-ignore-file no-console
/** The export command: a trained model as a file that other programs read. */

import { dirname, join, resolve, sep } from "node:path";
import { invocation, printable } from "../quote.ts";
import { formatBytes } from "../report/std.ts";
import { formatCount } from "../report/table.ts";
import { writeAtomic } from "../write_atomic.ts";
import { EXIT, UsageError } from "./errors.ts";
import { EXPORT_FORMAT_NAMES, EXPORT_FORMATS, type ExportFormat } from "./export_formats.ts";
import { defineCommand, JSON_FLAG, parseFlags } from "./flags.ts";
import { requireNoFolder, requireWritePermission } from "./permissions.ts";
import { loadModel, MODEL_FLAGS } from "./loaded_model.ts";
import { sayNotes } from "./picture_flags.ts";

const FORMATS: Readonly<Record<string, ExportFormat>> = EXPORT_FORMATS;

/** Formats that can hold whole numbers. */
const QUANTIZING = EXPORT_FORMAT_NAMES.filter((name) => FORMATS[name].quantizes);

/** The command. */
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
    format: { type: "choice", choices: EXPORT_FORMAT_NAMES, help: "what to write" },
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

/** Runs the command with its arguments and returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const { flags } = parseFlags(command, args);
  if (flags.format === undefined) {
    throw new UsageError(
      `Missing --format: expected one of ${EXPORT_FORMAT_NAMES.join(", ")}`,
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
