/** What batch norm must know of a whole batch: sums over images and pixels, channel by channel. */

import {
  bindArray,
  type Binding,
  bindTensor,
  divisorUpTo,
  entryPoint,
  imageKernel,
  type Kernel,
  repeat,
} from "../kernel.ts";
import type { KernelContext } from "../layers/layer.ts";
import type { NormOperation } from "../operations.ts";
import type { Placed } from "../placement.ts";
import { indexOf } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { batchNormWgsl, meanWgsl } from "./batch_norm.ts";

/** Sums of a channel that a batch norm keeps, each a vector of all channels. */
export const MOMENTS = ["values", "deviations", "gradients", "normalizedGradients"] as const;

type Place = Placed<NormOperation>;

type Maps = NormOperation["output"];

/** What a batch norm that is trained leaves in {@linkcode KernelContext.imageSums}, in floats an image. */
export function imageSumsLength(output: Maps, tuning: Tuning): number {
  return 2 * output[0] * splitsOf(output, tuning);
}

/** Rows that an invocation adds up; the last may have fewer. */
function rowsOf([, height, width]: Maps, { normPixels }: Tuning): number {
  return Math.ceil(height / Math.min(height, Math.ceil(height * width / normPixels)));
}

/** How many parts of its rows a channel is added up in. */
function splitsOf(output: Maps, tuning: Tuning): number {
  return Math.ceil(output[1] / rowsOf(output, tuning));
}

/** WGSL of the pixels of a part. */
function pixelsOf(output: Maps, split: string, tuning: Tuning): string {
  const rows = rowsOf(output, tuning);
  return `f32(min(${rows}u, ${output[1]}u - ${split} * ${rows}u) * ${output[2]}u)`;
}

/** Of each image and channel the sum of values, and of squares around their own mean: no difference of
 * large numbers is taken, whatever the mean. */
export function moments({ operation, inputs: [input] }: Place, context: KernelContext): Kernel {
  const { layer, output } = operation;
  const { tuning } = context;
  const load = {
    value: (place: readonly [string, string, string]) => `input[${indexOf(input, place)}]`,
  };
  return imageSums(operation, context, {
    label: `batch_norm_moments ${layer.name}`,
    code: `
  var sum = Images(0.0);
  ${eachPixel(output, tuning, { load, add: (nameOf) => `sum += ${nameOf("value")};` })}
  let mean = sum / ${pixelsOf(output, "group.z", tuning)};
  var squares = Images(0.0);
  ${
      eachPixel(output, tuning, {
        load,
        add: (nameOf) =>
          `let deviation = ${nameOf("value")} - mean;
    squares += deviation * deviation;`,
      })
    }`,
    sums: ["sum", "squares"],
    bindings: [bindTensor("input", input, "read")],
  });
}

/** Of each image and channel the sums of the output's gradient, and of it times what was normalised. */
export function gradientSums(
  { operation, inputs: [input], target }: Place,
  context: KernelContext,
): Kernel {
  const { layer, output } = operation;
  const { gradient } = target!;
  const { before, bindings } = batchNormWgsl(operation, context);
  return imageSums(operation, context, {
    label: `batch_norm_gradient_sums ${layer.name}`,
    code: `
  ${before}
  var sum = Images(0.0);
  var normalized = Images(0.0);
  ${
      eachPixel(output, context.tuning, {
        load: {
          g: (place) => `grad_output[${indexOf(gradient, place)}]`,
          value: (place) => `input[${indexOf(input, place)}]`,
        },
        add: (nameOf) =>
          `sum += ${nameOf("g")};
    normalized += ${nameOf("g")} * (${nameOf("value")} - mean);`,
      })
    }
  normalized *= inverse;`,
    sums: ["sum", "normalized"],
    bindings: [
      bindTensor("input", input, "read"),
      bindTensor("grad_output", gradient, "read"),
      ...bindings,
    ],
  });
}

/** WGSL that loads some neighbouring pixels of a part, and then adds each of them.
 *
 * @param load WGSL of what is loaded, by its name.
 * @param add WGSL from `name` of the pixel's values.
 */
function eachPixel(
  output: Maps,
  tuning: Tuning,
  { load, add }: {
    readonly load: Readonly<Record<string, (place: readonly [string, string, string]) => string>>;
    readonly add: (nameOf: (name: string) => string) => string;
  },
): string {
  const rows = rowsOf(output, tuning);
  const columns = divisorUpTo(output[2], tuning.columnsAtOnce);
  return `for (var y = group.z * ${rows}u; y < min((group.z + 1u) * ${rows}u, ${output[1]}u); y++) {
  for (var x = 0u; x < ${output[2]}u; x += ${columns}u) {
    ${
    repeat(columns, (k) =>
      Object.entries(load).map(([name, valueAt]) =>
        `let ${name}${k} = ${valueAt(["channel", "y", `x + ${k}u`])};`
      ).join("\n"))
  }
    ${repeat(columns, (k) => `{ ${add((name) => `${name}${k}`)} }`)}
  }
  }`;
}

