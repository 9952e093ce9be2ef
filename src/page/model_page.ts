/** A trained model as one HTML page that classifies drawings and pictures in the browser. */

import { isPictureChannels } from "../data/picture.ts";
import type { Model } from "../nn/sequential.ts";
import { type Fact, Html, html, htmlFacts, htmlPage } from "../report/html.ts";
import { encodePageModel, type NamedModel } from "./page_model.ts";
import { MODEL_PAGE_STYLE } from "./style.ts";
import { toBase64 } from "../platform.ts";
import { countOf, percentText } from "../quote.ts";

/** What a page tells of a model's training, where somebody knows. */
export interface ModelFacts {
  /** Name of the dataset. */
  readonly datasetName?: string;
  /** Share of the test images that the model knows, 0..1. */
  readonly testAccuracy?: number;
  /** Epoch after which that was measured. */
  readonly epoch?: number;
}

/** Writes a page that holds a model, this project's `webgpu` and `wasm` engines, and nothing else.
 *
 * It loads nothing: it works from a file, without a network. Pictures become the model's input as they
 * do in the `predict` command.
 *
 * @throws {TypeError} If the model's images are neither grey nor in colour.
 * @example A page of a model that has not been trained
 * ```ts
 * import { initialParameters, lenet, modelPage } from "@lenet/lenet";
 *
 * const model = lenet();
 * const classNames = Array.from({ length: 10 }, (_, label) => `class ${label}`);
 * const page = await modelPage({ model, parameters: initialParameters(model, 0), classNames });
 * if (!page.includes("<!DOCTYPE html>")) throw new Error("expected a page");
 * ```
 */
export async function modelPage(trained: NamedModel, facts: ModelFacts = {}): Promise<string> {
  const { model } = trained;
  const [channels, height, width] = model.inputShape;
  if (!isPictureChannels(channels)) {
    throw new TypeError(
      `Cannot write a page for model "${model.name}": it takes ${channels} channels, expected 1 or 3`,
    );
  }
  // Imported only here: no other command needs it.
  const { PAGE_SCRIPT } = await import("./script_generated.ts");
  const { datasetName } = facts;
  const title = datasetName === undefined ? model.name : `${model.name}, trained on ${datasetName}`;
  const body = html`
    <header>
      <h1>${title}</h1>
      <p
        class="soft">Draw, or choose, drop or paste a picture. Nothing leaves this page.</p>
      <noscript><p class="notice">The network runs in JavaScript, which is switched off.</p></noscript>
    </header>
    <main>
    ${boardSection(model)}
    ${resultSection(width, height)}
    </main>
    ${footer(model, facts)}
    ${scriptElement('type="application/json" id="model"', encodePageModel(trained))}
    ${scriptElement('type="module"', PAGE_SCRIPT)}
  `;
  const scriptPolicy = `'sha256-${await sha256(PAGE_SCRIPT)}' 'wasm-unsafe-eval'`;
  return htmlPage(title, body, { style: MODEL_PAGE_STYLE, scriptPolicy });
}

function boardSection({ inputShape: [channels, height, width] }: Model): Html {
  const color = channels < 3 ? undefined : html`
    <input id="color" type="color" value="#ffffff" aria-label="Colour of the pen">
  `;
  return html`
    <section aria-labelledby="board-title">
      <h2 id="board-title">Draw here</h2>
      <div class="board">
        <canvas id="board" width="${width}" height="${height}" tabindex="0" role="application"
          aria-label="Drawing board" aria-describedby="board-help"></canvas>
        <div id="cursor" hidden></div>
      </div>
      <div class="controls">
        <button id="clear" type="button">Clear</button>
        <label class="button">Choose picture<input id="file" type="file" accept="image/*"></label>
        <select id="pen" aria-label="Pen">
          <option value="thin">thin pen</option>
          <option value="middle" selected>middle pen</option>
          <option value="thick">thick pen</option>
        </select>${color}
      </div>
      <p id="given-row" hidden><select id="crop" aria-label="Part of the picture">
          <option value="auto" selected>as in training</option>
          <option value="object">the thing alone</option>
          <option value="whole">the whole picture</option>
        </select> <label><input id="invert" type="checkbox"> Swap light and dark</label></p>
      <p id="notice" class="notice" role="alert" hidden></p>
      <p id="board-help"
        class="soft aside">Without a mouse: arrow keys move the pen, with Shift further; the
    space bar puts it down and lifts it.</p>
    </section>
  `;
}

function resultSection(width: number, height: number): Html {
  return html`
    <section aria-labelledby="result-title">
      <h2 id="result-title">What the network sees, and says</h2>
      <div class="result">
        <canvas id="seen" width="${width}" height="${height}" role="img"
          aria-label="The picture as the network gets it: ${width} by ${height} pixels"></canvas>
        <p id="answer">–</p>
      </div>
      <ol id="classes" class="bars empty" aria-label="Classes, the most probable first"></ol>
      <p id="spoken" class="hidden-text" role="status"></p>
    </section>
  `;
}

function footer(model: Model, { datasetName, testAccuracy, epoch }: ModelFacts): Html {
  const [channels, height, width] = model.inputShape;
  const after = epoch === undefined ? "" : `, after epoch ${epoch}`;
  const facts: readonly Fact[] = [
    ["Model", `${model.name}: ${countOf(model.parameterCount, "parameter")}`],
    ["Trained on", datasetName],
    [
      "Test accuracy",
      testAccuracy === undefined ? undefined : percentText(testAccuracy, 2) + after,
    ],
    ["Pictures", `${width}x${height}, ${channels === 3 ? "in colour" : "grey, light on dark"}`],
  ];
  const engine = html`
    <dt>Runs on</dt>
    <dd><span id="engine-name">starting</span><span id="engine-time"></span>
      <span id="engine-note" class="soft"></span></dd>
    <dt><label for="engine">Engine</label></dt>
    <dd><select id="engine"><option value="auto" selected>the fastest here</option>
      <option value="webgpu">webgpu</option><option value="wasm">wasm</option>
      <option value="reference">reference</option></select></dd>
  `;
  return html`<footer>${htmlFacts(facts, engine)}</footer>`;
}

/** A script exactly as it is given: its digest counts every space. */
function scriptElement(attributes: string, content: string): Html {
  return new Html(`<script ${attributes}>${content}</script>`);
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return toBase64(new Uint8Array(digest));
}
