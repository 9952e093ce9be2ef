/** Models as TensorFlow.js LayersModels: built, filled with parameters, and read back. */

import * as tf from "@tensorflow/tfjs";
import type { Conv2dLayer, Layer, Model, Parameter } from "../nn/sequential.ts";
import { isNormalized } from "../nn/standardization.ts";
import { describeModel, DESCRIPTION_KEY, type TrainedModel } from "./trained_model.ts";

type TfLayer = tf.layers.Layer;

/** Builds the LayersModel that computes what `model` computes, with zero parameters.
 *
 * Its input is pixels in [0, 1], channels last, [batchSize, height, width, channels]; a rescaling
 * layer standardizes them where the model says so. Flattening permutes back to channels
 * first, so that linear weights need no more than a transpose. Belongs to the active TensorFlow.js
 * backend; the caller disposes it.
 */
export function buildLayersModel(model: Model): tf.Sequential {
  const [channels, height, width] = model.inputShape;
  const network = tf.sequential({ name: model.name });
  network.add(tf.layers.inputLayer({ inputShape: [height, width, channels] }));
  if (!isNormalized(model.standardization)) {
    const { mean, std } = model.standardization;
    network.add(
      tf.layers.rescaling({ name: "standardization", scale: 1 / std, offset: -mean / std }),
    );
  }
  for (const layer of model.layers) {
    for (const tfLayer of toLayers(layer)) network.add(tfLayer);
  }
  return network;
}

/** Sets the parameters of a built model from a flat vector. */
export function setParameters(network: tf.Sequential, model: Model, values: Float32Array): void {
  tf.tidy(() =>
    network.setWeights(
      model.parameters.map((parameter) => {
        const { shape, offset, size } = parameter;
        const canonical = tf.tensor(values.subarray(offset, offset + size), [...shape]);
        return canonical.transpose(toLast(parameter));
      }),
    )
  );
}

/** Reads tensors laid out as a built model's weights into a flat vector. */
export async function readFlat(
  model: Model,
  tensors: readonly tf.Tensor[],
): Promise<Float32Array<ArrayBuffer>> {
  const values = new Float32Array(model.parameterCount);
  for (const [index, parameter] of model.parameters.entries()) {
    const canonical = tf.tidy(() => tensors[index].transpose(toFirst(parameter)));
    values.set(await canonical.data<"float32">(), parameter.offset);
    canonical.dispose();
  }
  return values;
}

/** Writes a flat vector as tensors laid out as a built model's weights. */
export function writeFlat(model: Model, values: Float32Array): tf.Tensor[] {
  return model.parameters.map((parameter) =>
    tf.tidy(() => {
      const { shape, offset, size } = parameter;
      return tf.tensor(values.subarray(offset, offset + size), [...shape])
        .transpose(toLast(parameter));
    })
  );
}

/** A LayersModel as the two files that `tf.loadLayersModel` reads. */
export interface LayersModelFiles {
  /** Content of `model.json`, which names `weights.bin`. */
  readonly modelJson: string;
  /** Content of `weights.bin`. */
  readonly weights: Uint8Array<ArrayBuffer>;
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
export async function encodeLayersModel(trained: TrainedModel): Promise<LayersModelFiles> {
  await useCpu();
  const { model, parameters } = trained;
  const network = buildLayersModel(model);
  setParameters(network, model, parameters);
  const userDefinedMetadata = { [DESCRIPTION_KEY]: describeModel(trained) };
  let files: LayersModelFiles | undefined;
  await network.save(tf.io.withSaveHandler((artifacts) => {
    const { modelTopology, weightSpecs, weightData, format, generatedBy } = artifacts;
    const weightsManifest = [{ paths: ["weights.bin"], weights: weightSpecs }];
    const content = { modelTopology, format, generatedBy, weightsManifest, userDefinedMetadata };
    files = {
      modelJson: JSON.stringify(content),
      weights: new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)),
    };
    const modelArtifactsInfo = { dateSaved: new Date(), modelTopologyType: "JSON" as const };
    return Promise.resolve({ modelArtifactsInfo });
  }));
  network.dispose();
  return files!;
}

/** Makes the plain JavaScript backend the active one, without the banner it greets Node users with. */
export async function useCpu(): Promise<void> {
  const backend = tf.findBackend("cpu") as unknown as { firstUse: boolean };
  backend.firstUse = false;
  await tf.setBackend("cpu");
}

/** Axes that bring OIHW to HWIO, and [out, in] to [in, out]. */
function toLast({ shape }: Parameter): number[] {
  return shape.length === 4 ? [2, 3, 1, 0] : shape.length === 2 ? [1, 0] : [0];
}

function toFirst({ shape }: Parameter): number[] {
  return shape.length === 4 ? [3, 2, 0, 1] : shape.length === 2 ? [1, 0] : [0];
}

function toLayers(layer: Layer): TfLayer[] {
  const name = safeName(layer.name);
  switch (layer.type) {
    case "conv2d":
      return convolution(layer, name);
    case "avgPool2d":
    case "maxPool2d": {
      const { poolSize, stride } = layer;
      const options = { name, poolSize: mutable(poolSize), strides: mutable(stride) };
      return [
        layer.type === "avgPool2d"
          ? tf.layers.averagePooling2d(options)
          : tf.layers.maxPooling2d(options),
      ];
    }
    case "flatten":
      // Its Flatten takes no vectors.
      return layer.inputShape.length === 1
        ? [tf.layers.reshape({ name, targetShape: [...layer.outputShape] })]
        : [
          tf.layers.permute({ name: `${name}_channels_first`, dims: [3, 1, 2] }),
          tf.layers.flatten({ name }),
        ];
    case "linear":
      return [
        tf.layers.dense({
          name,
          units: layer.outputShape[0],
          kernelInitializer: "zeros",
          biasInitializer: "zeros",
        }),
      ];
    case "residual":
      throw new TypeError(
        `Cannot write residual "${layer.name}" as a LayersModel: use safetensors`,
      );
    default:
      return [tf.layers.activation({ name, activation: layer.type })];
  }
}

/** TensorFlow.js layers pad by 'same' or 'valid' only: other paddings become a layer of their own. */
function convolution(layer: Conv2dLayer, name: string): TfLayer[] {
  const { kernelSize, stride, padding } = layer;
  const same = [0, 1].every((axis) =>
    stride[axis] === 1 && kernelSize[axis] === 2 * padding[axis] + 1
  );
  const layers: TfLayer[] = [];
  if (!same && padding.some((size) => size > 0)) {
    const [vertical, horizontal] = padding;
    layers.push(
      tf.layers.zeroPadding2d({
        name: `${name}_padding`,
        padding: [[vertical, vertical], [horizontal, horizontal]],
      }),
    );
  }
  layers.push(
    tf.layers.conv2d({
      name,
      filters: layer.outputShape[0],
      kernelSize: mutable(kernelSize),
      strides: mutable(stride),
      padding: same ? "same" : "valid",
      kernelInitializer: "zeros",
      biasInitializer: "zeros",
    }),
  );
  return layers;
}

function mutable([height, width]: readonly [number, number]): [number, number] {
  return [height, width];
}

/** Unnamed layers are called by their index, and a name may not start with a digit. */
function safeName(name: string): string {
  return /^\d/.test(name) ? `layer${name}` : name;
}
