// deno-lint-ignore-file no-console
/** The predict command: what a trained model sees in pictures. */

import type { LabeledImages } from "../data/dataset.ts";
import { invocation, quote } from "../quote.ts";
import { type ClassProbability, topClasses } from "../train/metrics.ts";
import { DEVICE_FLAGS } from "./backend_flags.ts";
import { EXIT } from "./errors.ts";
import { defineCommand, parseFlags } from "./flags.ts";
import { pictureLines, plainLine } from "./predict_display.ts";
import { type Doubt, type PictureInput, pictureNames, readPicture } from "./predict_inputs.ts";
import { type LoadedModel, loadModel, MODEL_FLAGS, openTrained, sayNotes } from "./loaded_model.ts";

const COMMAND = defineCommand({
  usage: invocation("predict"),
  summary: "Say what is in pictures of any size, made into what the model was " +
    "trained on, grey and light on dark.",
  examples: [
    ["shoe.png", "with the newest run below runs/"],
    ["--run runs/first photos/", "all pictures in a folder, with a run"],
    ["--invert drawing.jpg", "dark on light, such as a photo of paper"],
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
  // Pictures are treated as those that the model was trained on; the flag turns that around.
  const invert = flags.invert !== (loaded.pictures?.invert ?? false);
  const show = shower(loaded, flags);
  let failed = false;
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
    const input = typeof name === "string"
      ? await readPicture(name, { width, height }, { invert })
      : name;
    if ("message" in input) {
      console.error(`error: ${input.message}`);
      failed = true;
      continue;
    }
    chunk.push(input);
    if (chunk.length === CHUNK_SIZE) await flush();
  }
  await flush();
  return failed ? EXIT.failure : EXIT.ok;
}

function shower(
  { classNames, pictures, notes }: LoadedModel,
  { json, invert }: { readonly json: boolean; readonly invert: boolean },
): (input: PictureInput, logits: Float32Array) => void {
  const drawn = Deno.stdout.isTerminal() && !Deno.noColor;
  return (input, logits) => {
    const top = topClasses(logits, classNames);
    // Light borders are what such a model knows.
    const isUsual = input.doubt === "inverted" && pictures?.darkOnLight === true;
    const doubt = isUsual ? undefined : input.doubt;
    if (json) {
      const answer = jsonOf({ ...input, doubt }, top);
      return console.log(JSON.stringify({ ...answer, ...(notes.length > 0 && { notes }) }));
    }
    if (doubt) console.error(doubtLine(input.name, doubt, invert));
    if (!drawn) return console.log(plainLine(input.name, top));
    console.log(pictureLines(input, top).join("\n"));
  };
}

function jsonOf({ name, doubt }: PictureInput, top: readonly ClassProbability[]) {
  const [{ className, label, probability }] = top;
  return { file: name, className, label, probability, top, ...(doubt && { doubt }) };
}

function doubtLine(name: string, doubt: Doubt, invert: boolean): string {
  const advice = invert ? "try it without --invert" : "try --invert";
  return doubt === "blank"
    ? `note: ${quote(name)} is blank: all its pixels are the same`
    : `note: ${
      quote(name)
    } looks dark on light, but the model was trained on light on dark: ${advice}`;
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
