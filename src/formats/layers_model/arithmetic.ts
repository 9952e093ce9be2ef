/** The layers of Keras that multiply and add: dense ones, batch norms, and what is done to pixels. */

import type { BatchNormLayer, LinearLayer } from "../../nn/sequential.ts";
import { addBatchNorm, addLinear, scaleOutputs } from "../arithmetic.ts";
import { permuted } from "../tensors.ts";
import {
  biasOf,
  type KerasClass,
  kernelAndBias,
  requireChannels,
  weighted,
  type Written,
  ZEROS,
} from "./classes.ts";

const ONES = { class_name: "Ones", config: {} };

/** See {@linkcode addLinear}. */
export const DENSE: Written<LinearLayer> = {
  className: "Dense",
  activates: true,
  read(node) {
    const { name, network, attributes, take } = node;
    const weight = permuted(take("kernel", 2), [1, 0]);
    attributes.require("units", weight.shape[0]);
    addLinear(network, { name, weight, bias: biasOf(node) });
  },
  write: ({ outputShape: [units], ...layer }) => (
    { config: { units, ...weighted(layer) }, weights: kernelAndBias([1, 0]) }
  ),
};

/** See {@linkcode addBatchNorm}. */
export const BATCH_NORM: Written<BatchNormLayer> = {
  className: "BatchNormalization",
  read({ name, network, attributes, take }) {
    requireChannels(network, attributes.value("axis") ?? -1);
    const epsilon = attributes.number("epsilon", 1e-3);
    const part = (name: string) => take(name, 1).data;
    const gamma = attributes.flag("scale", true) ? part("gamma") : undefined;
    const beta = attributes.flag("center", true) ? part("beta") : undefined;
    const [mean, variance] = [part("moving_mean"), part("moving_variance")];
    attributes.require("renorm", false);
    attributes.ignore("synchronized", "fused", "renorm_clipping", "renorm_momentum");
    const momentum = 1 - attributes.number("momentum", 0.99);
    addBatchNorm(network, name, { gamma, beta, mean, variance, epsilon, momentum });
  },
  write: ({ momentum, eps }) => ({
    config: {
      ...{ axis: -1, momentum: 1 - momentum, epsilon: eps, center: true, scale: true },
      ...{ beta_initializer: ZEROS, beta_regularizer: null, beta_constraint: null },
      ...{ gamma_initializer: ONES, gamma_regularizer: null, gamma_constraint: null },
      ...{ moving_mean_initializer: ZEROS, moving_variance_initializer: ONES },
    },
    weights: ([gamma, beta, moving_mean, moving_variance]) => (
      { gamma, beta, moving_mean, moving_variance }
    ),
  }),
};

/** A factor and what is added, given as attributes. */
export const RESCALING: KerasClass = {
  read({ network, attributes }) {
    const [scale, offset] = (["scale", "offset"] as const).map((key) => {
      const numbers = [attributes.value(key) ?? (key === "offset" ? 0 : undefined)].flat();
      if (numbers.length > 0 && numbers.every((value) => typeof value === "number")) return numbers;
      throw new TypeError(`its ${key} must be a number, or one for each channel`);
    });
    if (scale.length + offset.length > 2) requireChannels(network, -1);
    scaleOutputs(network, scale, offset);
  },
};

/** (x - mean) / sqrt(variance), as measured on the training set or as given. */
export const NORMALIZATION: KerasClass = {
  read({ network, attributes, take }) {
    attributes.require("invert", false);
    const [mean, variance] = ["mean", "variance"].map((key) => {
      const given = attributes.value(key);
      const found = take(key)?.data ?? (given === undefined ? [] : [given].flat(Infinity));
      const values = Array.from(found, Number);
      if (values.length > 0 && values.every(Number.isFinite)) return values;
      throw new TypeError(`its ${key} must be numbers, in the file's weights or attributes`);
    });
    take("count");
    const axis = attributes.value("axis");
    if (mean.length > 1) requireChannels(network, axis);
    const scale = variance.map((value) => 1 / Math.max(Math.sqrt(value), 1e-7));
    scaleOutputs(network, scale, mean.map((value, n) => -value * (scale[n] ?? scale[0])));
  },
};
