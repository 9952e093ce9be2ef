/** Models as TensorFlow.js LayersModels: JSON and bytes, written without TensorFlow.js. */

import type { Conv2dLayer, Layer, Model } from "../nn/sequential.ts";
import { isNormalized } from "../nn/standardization.ts";
import { describeModel, DESCRIPTION_KEY, type TrainedModel } from "./trained_model.ts";

/** A LayersModel as the two files that `tf.loadLayersModel` reads. */
export interface LayersModelFiles {
  /** Content of `model.json`, which names `weights.bin`. */
  readonly modelJson: string;
  /** Content of `weights.bin`. */
  readonly weights: Uint8Array<ArrayBuffer>;
}

/** A layer as `model.json` holds it. */
interface LayerJson {
  readonly class_name: string;
  readonly config: { readonly name: string; readonly [key: string]: unknown };
}

/** Encodes a model as TensorFlow.js files; input [batch, height, width, channels], pixel / 255.
 *
 * `getUserDefinedMetadata()` of the loaded model gives the layers and the class names, as JSON under
 * `lenet`.
 *
 * @example Two files for TensorFlow.js
 * ```ts
 * import { initialParameters } from "../nn/init.ts";
 * import { lenet } from "../nn/zoo.ts";
 * import { encodeLayersModel } from "./layers_model.ts";
 *
 * const model = lenet();
 * const parameters = initialParameters(model, 0);
 * const { modelJson, weights } = await encodeLayersModel({ model, parameters });
 * console.log(JSON.parse(modelJson).format, weights.length); // layers-model 246824
 * ```
 */
export function encodeLayersModel(trained: TrainedModel): Promise<LayersModelFiles> {
  const { model, parameters } = trained;
  const view = new DataView(new ArrayBuffer(model.parameterCount * FLOAT_BYTES));
  const weights = model.layers.flatMap((layer) => "weight" in layer ? [layer] : [])
    .flatMap(({ name, weight, bias }) =>
      [weight, bias].map(({ kind, shape, offset, size }) => {
        const [outputs, inputs, ...kernel] = shape;
        const values = parameters.subarray(offset, offset + size);
        const swapped = kind === "bias" ? values : swapAxes(values, outputs, inputs);
        swapped.forEach((value, n) => view.setFloat32((offset + n) * FLOAT_BYTES, value, true));
        return {
          name: `${safeName(name)}/${kind === "bias" ? "bias" : "kernel"}`,
          shape: kind === "bias" ? shape : [...kernel, inputs, outputs],
          dtype: "float32",
        };
      })
    );
  const content = {
    modelTopology: {
      ...layersTopology(model),
      keras_version: "tfjs-layers 4.22.0",
      backend: "tensor_flow.js",
    },
    format: "layers-model",
    generatedBy: "lenet",
    weightsManifest: [{ paths: ["weights.bin"], weights }],
    userDefinedMetadata: { [DESCRIPTION_KEY]: describeModel(trained) },
  };
  const modelJson = JSON.stringify(content);
  return Promise.resolve({ modelJson, weights: new Uint8Array(view.buffer) });
}

const FLOAT_BYTES = 4;

/** Reverses the order of [first, second, rest]: [out, in, taps] becomes [taps, in, out], and back. */
export function swapAxes(data: Float32Array, first: number, second: number): Float32Array {
  const rest = data.length / (first * second);
  const swapped = new Float32Array(data.length);
  let from = 0;
  for (let a = 0; a < first; a++) {
    for (let b = 0; b < second; b++) {
      for (let c = 0; c < rest; c++) swapped[(c * second + b) * first + a] = data[from++];
    }
  }
  return swapped;
}

/** The layers that compute what `model` computes, as JSON in Keras's terms.
 *
 * Its input is pixels in [0, 1], channels last, [batchSize, height, width, channels]; a rescaling
 * layer standardizes them where the model says so. Flattening permutes back to channels
 * first, so that linear weights need no more than a transpose.
 */
