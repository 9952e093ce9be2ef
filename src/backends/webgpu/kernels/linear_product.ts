/** A linear layer's outputs, or its inputs' gradients, as a product of tiles in workgroup memory. */

import {
  type Binding,
  bindTensor,
  entryPoint,
  imagesWgsl,
  type Kernel,
  repeat,
} from "../kernel.ts";
import { type ConvolveOperation, macsOf } from "../operations.ts";
import { type DeviceTensor, indexOf, roundUp } from "../tensors.ts";
import type { Tuning } from "../tuning.ts";
import { activate } from "./activation.ts";
import { runningWgsl } from "./batch_norm.ts";
import type { InputGradientBuffers } from "./conv2d_input_gradient.ts";
import type { ForwardBuffers } from "./conv2d_pool_forward.ts";
import { storeGradient } from "./store_gradient.ts";

/** Images and rows of a workgroup's tile of the product, an invocation each. */
const SIDE = 8;
const INVOCATIONS = SIDE ** 2;
/** Factors of each of its sums that are in workgroup memory at once; 256 of either operand. */
const DEPTH = 32;

/** Equals the reference's `linearForward` and `activationForward`. */
export function linearForward(
  operation: ConvolveOperation,
  { input, output, parameters }: ForwardBuffers,
  tuning: Tuning,
): Kernel {
  const { layer, norm, activation, input: [inFeatures], maps: [outFeatures] } = operation;
  const columns = roundUp(outFeatures, 4) / 4;
  const [vectors, row] = [SIDE / 4, "first + local.x / 2u"];
  return product(operation, tuning, {
    label: `linear_forward ${layer.name}`,
    source: input,
    depth: inFeatures,
    rows: outFeatures,
    // A row of weights has all outputs of an input.
    weight:
      `select(vec4f(), weights[(${row}) * ${columns}u + group.y * ${vectors}u + local.x % 2u], ` +
      `${row} < ${inFeatures}u)`,
    placeOf: (k) => `local.x / 2u * ${SIDE}u + local.x % 2u * 4u + ${k}u`,
    store: `sum += ${layer.bias ? "biases[row / 4u][row % 4u]" : "0.0"};
    ${norm ? `${runningWgsl(norm, "row")} sum = (sum - mean) * scale + shift;` : ""}
    output[${indexOf(output, ["row", "0u", "0u"])}] = ${activate(activation, "sum")};`,
    bindings: [...parameters, bindTensor("output", output, "write")],
  });
}

/** Equals the reference's `linearBackward`, its return value. */
export function linearInputGradient(
  operation: ConvolveOperation,
  { gradMaps, weights, target }: InputGradientBuffers,
  tuning: Tuning,
): Kernel {
  const { layer, input: [inFeatures], maps: [outFeatures] } = operation;
  const columns = roundUp(outFeatures, 4) / 4;
  const [vectors, column] = [DEPTH / 4, `first / 4u + local.x % ${DEPTH / 4}u`];
  const { code, bindings, call } = storeGradient(target, { isVector: true });
  return product(operation, tuning, {
    label: `linear_input_gradient ${layer.name}`,
    source: gradMaps,
    depth: 4 * columns,
    rows: inFeatures,
    weight:
      `select(vec4f(), weights[(group.y * ${SIDE}u + local.x / ${vectors}u) * ${columns}u + ` +
      `${column}], ${column} < ${columns}u)`,
    placeOf: (k) => `(local.x % ${vectors}u * 4u + ${k}u) * ${SIDE}u + local.x / ${vectors}u`,
    functions: code,
    store: call({ channel: "row", gradient: "sum" }),
    bindings: [weights, ...bindings],
  });
}

/** A workgroup takes a tile of images and rows of the result, an invocation one of each. Together they
 * bring both operands of some factors to workgroup memory, while those before are multiplied.
 */
function product(
  operation: ConvolveOperation,
  tuning: Tuning,
  { label, source, depth, rows, weight, placeOf, functions = "", store, bindings }: {
    readonly label: string;
    /** The operand that is images side by side, [depth][images]. */
    readonly source: DeviceTensor;
    readonly depth: number;
    /** Rows of the result. */
    readonly rows: number;
    /** WGSL of the four weights that an invocation brings, zero beyond the depth, from `first`. */
    readonly weight: string;
    /** WGSL for the place of one of them among the [factors][rows] of a tile. */
    readonly placeOf: (k: number) => string;
    readonly functions?: string;
    /** WGSL that stores `sum`, for `row`. */
    readonly store: string;
    readonly bindings: readonly Binding[];
  },
): Kernel {
  const loads = DEPTH * SIDE / INVOCATIONS;
  const load = `${
    repeat(loads, (k) => {
      const factor = `first + place.y + ${k * SIDE}u`;
      const value = `source[${indexOf(source, [factor, "0u", "0u"])}]`;
      return `x${k} = select(0.0, ${value}, ${factor} < ${depth}u);`;
    })
  }
  w = ${weight};`;
  return {
    label,
    code: `${imagesWgsl(tuning)}
${functions}
var<workgroup> values: array<f32, ${DEPTH * SIDE}>;
var<workgroup> weight_tile: array<f32, ${DEPTH * SIDE}>;
${entryPoint(INVOCATIONS)}
  let place = vec2u(local.x % ${SIDE}u, local.x / ${SIDE}u);
  let n = group.x * ${SIDE}u + place.x;
  let row = group.y * ${SIDE}u + place.y;
  ${repeat(loads, (k) => `var x${k}: f32;`)}
  var w: vec4f;
  var sum = 0.0;
  var first = 0u;
  ${load}
  while (first < ${depth}u) {
    workgroupBarrier();
    ${repeat(loads, (k) => `values[(place.y + ${k * SIDE}u) * ${SIDE}u + place.x] = x${k};`)}
    ${repeat(4, (k) => `weight_tile[${placeOf(k)}] = w[${k}];`)}
    workgroupBarrier();
    first += ${DEPTH}u;
    ${load}
    ${
      repeat(
        DEPTH,
        (k) => `sum += weight_tile[${k * SIDE}u + place.y] * values[${k * SIDE}u + place.x];`,
      )
    }
  }
  if (row < ${rows}u) {
    ${store}
  }
}
`,
    bindings: [bindTensor("source", source, "read"), ...bindings],
    macs: macsOf(operation),
    workgroups: [{ perGroup: tuning.invocations / SIDE }, Math.ceil(rows / SIDE), 1],
  };
}
