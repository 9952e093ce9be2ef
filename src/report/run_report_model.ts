/** What a report says about the model itself: layers, first weights, and what it makes of an image. */

import type { LabeledImages } from "../data/dataset.ts";
import { type Model, type Parameter, showShape } from "../nn/sequential.ts";
import { volume } from "../nn/layers/layer.ts";
import { type Html, html, htmlNote, htmlSection, htmlTable } from "./html.ts";
import { colorPicture, greyPicture, imagePicture, signedPicture } from "./html_pictures.ts";
import type { FeatureMaps } from "./run_report_features.ts";
import { costsOf, formatCount } from "./table.ts";

/** Pictures of one kind beyond which the rest is left out. */
const MAX_PICTURES = 64;

/** The layers with their output sizes, costs and receptive fields. */
export function summarySection(model: Model): Html {
  const { layers, total } = costsOf(model);
  const count = (value: number) => value === 0 ? "" : formatCount(value);
  const rows = layers.map((layer) => [
    layer.name,
    layer.type,
    layer.detail,
    showShape(layer.outputShape),
    count(layer.parameters),
    count(layer.forwardMacs),
    layer.receptiveField.join("x"),
    layer.frozen ? "frozen" : "",
  ]);
  const header = ["layer", "type", "window", "output", "parameters", "MACs", "sees", ""];
  const statistics = total.statistics === 0
    ? ""
    : `${formatCount(total.statistics)} running means and variances beside them, `;
  const text = `${model.name}, input ${showShape(model.inputShape)}, ` +
    `${formatCount(model.parameterCount)} parameters, ${statistics}` +
    `${
      formatCount(total.forwardMacs)
    } multiply-accumulates (MACs) an image. Sees: receptive field ` +
    `of one output, in pixels of the input.`;
  return htmlSection("Model", htmlNote(text), htmlTable("Layers", { header, rows, numbers: 4 }));
}

/** The first layer's weights as pictures; nothing if its inputs are not pixels. */
export function filterSection(model: Model, parameters: Float32Array): Html | undefined {
  const kernel = kernelOf(model);
  if (kernel === undefined) return undefined;
  const { weight, planes, width, height, title, displayWidth } = kernel;
  // Three planes of an output are its red, green and blue.
  const isColored = planes === 3 && model.inputShape[0] === 3;
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
  const text = `Weights of ${weight.name}: ${colors} ${limit.toPrecision(3)}.${leftOut(count)}`;
  const gallery = html`<div class="gallery maps">${pictures}</div>`;
  return htmlSection(title, htmlNote(text), gallery);
}

/** The planes that the first layer with weights lays over its input; undefined if that is not the image. */
function kernelOf({ inputShape, layers }: Model) {
  const isWeight = ({ kind }: Parameter) => kind === "weight";
  const place = layers.findIndex(({ parameters }) => parameters.some(isWeight));
  const layer = layers[place];
  const weight = layer?.parameters.find(isWeight);
  if (weight === undefined) return undefined;
  const [, planes, kernelHeight, kernelWidth] = weight.shape;
  if (kernelWidth !== undefined) {
    const [width, height] = [kernelWidth, kernelHeight];
    return { weight, planes, width, height, title: "First-layer filters", displayWidth: 64 };
  }
  // Right after the pixels were laid out in a row, each weight of an output belongs to a pixel.
  const isOfPixels = layers.slice(0, place).every(({ inputs, outputShape }) =>
    inputs.length === 1 && volume(outputShape) === volume(inputShape)
  );
  if (!isOfPixels) return undefined;
  const [channels, height, width] = inputShape;
  const size = { planes: channels, width, height };
  return { weight, ...size, title: "First-layer weights", displayWidth: 84 };
}

/** What the layers make of one image. */
export function featureSection(
  maps: readonly FeatureMaps[] | undefined,
  { one, title }: { readonly one: LabeledImages; readonly title: string },
): Html | undefined {
  if (maps === undefined) {
    const reason = "Left out: the model is too large to be computed here in passing.";
    return htmlSection("Feature maps", htmlNote(reason));
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
  const explanation =
    `${title}. Each map is scaled on its own from black, its least value, to white, ` +
    `its largest.`;
  const image = imagePicture(one.images, one.shape, { alt: title, displayWidth: 84 });
  return htmlSection("Feature maps", htmlNote(explanation), image, ...rows);
}

function leftOut(count: number): string {
  return count <= MAX_PICTURES ? "" : ` The first ${MAX_PICTURES} of ${formatCount(count)}.`;
}
