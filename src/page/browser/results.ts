/** The classes of the current picture, the most probable first. */

/// <reference lib="dom" />
import { percentText } from "../../quote.ts";
import { type ClassProbability, topClasses } from "../../train/metrics.ts";

/** More bars than these nobody reads. */
const MAX_BARS = 10;

/** How long a drawing must rest before its class is said aloud. */
const REST_MS = 700;

/** Where answers are shown. */
export interface ResultElements {
  /** The answer, large. */
  readonly answer: HTMLElement;
  /** An `ol` for the bars. */
  readonly bars: HTMLElement;
  /** What a screen reader says. */
  readonly spoken: HTMLElement;
}

/** The answer and its bars. */
export class Results {
  readonly #elements: ResultElements;
  readonly #classNames: readonly string[];
  readonly #rows: readonly Row[];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(elements: ResultElements, classNames: readonly string[]) {
    this.#elements = elements;
    this.#classNames = classNames;
    this.#rows = classNames.slice(0, MAX_BARS).map(() => createRow());
    elements.bars.replaceChildren(...this.#rows.map(({ item }) => item));
    this.clear();
  }

  /** Shows the answer to a picture. */
  show(logits: Float32Array): void {
    const { answer, bars } = this.#elements;
    const top = topClasses(logits, this.#classNames, this.#rows.length);
    answer.textContent = top[0].className;
    bars.classList.remove("empty");
    top.forEach((entry, index) => fillRow(this.#rows[index], entry));
    this.#say(`${top[0].className}, ${percentText(top[0].probability)}`);
  }

  /** Forgets the answer: there is no picture. */
  clear(): void {
    const { answer, bars } = this.#elements;
    answer.textContent = "\u2013";
    bars.classList.add("empty");
    this.#classNames.slice(0, MAX_BARS).forEach((className, label) =>
      fillRow(this.#rows[label], { className, label, probability: undefined })
    );
    this.#say("");
  }

  #say(text: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#elements.spoken.textContent = text;
    }, REST_MS);
  }
}

interface Row {
  readonly item: HTMLElement;
  readonly name: HTMLElement;
  readonly share: HTMLDataElement;
  readonly bar: HTMLElement;
}

/** A name may run in either direction; `bdi` keeps it from turning its neighbours round. */
function createRow(): Row {
  const item = document.createElement("li");
  const name = document.createElement("bdi");
  const share = document.createElement("data");
  const track = document.createElement("div");
  const bar = document.createElement("div");
  track.className = "track";
  bar.className = "bar";
  track.append(bar);
  item.append(name, share, track);
  return { item, name, share, bar };
}

function fillRow(
  { item, name, share, bar }: Row,
  { className, label, probability }:
    & Omit<ClassProbability, "probability">
    & { readonly probability: number | undefined },
): void {
  item.dataset.label = String(label);
  name.textContent = className;
  share.value = probability === undefined ? "" : String(probability);
  share.textContent = probability === undefined ? "" : percentText(probability);
  bar.style.width = `${100 * (probability ?? 0)}%`;
}
