/** Files that are no model this program reads: what they are, by their content, and what to do. */

import { extname } from "node:path";
import { quoteWhole } from "../quote.ts";

interface Kind {
  readonly what: string;
  readonly isIt: (head: string, tail: string, path: string) => boolean;
  /** What to do, or a line of Python that writes `OUT` from `FILE`. */
  readonly advice: string;
  /** Ending of what that line writes. */
  readonly out?: ".safetensors" | ".onnx";
}

const startsWith = (...magic: string[]) => (head: string) =>
  magic.some((text) => head.startsWith(text));
const isZipOf = (entry: RegExp) => (head: string, tail: string) =>
  head.startsWith("PK") && entry.test(tail);

const FROM_PYTORCH = "import torch; from safetensors.torch import save_file; " +
  "d = torch.load('FILE', map_location='cpu', weights_only=True); " +
  "d = next((d[k] for k in ('state_dict', 'model_state_dict') if k in d), d); " +
  "save_file({k: v.contiguous() for k, v in d.items()}, 'OUT')";
const FROM_KERAS = "import keras; keras.models.load_model('FILE').export('OUT', format='onnx')";

/** At the end of a zip file stand the names of its entries. */
const MAX_DIRECTORY_BYTES = 65_536;

const KINDS: readonly Kind[] = [
  {
    what: "TorchScript",
    isIt: isZipOf(/\/constants\.pkl/),
    advice:
      "import torch; torch.onnx.export(torch.jit.load('FILE'), (torch.zeros(1, 1, 28, 28),), 'OUT', dynamo=False)",
    out: ".onnx",
  },
  {
    what: "a file of torch.save",
    isIt: isZipOf(/data\.pkl/),
    advice: FROM_PYTORCH,
    out: ".safetensors",
  },
  {
    what: "a Python pickle, as torch.save writes",
    isIt: startsWith("\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"),
    advice: FROM_PYTORCH,
    out: ".safetensors",
  },
  {
    what: "a Keras model",
    isIt: isZipOf(/model\.weights\.h5/),
    advice: FROM_KERAS,
    out: ".onnx",
  },
  {
    what: "HDF5, as Keras writes",
    isIt: startsWith("\x89HDF\r\n\x1a\n"),
    advice: FROM_KERAS,
    out: ".onnx",
  },
  {
    what: "NumPy arrays",
    isIt: isZipOf(/\.npy/),
    advice:
      "import numpy; from safetensors.numpy import save_file; save_file(dict(numpy.load('FILE')), 'OUT')",
    out: ".safetensors",
  },
  {
    what: "one NumPy array",
    isIt: startsWith("\x93NUMPY"),
    advice: "save all arrays of the model under their names with safetensors.numpy.save_file",
  },
  {
    what: "TensorFlow Lite",
    isIt: (head) => head.slice(4, 8) === "TFL3",
    advice: "-m tf2onnx.convert --tflite FILE --output OUT",
    out: ".onnx",
  },
  {
    what: "GGUF",
    isIt: startsWith("GGUF"),
    advice: "from gguf import GGUFReader; from safetensors.numpy import save_file; " +
      "save_file({t.name: t.data.copy() for t in GGUFReader('FILE').tensors}, 'OUT')",
    out: ".safetensors",
  },
  {
    what: "a graph of TensorFlow",
    isIt: (_head, _tail, path) => /\.pb$/i.test(path),
    advice:
      "convert its folder with python3 -m tf2onnx.convert --saved-model DIR --output OUT.onnx",
  },
  {
    what: "an archive",
    isIt: (head) => startsWith("PK", "\x1f\x8b")(head) || head.slice(257, 262) === "ustar",
    advice: "unpack it first",
  },
  {
    what: "a picture",
    isIt: startsWith("\x89PNG", "\xff\xd8\xff", "GIF8"),
    advice: "give the model, and pictures to predict",
  },
  {
    what: "a pointer of Git LFS",
    isIt: startsWith("version https://git-lfs"),
    advice: "get the file itself with git lfs pull",
  },
  {
    what: "a web page",
    isIt: (head) => /^\s*<(!doctype|html)/i.test(head),
    advice: "download the file itself",
  },
  { what: "empty", isIt: (head) => head === "", advice: "download or save it again" },
];

/** What a file is that is no model this program reads, and what to do; undefined for all others. */
export function describeForeign(bytes: Uint8Array, path: string): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 512));
  const tail = new TextDecoder("latin1").decode(bytes.subarray(-MAX_DIRECTORY_BYTES));
  const kind = KINDS.find(({ isIt }) => isIt(head, tail, path));
  return kind && `it is ${kind.what}; ${adviceOf(kind, path)}`;
}

function adviceOf({ advice, out }: Kind, path: string): string {
  if (out === undefined) return advice;
  // In quotes of Python within quotes of a shell, only a plain name stands for itself.
  const [file, stem] = /^[\w./ +@:,-]+$/.test(path)
    ? [path, path.slice(0, path.length - extname(path).length)]
    : ["FILE", "FILE"];
  const line = advice.replace("FILE", file).replace("OUT", stem + out);
  return `convert it: python3 ${line.startsWith("-m") ? line : `-c "${line}"`}`;
}

/** What a folder without a LayersModel holds that could be meant. */
export async function adviceOnFolder(path: string): Promise<string> {
  const names = await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  if (names.includes("saved_model.pb")) {
    return `it is a SavedModel of TensorFlow: convert it with python3 -m tf2onnx.convert ` +
      `--saved-model DIR --output OUT.onnx`;
  }
  const file = names.sort().filter((name) => /\.(safetensors|onnx)$/i.test(name)).at(-1);
  return file === undefined
    ? "give a .safetensors or .onnx file, or a folder with model.json"
    : `give a file in it, as ${quoteWhole(file)}`;
}
