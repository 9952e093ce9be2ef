/** The script of a model's page: from a drawing or a picture to the model's answer. */

/// <reference lib="dom" />
import { fitPicture, type Picture, pictureOf } from "../../data/picture.ts";
import { type Crop, type PictureView, viewPicture } from "../../data/picture_view.ts";
import { decodePageModel } from "../page_model.ts";
import { Classifier, type EngineChoice } from "./classifier.ts";
import { Board, paint, type PenWidth } from "./drawing.ts";
import { rgbaOf } from "./given_picture.ts";
import { Results } from "./results.ts";

const trained = decodePageModel(element("model").textContent);
const [, height, width] = trained.model.inputShape;
const channels = trained.model.inputShape[0] === 3 ? 3 : 1;

const results = new Results({
  answer: element("answer"),
  bars: element("classes"),
  spoken: element("spoken"),
}, trained.classNames);
const board = new Board(
  { canvas: element<HTMLCanvasElement>("board"), cursor: element("cursor") },
  { channels, width, height },
  { onRestart: forgetPicture, onChange: changed },
);
const seen = element<HTMLCanvasElement>("seen");
const crop = element<HTMLSelectElement>("crop");
const invert = element<HTMLInputElement>("invert");
const engine = element<HTMLSelectElement>("engine");

/** What was dropped, pasted or chosen. */
let given: Picture | undefined;
/** What the network is shown of it. */
let view: PictureView | undefined;
let classifier = new Classifier(trained, engine.value as EngineChoice);
/** Whether the answer shown is not yet that of the current picture. */
let isStale = false;
let isBusy = false;
/** Times of the last predictions. */
let timesMs: number[] = [];

element("clear").addEventListener("click", () => {
  forgetPicture();
  board.clear();
  changed();
});
element<HTMLSelectElement>("pen").addEventListener("change", ({ currentTarget }) => {
  board.penWidth = (currentTarget as HTMLSelectElement).value as PenWidth;
});
document.getElementById("color")?.addEventListener("input", ({ currentTarget }) => {
  board.penColor = (currentTarget as HTMLInputElement).value;
});
element<HTMLInputElement>("file").addEventListener("change", ({ currentTarget }) => {
  const input = currentTarget as HTMLInputElement;
  take(input.files);
  input.value = ""; // so that the same file can be chosen again
});
crop.addEventListener("change", () => showGiven());
invert.addEventListener("change", () => showGiven(invert.checked));
engine.addEventListener("change", changed);
document.addEventListener("paste", ({ clipboardData }) => take(clipboardData?.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (relatedTarget === null) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer?.files);
});
changed();

/** Takes the first of some files as the picture; if it is none, everything stays as it is. */
async function take(files: FileList | undefined | null): Promise<void> {
  const file = files?.[0];
  if (file === undefined) return;
  document.body.dataset.state = "busy";
  try {
    given = pictureOf(await rgbaOf(file), channels);
    element("given-row").hidden = false;
    crop.value = "auto";
    showGiven();
  } catch (error) {
    notice(messageOf(error));
    changed();
  }
}

/** @param swap Whether light and dark are swapped; default as in training, or as it looks. */
function showGiven(swap?: boolean): void {
  if (given === undefined) return;
  const { pictures } = trained;
  const size = { width, height };
  const options = { channels, size, pictures, crop: crop.value as Crop, swap } as const;
  view = viewPicture(given, options);
  invert.checked = view.isSwapped;
  notice(describeView(view));
  board.show(view.picture);
  changed();
}

function describeView({ box, isSwapped, doubt }: PictureView): string {
  const done = [
    ...(box ? ["The thing in the picture was cut out."] : []),
    ...(isSwapped ? ["Light and dark were swapped."] : []),
    ...(doubt === "no object" ? ["Nothing stands out: the picture is taken whole."] : []),
    ...(doubt === "no colour" ? ["It has no colour, unlike what the network knows."] : []),
    ...(doubt === "inverted" ? ["It is dark on light, unlike what the network knows."] : []),
  ];
  return done.join(" ");
}

function forgetPicture(): void {
  given = view = undefined;
  element("given-row").hidden = true;
  notice("");
}

/** What the network is to be asked about. */
function pictureAtHand(): Picture | undefined {
  const picture = view?.picture ?? board.picture();
  return picture && fitPicture(picture, { width, height });
}

/** Asks the network soon, and no more often than the screen changes. */
function changed(): void {
  isStale = true;
  document.body.dataset.state = "busy";
  if (!isBusy) requestAnimationFrame(() => void update());
}

async function update(): Promise<void> {
  if (isBusy) return;
  isBusy = true;
  while (isStale) {
    isStale = false;
    await answer();
  }
  isBusy = false;
  document.body.dataset.state = "idle";
}

async function answer(): Promise<void> {
  const picture = pictureAtHand();
  const shown = picture ?? { width, height, pixels: new Uint8Array(channels * width * height) };
  paint(seen, shown);
  try {
    await useChosenEngine();
    const { logits, elapsedMs } = await classifier.classify(shown.pixels);
    timesMs = [...timesMs, elapsedMs].slice(-15);
    element("engine-name").textContent = classifier.engine;
    element("engine-time").textContent = `, ${showMs(median(timesMs))} a picture`;
    element("engine-note").textContent = classifier.refusals.join("; ");
    if (picture) results.show(logits);
    else results.clear();
  } catch (error) {
    results.clear();
    element("engine-name").textContent = "none";
    element("engine-time").textContent = "";
    element("engine-note").textContent = messageOf(error);
  }
}

async function useChosenEngine(): Promise<void> {
  const choice = engine.value as EngineChoice;
  if (classifier.choice === choice) return;
  const old = classifier;
  classifier = new Classifier(trained, choice);
  timesMs = [];
  await old.dispose();
}

function notice(text: string): void {
  const place = element("notice");
  place.textContent = text;
  place.hidden = text === "";
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Browsers round times, to a tenth of a millisecond or more. */
function showMs(elapsedMs: number): string {
  return elapsedMs < 0.1 ? "under 0.1 ms" : `${elapsedMs.toFixed(1)} ms`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function element<Type extends HTMLElement = HTMLElement>(id: string): Type {
  return document.getElementById(id) as Type;
}
