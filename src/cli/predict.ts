// deno-lint-ignore-file no-console
/** The predict command: what a trained model sees in pictures. */

import type { LabeledImages } from "../data/dataset.ts";
import { CROPS } from "../data/picture_view.ts";
import { countOf, invocation, quote } from "../quote.ts";
import { type ClassProbability, topClasses } from "../train/metrics.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { EXIT } from "./errors.ts";
import { defineCommand, parseFlags } from "./flags.ts";
import { pictureLines, plainLine, shades } from "./predict_display.ts";
import { type PictureInput, pictureNames, readPicture } from "./predict_inputs.ts";
import { type LoadedModel, loadModel, MODEL_FLAGS, openTrained, sayNotes } from "./loaded_model.ts";

const COMMAND = defineCommand({
  usage: invocation("predict"),
  summary: "Say what is in pictures of any size, made into what the model was " +
    "trained on: the thing in a photo light on dark, or the whole picture.",
  examples: [
    ["shoe.png", "with the newest run below runs/"],
    ["--run runs/first photos/", "all pictures in a folder, with a run"],
    ["--show photo.jpg", "draw what the network sees of it"],
    ["--json - < shoe.png", "from standard input, for a program"],
  ],
  positionals: { placeholder: "IMAGE", help: "pictures, folders of them, or -", min: 1 },
  flags: {
    ...MODEL_FLAGS,
    ...DEVICE_FLAGS,
    invert: {
      type: "boolean",
      help: "turn dark on light into light on dark, or back where training did so",
    },
    crop: {
      type: "choice",
      choices: CROPS,
      default: "auto",
      help: "cut out the thing in a photo; auto: where training images are such things",
    },
    show: { type: "boolean", help: "draw what the network sees, also without a terminal" },
    json: { type: "boolean", help: "print one JSON object a picture on standard output" },
  },
});

/** Pictures that are computed together: answers come soon, and memory stays bounded. */
const CHUNK_SIZE = 256;

export { COMMAND as command, predictCommand as run };

/** Runs the command with its arguments and returns the exit code.
 *
 * A picture that cannot be read is one line on standard error and makes the code 1; the others are
 * predicted nevertheless.
 */
export async function predictCommand(args: string[]): Promise<number> {
  const { flags, positionals } = parseFlags(COMMAND, args);
  const loaded = await loadModel(flags);
  sayNotes(loaded);
  const [channels, height, width] = loaded.model.inputShape;
  if (channels !== 1) {
    throw new TypeError(
      `Cannot predict pictures with ${loaded.label}: its model takes ${channels} channels, ` +
        `pictures are made grey`,
    );
  }
  const { session: opened } = await openTrained(loaded, flags);
  await using session = opened;
  const { pictures } = loaded;
  const swap = flags.invert ? !(pictures?.invert ?? false) : undefined;
  const view = { size: { width, height }, pictures, crop: flags.crop, swap };
  const show = shower(loaded, flags);
  let [failed, count, cropped] = [false, 0, 0];
  let chunk: PictureInput[] = [];
  const flush = async () => {
    if (chunk.length === 0) return;
    const data = toImages(chunk, { width, height });
    const logits = await session.predict(data);
    chunk.forEach((input, n) => {
      show(
        input,
        logits.subarray(n * loaded.model.classCount, (n + 1) * loaded.model.classCount),
      );
    });
    chunk = [];
  };
  for await (
    const name of pictureNames(positionals, (line) => console.error(`note: ${line}`))
  ) {
    const input = typeof name === "string" ? await readPicture(name, view) : name;
    if ("message" in input) {
      console.error(`error: ${input.message}`);
      failed = true;
      continue;
    }
    count++;
    if (input.view.box !== undefined) cropped++;
    chunk.push(input);
    if (chunk.length === CHUNK_SIZE) await flush();
  }
  await flush();
  if (cropped > 0 && !flags.json) {
    if (pictures === undefined) console.error(`note: ${GUESS}`);
    console.error(cropNote(cropped, count));
  }
  return failed ? EXIT.failure : EXIT.ok;
}

function shower(
  { classNames, pictures, notes }: LoadedModel,
  { json, invert, show }: {
    readonly json: boolean;
    readonly invert: boolean;
    readonly show: boolean;
  },
): (input: PictureInput, logits: Float32Array) => void {
  const hasColor = Deno.stdout.isTerminal() && !Deno.noColor;
  return (input, logits) => {
    const top = topClasses(logits, classNames);
    if (json) {
      const isGuess = pictures === undefined && input.view.box !== undefined;
      const all = isGuess ? [...notes, GUESS] : notes;
      const answer = jsonOf(input, top);
      return console.log(JSON.stringify({ ...answer, ...(all.length > 0 && { notes: all }) }));
    }
    const doubt = doubtLine(input, invert);
    if (doubt) console.error(`note: ${doubt}`);
    if (hasColor) return console.log(pictureLines(input, top).join("\n"));
    if (show) console.log(shades(input.picture).join("\n"));
    console.log(plainLine(input.name, top));
  };
}

function jsonOf(
  { name, view: { box, isSwapped, doubt } }: PictureInput,
  top: readonly ClassProbability[],
) {
  const [{ className, label, probability }] = top;
  const seen = { ...(box && { crop: box }), ...(isSwapped && { inverted: true }) };
  return { file: name, className, label, probability, top, ...seen, ...(doubt && { doubt }) };
}

function doubtLine({ name, view }: PictureInput, invert: boolean): string | undefined {
  if (view.doubt === undefined) return undefined;
  const advice = invert ? "try it without --invert" : "try --invert";
  return {
    "blank": `${quote(name)} is blank: all its pixels are the same`,
    "inverted": `${quote(name)} looks dark on light, but the model was trained on light on dark: ` +
      advice,
    "no object": `nothing stands out in ${quote(name)}: it is taken whole`,
  }[view.doubt];
}

const GUESS = "the model does not say what it was trained on: taken for one of Fashion-MNIST";

function cropNote(cropped: number, count: number): string {
  return `note: cut out the thing in ${cropped} of ${
    countOf(count, "picture")
  }, light on dark, as the ` +
    "model's training images are; --show draws it, --crop whole leaves it";
}

function toImages(
  inputs: readonly PictureInput[],
  { width, height }: { readonly width: number; readonly height: number },
): LabeledImages {
  const images = new Uint8Array(inputs.length * width * height);
  inputs.forEach(({ picture }, n) => images.set(picture.pixels, n * width * height));
  const labels = new Uint8Array(inputs.length);
  return { images, labels, count: inputs.length, shape: [1, height, width] };
}