export function layersTopology(model: Model): { class_name: string; config: unknown } {
  const [channels, height, width] = model.inputShape;
  const taken = new Set(model.layers.map(({ name }) => safeName(name)));
  /** A layer that the model has no name for. */
  const extra = (class_name: string, name: string, config: object): LayerJson => {
    while (taken.has(name)) name += "_";
    taken.add(name);
    return { class_name, config: { ...config, name } };
  };
  const input = { batch_input_shape: [null, height, width, channels], dtype: "float32" };
  const layers = [extra("InputLayer", "input", { ...input, sparse: false })];
  if (!isNormalized(model.standardization)) {
    const { mean, std } = model.standardization;
    layers.push(extra("Rescaling", "standardization", { scale: 1 / std, offset: -mean / std }));
  }
  for (const layer of model.layers) {
    const name = safeName(layer.name);
    const { before, class_name, config } = toLayer(layer);
    if (before) layers.push(extra(before.class_name, `${name}_${before.suffix}`, before.config));
    layers.push({ class_name, config: { ...config, name } });
  }
  for (const { class_name, config } of layers) {
    if (class_name !== "InputLayer") Object.assign(config, { trainable: true });
  }
  return { class_name: "Sequential", config: { name: model.name, layers } };
}

interface Written {
  /** A layer that must come first. */
  readonly before?: {
    readonly class_name: string;
    readonly suffix: string;
    readonly config: object;
  };
  readonly class_name: string;
  readonly config: object;
}

const CHANNELS_LAST = { data_format: "channels_last" };
const ZEROS = { class_name: "Zeros", config: {} };

/** What Conv2D and Dense have alike. */
const WEIGHTED = {
  ...{ kernel_initializer: ZEROS, kernel_regularizer: null, kernel_constraint: null },
  ...{ use_bias: true, bias_initializer: ZEROS, bias_regularizer: null, bias_constraint: null },
  ...{ activity_regularizer: null, activation: "linear" },
};

function toLayer(layer: Layer): Written {
  switch (layer.type) {
    case "conv2d":
      return convolution(layer);
    case "avgPool2d":
    case "maxPool2d": {
      const class_name = layer.type === "avgPool2d" ? "AveragePooling2D" : "MaxPooling2D";
      const { poolSize: pool_size, stride: strides } = layer;
      return { class_name, config: { pool_size, padding: "valid", strides, ...CHANNELS_LAST } };
    }
    case "flatten":
      // Its Flatten takes no vectors.
      return layer.inputShape.length === 1
        ? { class_name: "Reshape", config: { target_shape: layer.outputShape } }
        : {
          before: { class_name: "Permute", suffix: "channels_first", config: { dims: [3, 1, 2] } },
          ...{ class_name: "Flatten", config: {} },
        };
    case "linear":
      return { class_name: "Dense", config: { units: layer.outputShape[0], ...WEIGHTED } };
    case "residual":
      throw new TypeError(
        `Cannot write residual "${layer.name}" as a LayersModel: use safetensors`,
      );
    default:
      return { class_name: "Activation", config: { activation: layer.type } };
  }
}

/** Keras pads by 'same' or 'valid' only: other paddings become a layer of their own. */
function convolution({ outputShape, kernelSize, stride, padding }: Conv2dLayer): Written {
  const same = [0, 1].every((axis) =>
    stride[axis] === 1 && kernelSize[axis] === 2 * padding[axis] + 1
  );
  const config = {
    ...{ filters: outputShape[0], kernel_size: kernelSize, strides: stride, ...CHANNELS_LAST },
    ...{ padding: same ? "same" : "valid", dilation_rate: [1, 1], ...WEIGHTED },
  };
  if (same || padding.every((size) => size === 0)) return { class_name: "Conv2D", config };
  const zeros = { padding: padding.map((size) => [size, size]), ...CHANNELS_LAST };
  const before = { class_name: "ZeroPadding2D", suffix: "padding", config: zeros };
  return { before, class_name: "Conv2D", config };
}

/** Unnamed layers are called by their index, and a name may not start with a digit. */
function safeName(name: string): string {
  return /^\d/.test(name) ? `layer${name}` : name;
}
