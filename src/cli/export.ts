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
import { loadModel, MODEL_FLAGS, sayNotes } from "./loaded_model.ts";

const COMMAND = defineCommand({
  usage: invocation("export"),
  summary: "Write a trained model in a format that other programs read.",
  examples: [
    ["--format tfjs", "the newest run below runs/, for TensorFlow.js"],
    ["--format safetensors --run runs/first", "a run, for PyTorch"],
    ["--format onnx --weights best.safetensors", "a file, for ONNX Runtime and all who read ONNX"],
    ["--format html", "a page to draw on, for any browser"],
  ],
  flags: {
    format: { type: "choice", choices: EXPORT_FORMAT_NAMES, help: "what to write" },
    ...MODEL_FLAGS,
    out: {
      type: "string",
      placeholder: "PATH",
      defaultText: "exports/NAME, named as the run or the file",
      help: "the file, or the folder for tfjs; what is there is replaced",
    },
    json: JSON_FLAG,
  },
});

export { COMMAND as command, exportCommand as run };

/** Runs the command with its arguments and returns the exit code. */
export async function exportCommand(args: string[]): Promise<number> {
  const { flags } = parseFlags(COMMAND, args);
  if (flags.format === undefined) {
    throw new UsageError(
      `Missing --format: expected one of ${EXPORT_FORMAT_NAMES.join(", ")}`,
    );
  }
  const format: ExportFormat = EXPORT_FORMATS[flags.format];
  const loaded = await loadModel(flags);
  sayNotes(loaded);
  const out = flags.out ?? join("exports", nameOf(loaded.label) + format.suffix);
  if (!format.isFolder) await requireNoFolder(out, nameOf(loaded.label) + format.suffix);
  await requireWritePermission(format.isFolder ? out : dirname(out), out);
  const files = await format.encode(loaded);
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
    const facts = { out, format: flags.format, bytes, model: name, inputShape, classNames };
    console.log(JSON.stringify({ ...facts, ...(notes.length > 0 && { notes }) }));
    return EXIT.ok;
  }
  console.log(
    `${printable(`${out}: ${label}`)} (${model.name}, ` +
      `${formatCount(model.parameterCount)} parameters) as ` +
      `${format.description}; ${formatBytes(bytes)}`,
  );
  return EXIT.ok;
}

/** What an export is called: the last part of the model's path that says something. */
function nameOf(label: string): string {
  const parts = resolve(label).split(sep)
    .map((part) => part.replace(/\.(safetensors|onnx|json)$/i, ""));
  return parts.findLast((part) => part !== "model" && part !== "") ?? "model";
}
