/** A batch's pixels, from the packed bytes of the data set to the network's input. */

import {
  channelCountOf,
  channelOf,
  isNormalized,
  type Standardization,
} from "../../../nn/standardization.ts";
import { FRACTION_BITS } from "../../../data/augment.ts";
import type { ImageShape } from "../../../nn/sequential.ts";
import {
  bindArray,
  bindTensor,
  imageKernel,
  imageOf,
  type Kernel,
  numberWgsl,
  repeat,
} from "../kernel.ts";
import { changesWgsl, type ImageChanges } from "./augment.ts";
import { type DeviceTensor, indexOf } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";

export type { ImageChanges };

/** Where a data set lies: packed bytes, four to a word, an image starting a new word. */
export interface ImageBuffers {
  /** One buffer, or several where one would exceed what can be bound. */
  readonly images: readonly GPUBuffer[];
  /** Images in each buffer but the last. */
  readonly imagesPerBuffer: number;
  /** Indices of images. */
  readonly order: GPUBuffer;
}

/** What images become, and where. */
export interface NetworkInput {
  readonly input: DeviceTensor;
  /** Of an image; the tensor may be one of vectors. */
  readonly imageShape: ImageShape;
  readonly standardization: Standardization;
  /** How they are changed; default: not at all. */
  readonly changes?: ImageChanges;
  /** Where the chunk's images' indices are wanted. */
  readonly indices?: GPUBuffer;
}

/** Writes (pixel / 255 - mean) / std of a chunk's images into the network's input, changed or not;
 * equals `gatherImages` of TypeScript.
 *
 * An invocation takes four neighbouring pixels of its images. What is left of the last group is filled
 * with zeros, so that kernels after this one need no test of the chunk's length.
 */
export function gatherImages(
  { images, imagesPerBuffer, order }: ImageBuffers,
  { input, imageShape, standardization, changes, indices }: NetworkInput,
  tuning: Tuning,
): Kernel {
  const pixels = input.channels * input.height * input.width;
  const words = Math.ceil(pixels / 4);
  const side = tuning.imagesPerInvocation;
  const area = input.height * input.width;
  const become = standardizeWgsl(standardization, imageShape, changes !== undefined);
  const functions = `
fn word_of(image: u32, word: u32) -> u32 {
  let place = image % ${imagesPerBuffer}u * ${words}u + word;
  switch image / ${imagesPerBuffer}u {
    ${
    repeat(images.length - 1, (part) => `case ${part + 1}u: { return images${part + 1}[place]; }`)
  }
    default: { return images0[place]; }
  }
}
${changes === undefined ? "" : changesWgsl(changes.augmenter, imageShape)}
fn pixels(position: u32, word: u32) -> vec4f {
  if (position >= chunk.count) { return vec4f(); }
  let image = order[chunk.first + position];
  ${
    changes === undefined
      ? "let values = unpack4x8unorm(word_of(image, word));"
      : `var values = vec4f();
  var inside = vec4f();
  let change = change_of(image);
  for (var k = 0u; k < 4u; k++) {
    let sample = sample_at(image, min(word * 4u + k, ${pixels - 1}u), change);
    values[k] = sample.x / ${255 * 2 ** (2 * FRACTION_BITS)}.0 * change.factor;
    inside[k] = sample.y / ${2 ** (2 * FRACTION_BITS)}.0;
  }`
  }
  ${become}
}`;
  const main = `let word = group.y;
  ${
    indices === undefined ? "" : storeResults(
      tuning,
      (place) => `if (word == 0u) { indices[${place} - chunk.first] = order[${place}]; }`,
    )
  }
  ${repeat(side, (image) => `let p${image} = pixels(n * ${side}u + ${image}u, word);`)}
  ${
    repeat(Math.min(4, pixels), (k) => {
      const values = Array.from({ length: side }, (_, image) => `p${image}[${k}]`).join(", ");
      const place = indexOf(input, [
        `pixel / ${area}u`,
        `pixel % ${area}u / ${input.width}u`,
        `pixel % ${input.width}u`,
      ]);
      const isWhole = pixels % 4 === 0 || k < pixels % 4;
      return `{
    let pixel = word * 4u + ${k}u;
    ${isWhole ? "" : `if (pixel < ${pixels}u)`} { input[${place}] = Images(${values}); }
  }`;
    })
  }`;
  const turns = changes?.turns;
  return imageKernel({
    label: changes ? "gather_changed_images" : "gather_images",
    functions,
    main,
    bindings: [
      bindArray("order", order, "u32"),
      ...images.map((buffer, part) => (
        bindArray(`images${part}`, buffer, "u32")
      )),
      bindTensor("input", input, "write"),
      ...turns ? [{ name: "turns", access: "uniform", ...turns } as const] : [],
      ...(indices === undefined ? [] : [
        bindArray("indices", indices, "u32", "write"),
      ]),
    ],
    workgroups: [words, 1],
  }, tuning);
}

/** What a word's four `values` become, of which `inside` came from their image; of images with several
 * channels they need not be of one.
 */
function standardizeWgsl(
  standardization: Standardization,
  [, height, width]: ImageShape,
  changed: boolean,
): string {
  if (isNormalized(standardization)) return "return values;";
  const inside = changed ? " * inside" : "";
  const count = channelCountOf(standardization);
  const channels = Array.from({ length: count }, (_, n) => channelOf(standardization, n));
  if (count === 1) {
    const [{ mean, std }] = channels;
    return `return (values - ${numberWgsl(mean)}${inside}) / ${numberWgsl(std)};`;
  }
  const list = (values: readonly number[]) => `array<f32, ${count}>(${values.map(numberWgsl)})`;
  const fourOf = (name: string) =>
    `vec4f(${[0, 1, 2, 3].map((k) => `${name}[channel[${k}]]`).join(", ")})`;
  return `var means = ${list(channels.map(({ mean }) => mean))};
  var deviations = ${list(channels.map(({ std }) => std))};
  let channel = min((vec4u(0u, 1u, 2u, 3u) + word * 4u) / ${height * width}u, vec4u(${count - 1}u));
  return (values - ${fourOf("means")}${inside}) / ${fourOf("deviations")};`;
}

/** The buffers of {@linkcode softmaxCrossEntropy} that belong to a data set or a call. */
export interface ResultBuffers {
  /** Packed bytes. */
  readonly labels: GPUBuffer;
  readonly order: GPUBuffer;
  /** An f32 for each place in the order. */
  readonly losses: GPUBuffer;
  /** A u32 for each place in the order. */
  readonly predictions: GPUBuffer;
}

/** WGSL that writes a value for each image of the invocation that is one of the chunk's. */
export function storeResults(
  tuning: Tuning,
  store: (place: string, image: (expression: string) => string) => string,
): string {
  const side = tuning.imagesPerInvocation;
  return repeat(side, (index) =>
    `if (n * ${side}u + ${index}u < chunk.count) { ${
      store(
        `chunk.first + n * ${side}u + ${index}u`,
        (expression) => imageOf(tuning, expression, index),
      )
    } }`);
}
