/** The layers of a network that is put together, each with its numbers. */

import { definitionOf, type LayerSpec } from "../nn/layers/table.ts";
import { showShape, type Tensor as Placed } from "../nn/layers/layer.ts";
import { quote } from "../quote.ts";

/** A layer, or a residual block of several, with its parameters in the model's order. */
export interface Step {
  readonly spec: LayerSpec;
  readonly tensors: readonly Float32Array[];
  /** Running statistics, likewise. */
  readonly statistics: readonly Float32Array[];
  /** Layers in it. */
  readonly size: number;
}

/** Layers of a value; more than any model may have. */
const MAX_STEPS = 4_000;

/** Whether a layer ends in weights or factors for each channel or feature, which can be multiplied. */
export function isScalable({ spec }: Step): boolean {
  const { effect } = definitionOf(spec);
  return effect === "multiplies" || effect === "scales";
}

/** Whether of a pixel that is multiplied and added to before it, it makes what it would after it: zeros
 * around an average would stay as they are. */
export function keepsPixels({ spec }: Step): boolean {
  const { effect } = definitionOf(spec);
  return effect === "picks" || effect === "averages" && !("padding" in spec);
}

/** A layer whose outputs are multiplied, and added to: one number of each for a channel or feature. */
export function scaledStep(
  step: Step,
  scales: Float64Array,
  offsets: Float64Array,
): Step {
  const [weight, bias = new Float32Array(scales.length)] = step.tensors;
  const inputs = weight.length / scales.length;
  const scaled = [
    weight.map((value, n) => value * scales[Math.floor(n / inputs)] + 0), // of -0 makes 0
    bias.map((value, n) => value * scales[n] + offsets[n]),
  ];
  // Zeros that are added are a bias, as a file may hold it before training.
  const isWithout = step.tensors.length === 1 && scaled[1].every((value) => value === 0) &&
    scales.some((value) => value !== 1);
  if (isWithout) return { ...step, tensors: scaled.slice(0, 1) };
  const { bias: _, ...spec } = step.spec as LayerSpec & { readonly bias?: boolean };
  return { ...step, spec: spec as LayerSpec, tensors: scaled };
}

/** A residual block of two ways, of which the second may have no layers. */
export function blockOf(body: readonly Step[], shortcut: readonly Step[]): Step {
  const all = [...body, ...shortcut];
  const size = all.reduce((sum, step) => sum + step.size, 1);
  if (size > MAX_STEPS) throw new TypeError(`it would need more than ${MAX_STEPS} layers`);
  const [specs, around] = [body, shortcut].map((way) => way.map(({ spec }) => spec));
  return {
    spec: { type: "residual", body: specs, ...(around.length > 0 && { shortcut: around }) },
    tensors: all.flatMap(({ tensors }) => tensors),
    statistics: all.flatMap(({ statistics }) => statistics),
    size,
  };
}

/** The layers that stand in a model several times, since several others read them. */
export function copiedIn(specs: readonly LayerSpec[]): LayerSpec[] {
  const seen = new Set<LayerSpec>();
  const visit = (spec: LayerSpec): LayerSpec[] => {
    if ("body" in spec) return [...spec.body, ...spec.shortcut ?? []].flatMap(visit);
    if (seen.has(spec)) return [spec];
    seen.add(spec);
    return [];
  };
  return specs.flatMap(visit);
}

/** Tensors in a row, each checked to be as long as its place. */
export function flat(
  layout: readonly Placed[],
  tensors: readonly Float32Array[],
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(layout.reduce((sum, { size }) => sum + size, 0));
  layout.forEach(({ name, shape, offset, size }, index) => {
    const { length } = tensors[index];
    if (length !== size) {
      throw new TypeError(`${quote(name)} must be ${showShape(shape)}, found ${length} numbers`);
    }
    values.set(tensors[index], offset);
  });
  return values;
}
