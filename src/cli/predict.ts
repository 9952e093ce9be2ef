// deno-lint-ignore-file no-console
/** The predict command: what a trained model sees in pictures. */

import type { LabeledImages } from "../data/dataset.ts";
import { isPictureChannels } from "../data/picture.ts";
import { CROPS, type ViewOptions } from "../data/picture_view.ts";
import { countOf, formatCount, invocation, quote } from "../quote.ts";
import { type ClassProbability, topClasses } from "../train/metrics.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { EXIT } from "./errors.ts";
import { defineCommand, parseFlags } from "./flags.ts";
import { pictureLines, plainLine, shades } from "./predict_display.ts";
import { type PictureInput, pictureNames, readPicture } from "./predict_inputs.ts";
import { type LoadedModel, loadModel, MODEL_FLAGS, openTrained } from "./loaded_model.ts";
import { sayNotes } from "./picture_flags.ts";

export const command = defineCommand({
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

/** Runs the command with its arguments and returns the exit code.
 *
 * A picture that cannot be read is one line on standard error and makes the code 1; the others are
 * predicted nevertheless.
 */
export async function run(args: string[]): Promise<number> {
  const { flags, positionals } = parseFlags(command, args);
  const loaded = await loadModel(flags);
  sayNotes(loaded);
  const { inputShape: [channels, height, width] } = loaded.model;
  if (!isPictureChannels(channels)) {
    throw new TypeError(
      `Cannot predict pictures with ${loaded.label}: its model takes ${channels} channels, ` +
        `expected 1 or 3`,
    );
  }
  const { session: opened } = await openTrained(loaded, flags);
  await using session = opened;
  const { pictures } = loaded;
  const swap = flags.invert ? !(pictures?.invert ?? false) : undefined;
  const size = { width, height };
  const view: ViewOptions = { channels, size, pictures, crop: flags.crop, swap };
  const show = shower(loaded, flags);
  let [failed, count, cropped, greyed] = [false, 0, 0, 0];
  let chunk: PictureInput[] = [];
  const flush = async () => {
    if (chunk.length === 0) return;
    const data = toImages(chunk, loaded.model.inputShape);
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
    if (input.lostColors) greyed++;
    chunk.push(input);
    if (chunk.length === CHUNK_SIZE) await flush();
  }
  await flush();
  if (cropped > 0 && !flags.json) {
    if (pictures === undefined) console.error(`note: ${GUESS}`);
    const some = `${cropped} of ${countOf(count, "picture")}`;
    console.error(
      channels === 1
        ? `note: cut out the thing in ${some}, light on dark, as the model's training images are; ` +
          `--show draws it, --crop whole leaves it`
        : `note: cut out the part with the thing in ${some}`,
    );
  }
  if (greyed > 0 && !flags.json) {
    const some = greyed === count ? "" : `${formatCount(greyed)} of `;
    console.error(
      `note: made ${some}${countOf(count, "picture")} grey, as the model's training images are`,
    );
  }
  return failed ? EXIT.failure : EXIT.ok;
}

function shower(
  { classNames, pictures, notes }: LoadedModel,
  { json, invert, show }: Readonly<Record<"json" | "invert" | "show", boolean>>,
): (input: PictureInput, logits: Float32Array) => void {
  const hasColor = Deno.stdout.isTerminal() && !Deno.noColor;
  return (input, logits) => {
    const top = topClasses(logits, classNames);
    if (json) {
      const isGuess = pictures === undefined && input.view.box !== undefined;
      const all = isGuess ? [...notes, GUESS] : notes;
      const noted = all.length > 0 && { notes: all };
      return console.log(JSON.stringify({ ...jsonOf(input, top), ...noted }));
    }
    const doubt = doubtLine(input, invert);
    if (doubt) console.error(`note: ${doubt}`);
    if (hasColor) return console.log(pictureLines(input, top).join("\n"));
    if (show) console.log(shades(input.picture).join("\n"));
    console.log(plainLine(input.name, top));
  };
}

function jsonOf(
  { name, lostColors, view: { box, isSwapped, doubt } }: PictureInput,
  top: readonly ClassProbability[],
) {
  const [{ className, label, probability }] = top;
  const answer = { file: name, className, label, probability, top };
  const [inverted, madeGrey] = [isSwapped || undefined, lostColors || undefined];
  return { ...answer, crop: box, inverted, madeGrey, doubt };
}

function doubtLine({ name, view }: PictureInput, invert: boolean): string | undefined {
  if (view.doubt === undefined) return undefined;
  const advice = invert ? "try it without --invert" : "try --invert";
  return {
    "blank": `${quote(name)} is blank: all its pixels are the same`,
    "inverted": `${quote(name)} looks dark on light, but the model was trained on light on dark: ` +
      advice,
    "no colour": `${quote(name)} has no colour, but the model was trained on colours`,
    "no object": `nothing stands out in ${quote(name)}: it is taken whole`,
  }[view.doubt];
}

const GUESS = "the model does not say what it was trained on: taken for one of Fashion-MNIST";

function toImages(
  inputs: readonly PictureInput[],
  shape: LabeledImages["shape"],
): LabeledImages {
  const size = shape[0] * shape[1] * shape[2];
  const images = new Uint8Array(inputs.length * size);
  inputs.forEach(({ picture }, n) => images.set(picture.pixels, n * size));
  const labels = new Uint8Array(inputs.length);
  return { images, labels, count: inputs.length, shape };
}
