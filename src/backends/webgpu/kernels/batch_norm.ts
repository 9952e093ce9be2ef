/** What batch norm must know of a whole batch: sums over images and pixels, channel by channel. */

import {
  A_GROUP,
  type Binding,
  bindTensor,
  entryPoint,
  imagesWgsl,
  type Kernel,
  perImage,
} from "../kernel.ts";
import type { KernelContext } from "../layers/layer.ts";
import type { NormOperation } from "../operations.ts";
import type { Placed } from "../placement.ts";
import { indexOf } from "../tensors.ts";

/** Sums of a channel that a batch norm keeps, each a vector of all channels. */
export const MOMENTS = ["values", "deviations", "gradients", "normalizedGradients"] as const;

/** Most pixels that an invocation adds up, since loops must end. */
const MOST_PIXELS = 1024;

type Place = Placed<NormOperation>;

/** Length of {@linkcode KernelContext.imageSums} for a batch norm, in floats. */
export function imageSumsLength({ output }: NormOperation, capacity: number): number {
  return 2 * output[0] * splitsOf(output) * capacity;
}

/** Rows that an invocation adds up; the last may have fewer. */
function rowsOf([, height, width]: NormOperation["output"]): number {
  return Math.ceil(height / Math.min(height, Math.ceil(height * width / MOST_PIXELS)));
}

/** How many parts of its rows a channel is added up in. */
function splitsOf(output: NormOperation["output"]): number {
  return Math.ceil(output[1] / rowsOf(output));
}

/** WGSL of the pixels of a part. */
function pixelsOf(output: NormOperation["output"], split: string): string {
  const rows = rowsOf(output);
  return `f32(min(${rows}u, ${output[1]}u - ${split} * ${rows}u) * ${output[2]}u)`;
}

/** Of each image and channel the sum of values, and of squares around their own mean: no difference of
 * large numbers is taken, whatever the mean. */
