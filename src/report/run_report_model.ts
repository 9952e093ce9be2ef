/** What a report says about the model itself: layers, first weights, and what it makes of an image. */

import type { LabeledImages } from "../data/dataset.ts";
import type { Layer, Model } from "../nn/sequential.ts";
import { showShape } from "../nn/sequential.ts";
import { summarize } from "../nn/summary.ts";
import { type Html, html, htmlTable } from "./html.ts";
import { colorPicture, greyPicture, imagePicture, signedPicture } from "./html_pictures.ts";
import type { FeatureMaps } from "./run_report_features.ts";
import { formatCount } from "./table.ts";

/** Pictures of one kind beyond which the rest is left out. */
const MAX_PICTURES = 64;

/** The layers with their output sizes, costs and receptive fields. */
export function summarySection(model: Model): Html {
  const layers = summarize(model);
  const count = (value: number) => value === 0 ? "" : formatCount(value);
  const rows = layers.map((layer) => [
    layer.name,
    layer.type,
    layer.detail,
    showShape(layer.outputShape),
    count(layer.parameters),
    count(layer.forwardMacs),
    layer.receptiveField.join("x"),
  ]);
  const header = ["layer", "type", "window", "output", "parameters", "MACs", "sees"];
  const macs = layers.reduce((sum, layer) => sum + layer.forwardMacs, 0);
  return html`
    <section>
      <h2>Model</h2>
      <p class="soft">${model.name}, input ${showShape(model.inputShape)},
    ${formatCount(model.parameterCount)} parameters, ${formatCount(
      macs,
    )} multiply-accumulates (MACs) an
    image. Sees: receptive field of one output, in pixels of the input.</p>
      ${htmlTable("Layers", { header, rows, numbers: 4 })}
    </section>
  `;
}

/** The first layer's weights as pictures; nothing if its inputs are not pixels. */
export function filterSection(model: Model, parameters: Float32Array): Html | undefined {
  const layer = model.layers.find((candidate) => "weight" in candidate);
  const kernel = layer === undefined ? undefined : kernelOf(layer, model);
  if (kernel === undefined) return undefined;
  const { weight, width, height, title, displayWidth } = kernel;
  // Three planes of an output are its red, green and blue.
  const isColored = model.inputShape[0] === 3;
  const size = (isColored ? 3 : 1) * width * height;
  const all = parameters.subarray(weight.offset, weight.offset + weight.size);
  const limit = all.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const count = weight.size / size;
  const perOutput = count / weight.shape[0];
  const draw = isColored ? colorPicture : signedPicture;
  const pictures = Array.from({ length: Math.min(count, MAX_PICTURES) }, (_, index) => {
    const values = all.subarray(index * size, (index + 1) * size);
    const [output, input] = [Math.floor(index / perOutput), index % perOutput];
    const alt = perOutput === 1 ? `Output ${output}` : `Output ${output}, input ${input}`;
    return draw({ width, height, values }, { alt, displayWidth, limit });
  });
  const colors = isColored
    ? "for red, green and blue together: zero is the middle grey, positive is lighter, negative darker; " +
      "the full range is"
    : "orange is positive, blue negative, white zero; the full colour is";
  return html`
    <section>
      <h2>${title}</h2>
      <p class="soft">Weights of ${weight.name}: ${colors} ${limit.toPrecision(3)}.${leftOut(
        count,
      )}</p>
      <div class="gallery maps">${pictures}</div>
    </section>
  `;
}

/** The planes that a first layer lays over its input. */
function kernelOf(layer: Layer, { inputShape: [, height, width], layers }: Model) {
  if (layer.type === "conv2d") {
    const [kernelHeight, kernelWidth] = layer.kernelSize;
    return {
      weight: layer.weight,
      width: kernelWidth,
      height: kernelHeight,
      title: "First-layer filters",
      displayWidth: 64,
    };
  }
  // Right after the pixels were laid out in a row, each weight of an output belongs to a pixel.
  if (layer.type !== "linear" || layers[0]?.type !== "flatten" || layers[1] !== layer) {
    return undefined;
  }
  return { weight: layer.weight, width, height, title: "First-layer weights", displayWidth: 84 };
}

/** What the layers make of one image. */
export function featureSection(
  maps: readonly FeatureMaps[] | undefined,
  { one, title }: { readonly one: LabeledImages; readonly title: string },
): Html | undefined {
  if (maps === undefined) {
    return html`
      <section>
        <h2>Feature maps</h2>
        <p class="soft">Left out: the model is too large to be
      computed here in passing.</p>
      </section>
    `;
  }
  if (maps.length === 0) return undefined;
  const rows = maps.map(({ label, shape: [channels, height, width], values }) => {
    const area = width * height;
    const displayWidth = Math.max(40, Math.min(84, 3 * width));
    const pictures = Array.from({ length: Math.min(channels, MAX_PICTURES) }, (_, channel) => {
      const plane = values.subarray(channel * area, (channel + 1) * area);
      const alt = `${label}, channel ${channel}`;
      return greyPicture({ width, height, values: plane }, { alt, displayWidth });
    });
    return html`
      <h3>${label} <span class="soft">${showShape([channels, height, width])}</span></h3>
      <div class="gallery maps">${pictures}</div>
    `;
  });
  return html`<section><h2>Feature maps</h2>
<p class="soft">${title}. Each map is scaled on its own from black, its least value, to white, its
largest.</p>${
    imagePicture(one.images, one.shape, { alt: title, displayWidth: 84 })
  }${rows}</section>`;
}

function leftOut(count: number): string {
  return count <= MAX_PICTURES ? "" : ` The first ${MAX_PICTURES} of ${formatCount(count)}.`;
}
