/** What batch norm makes of a value and of its gradient, and of the running statistics. */

import { bindArray, type Binding, entryPoint, type Kernel, perImage } from "../kernel.ts";
import type { KernelContext } from "../layers/layer.ts";
import type { NormOperation, Operation } from "../operations.ts";

/** WGSL of `values`, the number of a channel's in the whole batch, and of their `mean`. */
export function meanWgsl(
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
  const parameters = [bind("scales", layer.weight), bind("shifts", layer.bias)];
  if (isRunning) {
    return {
      before: runningWgsl(layer, "channel"),
      bindings: [bindArray("statistics", statistics), ...parameters],
    };
  }
  const inside = perImage(tuning, (place) => `${place} < chunk.count`);
  const truth = tuning.imagesPerInvocation === 1 ? inside : `vec4<bool>(${inside})`;
  return {
    before: `${meanWgsl(operation, context)}
  let inverse = 1.0 / sqrt(moments[${start + channels}u + channel] / values + f32(${layer.eps}));
  ${scaleWgsl("channel")}`,
    bindings: [bindArray("moments", moments), ...parameters],
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
  operations: readonly Operation[],
  { statistics, moments, momentsOf }: Pick<KernelContext, "statistics" | "moments" | "momentsOf">,
): Kernel[] {
  let first = 0;
  const parts = operations.flatMap((operation) => {
    if (operation.type !== "norm" || operation.isRunning) return [];
    const { layer, output: [channels, height, width] } = operation;
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
  if (parts.length === 0) return [];
  return [{
    label: "track_statistics",
    code: `${entryPoint(64)}
  if (chunk.update == 0u) { return; }
  let i = group.x * 64u + local.x;
  ${parts.join(" else ")}
}
`,
    bindings: [
      bindArray("statistics", statistics, "f32", "write"),
      bindArray("moments", moments),
    ],
    workgroups: [Math.ceil(first / 64), 1, 1],
  }];
}