export function moments({ operation, inputs: [input] }: Place, context: KernelContext): Kernel {
  const { layer, output } = operation;
  return imageSums(operation, context, {
    label: `batch_norm_moments ${layer.name}`,
    code: `
  var sum = Images(0.0);
  ${eachPixel(output, `sum += input[${indexOf(input, PIXEL)}];`)}
  let mean = sum / ${pixelsOf(output, "group.z")};
  var squares = Images(0.0);
  ${
      eachPixel(
        output,
        `let deviation = input[${indexOf(input, PIXEL)}] - mean;
    squares += deviation * deviation;`,
      )
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
      eachPixel(
        output,
        `let g = grad_output[${indexOf(gradient, PIXEL)}];
    sum += g;
    normalized += g * (input[${indexOf(input, PIXEL)}] - mean);`,
      )
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

const PIXEL = ["channel", "y", "x"] as const;

function eachPixel(output: NormOperation["output"], code: string): string {
  const rows = rowsOf(output);
  return `for (var y = group.z * ${rows}u; y < min((group.z + 1u) * ${rows}u, ${output[1]}u); y++) {
  for (var x = 0u; x < ${output[2]}u; x++) {
    ${code}
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
  const splits = splitsOf(output);
  const pitch = capacity / tuning.imagesPerInvocation;
  return {
    label,
    code: `${imagesWgsl(tuning)}
${entryPoint(tuning)}
  let channel = group.y;
  ${code}
  let place = (channel * ${splits}u + group.z) * ${pitch}u + n;
  image_sums[place] = ${sums[0]};
  image_sums[place + ${channels * splits * pitch}u] = ${sums[1]};
}
`,
    bindings: [
      ...bindings,
      { name: "image_sums", type: "array<Images>", access: "write", buffer: imageSums },
    ],
    workgroups: [A_GROUP, channels, splits],
  };
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
    each: `let pixels = ${pixelsOf(operation.output, "split")};
      let distance = first / pixels - mean;
      sum += second + distance * distance * pixels;`,
  });
}

/** The batch's sums of gradients: those of bias and weight, too. */
export function addUpGradients({ operation }: Place, context: KernelContext): Kernel {
  const { buffer, start, bias } = context.partialsOf(operation);
  return addUp(operation, context, {
    label: "batch_norm_gradients",
    first: 2,
    count: 2,
    each: "sum += select(second, first, group.y == 0u);",
    after: `partials[${start}u + select(0u, ${bias}u, group.y == 0u) + group.x] = sum;`,
    bindings: [
      { name: "partials", type: "array<f32>", access: "write", buffer: context.partials[buffer] },
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
  const splits = splitsOf(output);
  const start = momentsOf(layer) + first * channels;
  const lanes = tuning.invocations;
  return {
    label: `${label} ${layer.name}`,
    code: `
var<workgroup> lanes: array<f32, ${lanes}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
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
      { name: "image_sums", type: "array<f32>", access: "read", buffer: imageSums },
      { name: "moments", type: "array<f32>", access: "write", buffer: moments },
      ...bindings,
    ],
    workgroups: [channels, count, 1],
    shared: { buffer: moments, start, length: count * channels },
  };
}

/** WGSL of `values`, the number of a channel's in the whole batch, and of their `mean`. */
function meanWgsl(
  { layer, output: [, height, width] }: NormOperation,
  { momentsOf }: KernelContext,
): string {
  return `let values = f32(chunk.whole_count) * ${height * width}.0;
  let mean = moments[${momentsOf(layer)}u + channel] / values;`;
}

/** WGSL of what a channel is normalised by: `mean`, `inverse` of the deviation, `scale` and `shift`; and,
 * unless that is of running statistics, of what the input's gradient is. */
export function batchNormWgsl(operation: NormOperation, context: KernelContext): {
  readonly before: string;
  readonly bindings: readonly Binding[];
  readonly common?: { readonly before: string; readonly value: string };
} {
  const { layer, isRunning, output: [channels] } = operation;
  const { tuning, statistics, moments, momentsOf, bind } = context;
  const start = momentsOf(layer);
  const numbers = (name: string, buffer: GPUBuffer): Binding => (
    { name, type: "array<f32>", access: "read", buffer }
  );
  const parameters = [bind("scales", layer.weight), bind("shifts", layer.bias)];
  if (isRunning) {
    return {
      before: runningWgsl(layer, "channel"),
      bindings: [numbers("statistics", statistics), ...parameters],
    };
  }
  const inside = perImage(tuning, (place) => `${place} < chunk.count`);
  const truth = tuning.imagesPerInvocation === 1 ? inside : `vec4<bool>(${inside})`;
  return {
    before: `${meanWgsl(operation, context)}
  let inverse = 1.0 / sqrt(moments[${start + channels}u + channel] / values + f32(${layer.eps}));
  ${scaleWgsl("channel")}`,
    bindings: [numbers("moments", moments), ...parameters],
    common: {
      // Images beyond the chunk's must add nothing to any gradient.
      before: `
  let inside = ${truth};
  let offset = moments[${start + 2 * channels}u + channel] / values;
  let slope = moments[${start + 3 * channels}u + channel] * inverse / values;`,
      value: "select(Images(0.0), (g - offset - (x0 - mean) * slope) * scale, inside)",
    },
  };
}

/** WGSL of `mean`, `inverse` of the deviation, `scale` and `shift`, by running statistics. */
export function runningWgsl(
  { runningMean, runningVar, eps }: NormOperation["layer"],
  channel: string,
): string {
  return `let mean = statistics[${runningMean.offset}u + ${channel}];
  let inverse = 1.0 / sqrt(statistics[${runningVar.offset}u + ${channel}] + f32(${eps}));
  ${scaleWgsl(channel)}`;
}

function scaleWgsl(channel: string): string {
  return `let scale = scales[${channel} / 4u][${channel} % 4u] * inverse;
  let shift = shifts[${channel} / 4u][${channel} % 4u];`;
}

/** Moves the running statistics of all batch norms towards a batch's, where parameters are updated. */
export function trackStatistics(
  operations: readonly NormOperation[],
  { statistics, moments, momentsOf }: Pick<KernelContext, "statistics" | "moments" | "momentsOf">,
): Kernel {
  let first = 0;
  const parts = operations.map(({ layer, output: [channels, height, width] }) => {
    const { momentum, runningMean, runningVar, batchesTracked } = layer;
    const start = momentsOf(layer);
    const place = `(i - ${first}u)`;
    first += channels;
    return `if (i < ${first}u) {
    let values = f32(chunk.whole_count) * ${height * width}.0;
    let channel = ${place};
    let mean = moments[${start}u + channel] / values;
    let variance = moments[${start + channels}u + channel] / (values - 1.0);
    let to_mean = ${runningMean.offset}u + channel;
    let to_variance = ${runningVar.offset}u + channel;
    statistics[to_mean] += f32(${momentum}) * (mean - statistics[to_mean]);
    statistics[to_variance] += f32(${momentum}) * (variance - statistics[to_variance]);
    if (channel == 0u) { statistics[${batchesTracked.offset}u] += 1.0; }
  }`;
  });
  return {
    label: "track_statistics",
    code: `
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
  if (chunk.update == 0u) { return; }
  let i = group.x * 64u + local.x;
  ${parts.join(" else ")}
}
`,
    bindings: [
      { name: "statistics", type: "array<f32>", access: "write", buffer: statistics },
      { name: "moments", type: "array<f32>", access: "read", buffer: moments },
    ],
    workgroups: [Math.ceil(first / 64), 1, 1],
  };
}
