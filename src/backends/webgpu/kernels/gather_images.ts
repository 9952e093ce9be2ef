/** A batch's pixels, from the packed bytes of the data set to the network's input. */

import {
  channelCountOf,
  channelOf,
  isNormalized,
  type Standardization,
} from "../../../nn/standardization.ts";
import {
  A_GROUP,
  bindTensor,
  entryPoint,
  imageOf,
  imagesWgsl,
  type Kernel,
  repeat,
} from "../kernel.ts";
import { indexOf, type Tensor } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";

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
  readonly input: Tensor;
  readonly standardization: Standardization;
}

/** Writes (pixel / 255 - mean) / std of a chunk's images into the network's input; equals the
 * reference's `gather`.
 *
 * An invocation takes four neighbouring pixels of its images. What is left of the last group is filled
 * with zeros, so that kernels after this one need no test of the chunk's length.
 */
export function gatherImages(
  { images, imagesPerBuffer, order }: ImageBuffers,
  { input, standardization }: NetworkInput,
  tuning: Tuning,
): Kernel {
  const pixels = input.channels * input.height * input.width;
  const words = Math.ceil(pixels / 4);
  const side = tuning.imagesPerInvocation;
  const area = input.height * input.width;
  const code = `${imagesWgsl(tuning)}
fn pixels(position: u32, word: u32) -> vec4f {
  if (position >= chunk.count) { return vec4f(); }
  let image = order[chunk.first + position];
  let place = image % ${imagesPerBuffer}u * ${words}u + word;
  var bytes = 0u;
  switch image / ${imagesPerBuffer}u {
    ${
    repeat(images.length - 1, (part) => `case ${part + 1}u: { bytes = images${part + 1}[place]; }`)
  }
    default: { bytes = images0[place]; }
  }
  ${standardize(standardization, area)}
}
${entryPoint(tuning)}
  let word = group.y;
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
  }
}
`;
  return {
    label: "gather_images",
    code,
    bindings: [
      { name: "order", type: "array<u32>", access: "read", buffer: order },
      ...images.map((buffer, part) => (
        { name: `images${part}`, type: "array<u32>", access: "read", buffer } as const
      )),
      bindTensor("input", input, "write"),
    ],
    workgroups: [A_GROUP, words, 1],
  };
}

/** What a word's four pixels become; of images with several channels they need not be of one. */
function standardize(standardization: Standardization, area: number): string {
  const pixels = "unpack4x8unorm(bytes)";
  if (isNormalized(standardization)) return `return ${pixels};`;
  const count = channelCountOf(standardization);
  const channels = Array.from({ length: count }, (_, n) => channelOf(standardization, n));
  if (count === 1) {
    const [{ mean, std }] = channels;
    return `return (${pixels} - ${wgslFloat(mean)}) / ${wgslFloat(std)};`;
  }
  const list = (values: readonly number[]) => `array<f32, ${count}>(${values.map(wgslFloat)})`;
  const fourOf = (name: string) =>
    `vec4f(${repeat(4, (k) => `${name}[channel[${k}]]${k < 3 ? ", " : ""}`)})`;
  return `var means = ${list(channels.map(({ mean }) => mean))};
  var deviations = ${list(channels.map(({ std }) => std))};
  let channel = min((vec4u(0u, 1u, 2u, 3u) + word * 4u) / ${area}u, vec4u(${count - 1}u));
  return (${pixels} - ${fourOf("means")}) / ${fourOf("deviations")};`;
}

/** A float32 that WGSL reads as one, whole numbers too. */
function wgslFloat(value: number): string {
  return `f32(${Math.fround(value)})`;
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
