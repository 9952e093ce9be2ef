/** What a report says about a model's answers on the test set. */

import type { LabeledImages } from "../data/dataset.ts";
import type { ClassificationReport } from "../train/metrics.ts";
import { type Html, html, htmlNote, htmlSection, htmlTable } from "./html.ts";
import { imagePicture } from "./html_pictures.ts";
import { countOf, formatCount, percentText } from "../quote.ts";

/** One test image that was taken for another class. */
export interface Mistake {
  /** Index in the test set. */
  readonly index: number;
  readonly label: number;
  readonly guess: number;
  /** Cross-entropy: -log of the probability that the label was given. */
  readonly loss: number;
  /** Probability that the guess was given. */
  readonly probability: number;
}

/** A model's answers on a test set. */
export interface Answers {
  /** Class with the largest logit, the first among equals. */
  readonly predictions: Uint8Array;
  /** What was taken for another class, the highest loss first. */
  readonly mistakes: readonly Mistake[];
}

/** Most images in the gallery of mistakes. */
const MAX_WRONG = 25;

/** Classes beyond which a confusion matrix is too large to read. */
const MAX_MATRIX = 40;

const MAX_PAIRS = 10;

/** Works out predictions and losses from logits [count, classCount]. */
export function answersFrom(
  logits: Float32Array,
  labels: Uint8Array,
  classCount: number,
): Answers {
  const predictions = new Uint8Array(labels.length);
  const mistakes: Mistake[] = [];
  for (const [index, label] of labels.entries()) {
    const row = logits.subarray(index * classCount, (index + 1) * classCount);
    const guess = row.reduce((best, value, k) => value > row[best] ? k : best, 0);
    predictions[index] = guess;
    if (guess === label) continue;
    // Shifted by the largest logit, so that no exponential overflows.
    const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value - row[guess]), 0));
    const loss = row[guess] + logSum - row[label];
    mistakes.push({ index, label, guess, loss, probability: Math.exp(-logSum) });
  }
  mistakes.sort((a, b) => b.loss - a.loss);
  return { predictions, mistakes };
}

/** Which class was taken for which: a matrix, and in words the pairs that happen most. */
export function confusionSection({ confusion, perClass }: ClassificationReport): Html {
  const names = perClass.map(({ className }) => className);
  const matrix = names.length > MAX_MATRIX ? undefined : confusionMatrix(confusion, names);
  return htmlSection("Confusion", matrix, mostConfused(confusion, names));
}

function confusionMatrix(confusion: ClassificationReport["confusion"], names: string[]): Html {
  const rows = confusion.map((row, label) => {
    const support = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, guess) => {
      const share = support === 0 ? 0 : count / support;
      const title = `${names[label]} taken for ${names[guess]}: ${count}`;
      return html`<td class="${guess === label ? "right" : ""}" title="${title}" style="--share:${
        share.toFixed(3)
      }">${count}</td>`;
    });
    return html`<tr><th scope="row">${label} ${names[label]}</th>${cells}</tr>`;
  });
  const explanation =
    "Images of the row's class, predicted as the column's; the stronger a colour, " +
    "the larger its share of the row.";
  const header = names.map((name, k) => html`<th scope="col" title="${name}">${k}</th>`);
  return html`
    ${htmlNote(explanation)}
    <div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
      <table class="matrix">
        <thead>
          <tr><td></td>${header}</tr>
        </thead>
        <tbody>${rows}</tbody>
      </table>
    </div>
  `;
}

function mostConfused(confusion: ClassificationReport["confusion"], names: string[]): Html {
  const pairs = confusion.flatMap((row, label) =>
    row.map((count, guess) => ({ count, label, guess }))
  ).filter(({ count, label, guess }) => count > 0 && label !== guess)
    .sort((a, b) => b.count - a.count)
    .slice(0, MAX_PAIRS);
  if (pairs.length === 0) return html`<p>No image was taken for another class.</p>`;
  const [{ count, label, guess }] = pairs;
  const header = ["class", "taken for", "images"];
  const rows = pairs.map((pair) => [names[pair.label], names[pair.guess], formatCount(pair.count)]);
  return html`
    <p>Most often, ${names[label]} was taken for ${names[guess]}:
    ${countOf(count, "image")}.</p>
    <details>
      <summary>The pairs that happen most</summary>
      ${htmlTable("Confused pairs", { header, rows, numbers: 2 })}
    </details>
  `;
}

/** Precision and recall of every class. */
export function classSection({ perClass }: ClassificationReport): Html {
  const header = ["class", "precision", "recall", "images"];
  const rows = perClass.map(({ className, precision, recall, support }) => [
    className,
    precision.toFixed(3),
    recall.toFixed(3),
    formatCount(support),
  ]);
  const explanation = "Precision: of the images predicted as the class, the share that is. " +
    "Recall: of the images of the class, the share predicted as it.";
  return htmlSection("Classes", htmlNote(explanation), htmlTable("Classes", { header, rows }));
}

/** The file of an image of a test set; its number where it has none. */
export function nameOfImage({ names }: LabeledImages, index: number): string {
  return names?.[index] ?? `test image ${index}`;
}

/** The images with the highest loss among those that were taken for another class. */
export function mistakeSection(
  { mistakes }: Answers,
  test: LabeledImages,
  classNames: readonly string[],
): Html {
  if (mistakes.length === 0) {
    return htmlSection("Mistakes", html`<p>Every test image was recognised.</p>`);
  }
  const size = test.images.length / test.count;
  const figures = mistakes.slice(0, MAX_WRONG).map(({ index, label, guess, loss, probability }) => {
    const pixels = test.images.subarray(index * size, (index + 1) * size);
    const name = nameOfImage(test, index);
    const alt = `${name}: ${classNames[label]}`;
    return html`<figure>${imagePicture(pixels, test.shape, { alt })}
<figcaption><b>${classNames[label]}</b>, taken for <b>${classNames[guess]}</b>
(${percentText(probability)})<br><span class="soft">loss ${loss.toFixed(2)}, ${name}</span>
</figcaption></figure>`;
  });
  const explanation =
    `Of ${countOf(mistakes.length, "mistake")}, those with the highest loss: what ` +
    `the model was surest not to see.`;
  const gallery = html`<div class="gallery wrong">${figures}</div>`;
  const title = `The ${countOf(figures.length, "most wrong test image")}`;
  return htmlSection(title, htmlNote(explanation), gallery);
}