/** A kernel that makes two sums of each image and channel. */
function imageSums(
  { output }: NormOperation,
  { tuning, capacity, imageSums }: KernelContext,
  { label, code, sums, bindings }: {
    readonly label: string;
    readonly code: string;
    readonly sums: readonly [string, string];
    readonly bindings: readonly Binding[];
  },
): Kernel {
  const [channels] = output;
  const splits = splitsOf(output, tuning);
  const pitch = capacity / tuning.imagesPerInvocation;
  return imageKernel({
    label,
    main: `let channel = group.y;
  ${code}
  let place = (channel * ${splits}u + group.z) * ${pitch}u + n;
  image_sums[place] = ${sums[0]};
  image_sums[place + ${channels * splits * pitch}u] = ${sums[1]};`,
    bindings: [
      ...bindings,
      bindArray("image_sums", imageSums, "Images", "write"),
    ],
    workgroups: [channels, splits],
  }, tuning);
}

/** The batch's sum of values, of each channel. */
export function addUpValues({ operation }: Place, context: KernelContext): Kernel {
  return addUp(operation, context, { label: "batch_norm_values", first: 0, each: "sum += first;" });
}

/** The batch's squares around its own mean: each image's around the image's, and their distance. */
export function addUpDeviations({ operation }: Place, context: KernelContext): Kernel {
  return addUp(operation, context, {
    label: "batch_norm_deviations",
    first: 1,
    before: meanWgsl(operation, context),
    each: `let pixels = ${pixelsOf(operation.output, "split", context.tuning)};
      let distance = first / pixels - mean;
      sum += second + distance * distance * pixels;`,
  });
}

/** The batch's sums of gradients: those of bias and weight, too. */
export function addUpGradients({ operation }: Place, context: KernelContext): Kernel {
  const { buffer, start, bias } = context.partialsOf(operation)!;
  return addUp(operation, context, {
    label: "batch_norm_gradients",
    first: 2,
    count: 2,
    each: "sum += select(second, first, group.y == 0u);",
    after: `partials[${start}u + select(0u, ${bias}u, group.y == 0u) + group.x] = sum;`,
    bindings: [
      bindArray("partials", buffer, "f32", "write"),
    ],
  });
}

/** A kernel that adds up sums of images, a workgroup a channel, in a fixed order. Images beyond the
 * chunk's are left out; a chunk of none gives zeros. */
function addUp(
  { layer, output }: NormOperation,
  { tuning, capacity, imageSums, moments, momentsOf }: KernelContext,
  { label, first, count = 1, before = "", each, after = "", bindings = [] }: {
    readonly label: string;
    /** Which of {@linkcode MOMENTS} it makes, and how many. */
    readonly first: number;
    readonly count?: number;
    readonly before?: string;
    /** WGSL that adds the `first` and `second` sum of an image to `sum`. */
    readonly each: string;
    readonly after?: string;
    readonly bindings?: readonly Binding[];
  },
): Kernel {
  const [channels] = output;
  const splits = splitsOf(output, tuning);
  const start = momentsOf(layer) + first * channels;
  const lanes = tuning.invocations;
  return {
    label: `${label} ${layer.name}`,
    code: `
var<workgroup> lanes: array<f32, ${lanes}>;
${entryPoint(lanes)}
  let channel = group.x;
  ${before}
  var sum = 0.0;
  for (var split = 0u; split < ${splits}u; split++) {
    let place = (channel * ${splits}u + split) * ${capacity}u;
    for (var image = local.x; image < chunk.count; image += ${lanes}u) {
      let first = image_sums[place + image];
      let second = image_sums[place + image + ${channels * splits * capacity}u];
      ${each}
    }
  }
  lanes[local.x] = sum;
  workgroupBarrier();
  if (local.x != 0u) { return; }
  sum = 0.0;
  for (var lane = 0u; lane < ${lanes}u; lane++) { sum += lanes[lane]; }
  moments[${start}u + group.y * ${channels}u + channel] = sum;
  ${after}
}
`,
    bindings: [
      bindArray("image_sums", imageSums),
      bindArray("moments", moments, "f32", "write"),
      ...bindings,
    ],
    workgroups: [channels, count, 1],
    shared: { buffer: moments, start, length: count * channels },
  };
}
