/** The script of a model's page: from a drawing or a picture to the model's answer. */

/// <reference lib="dom" />
import { fitPicture, type GreyPicture } from "../../data/picture.ts";
import { decodePageModel } from "../page_model.ts";
import { Classifier, type EngineChoice } from "./classifier.ts";
import { Board, paint, type PenWidth } from "./drawing.ts";
import { GivenPicture } from "./given_picture.ts";
import { Results } from "./results.ts";

// Browsers of before September 2025 lack it, and the engine's kernels are base64.
Uint8Array.fromBase64 ??= (text: string) =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

const trained = decodePageModel(element("model").textContent);
const [, height, width] = trained.model.inputShape;

const results = new Results({
  answer: element("answer"),
  bars: element("classes"),
  spoken: element("spoken"),
}, trained.classNames);
const board = new Board(
  { canvas: element<HTMLCanvasElement>("board"), cursor: element("cursor") },
  { width, height },
  { onRestart: forgetPicture, onChange: changed },
);
const seen = element<HTMLCanvasElement>("seen");
const invert = element<HTMLInputElement>("invert");
const engine = element<HTMLSelectElement>("engine");

let given: GivenPicture | undefined;
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
element<HTMLInputElement>("file").addEventListener("change", ({ currentTarget }) => {
  const input = currentTarget as HTMLInputElement;
  take(input.files);
  input.value = ""; // so that the same file can be chosen again
});
invert.addEventListener("change", showGiven);
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
    const picture = await GivenPicture.read(file);
    const looksDarkOnLight = picture.looksDarkOnLight();
    invert.checked = looksDarkOnLight !== (trained.pictures?.darkOnLight ?? false);
    given = picture;
    element("invert-row").hidden = false;
    notice(
      invert.checked
        ? `The picture looks ${looksDarkOnLight ? "dark on light" : "light on dark"}, ` +
          "so light and dark were swapped."
        : "",
    );
    showGiven();
  } catch (error) {
    notice(messageOf(error));
    changed();
  }
}

function showGiven(): void {
  if (given === undefined) return;
  board.show(given.lightOnDark(invert.checked));
  changed();
}

function forgetPicture(): void {
  given = undefined;
  element("invert-row").hidden = true;
  notice("");
}

/** What the network is to be asked about. */
function pictureAtHand(): GreyPicture | undefined {
  const picture = given?.lightOnDark(invert.checked) ?? board.picture();
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
  const shown = picture ?? { width, height, pixels: new Uint8Array(width * height) };
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
