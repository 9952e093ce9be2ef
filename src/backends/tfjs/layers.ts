/** A model as TensorFlow.js operations, channels last: one entry a kind of layer. */

import * as tf from "@tensorflow/tfjs";
import { writeFlat } from "../../formats/layers_model.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import { IMAGE, type Layer, type LayerKind, type Model } from "../../nn/sequential.ts";
import { isNormalized } from "../../nn/standardization.ts";

/** A kind of layer in operations whose gradients TensorFlow.js knows. */
interface LayerOperations<Kind extends Layer> {
  /** Computes the output from what the layer reads and its own parameters. */
  apply(layer: Kind, inputs: readonly tf.Tensor[], parameters: readonly tf.Variable[]): tf.Tensor;
}

const TABLE: { readonly [Kind in LayerKind]: LayerOperations<LayerOf<Kind>> } = {
  conv2d: {
    apply({ kernelSize, stride, padding: [rows, columns] }, [input], [filter, bias]) {
      const isSame = stride.every((step) => step === 1) && kernelSize[0] === 2 * rows + 1 &&
        kernelSize[1] === 2 * columns + 1;
      const isPadded = isSame || rows + columns === 0;
      const x = isPadded ? input : input.pad([[0, 0], [rows, rows], [columns, columns], [0, 0]]);
      return tf.fused.conv2d({
        x: x as tf.Tensor4D,
        filter: filter as tf.Tensor as tf.Tensor4D,
        bias,
        strides: [...stride] as [number, number],
        pad: isSame ? "same" : "valid",
      });
    },
  },
  avgPool2d: {
    apply: ({ poolSize, stride }, [input]) =>
      tf.avgPool(input as tf.Tensor4D, [...poolSize] as Pair, [...stride] as Pair, "valid"),
  },
  maxPool2d: {
    apply: ({ poolSize, stride }, [input]) =>
      tf.maxPool(input as tf.Tensor4D, [...poolSize] as Pair, [...stride] as Pair, "valid"),
  },
  sigmoid: { apply: (_layer, [input]) => input.sigmoid() },
  tanh: { apply: (_layer, [input]) => input.tanh() },
  relu: { apply: (_layer, [input]) => input.relu() },
  flatten: {
    apply({ outputShape: [features] }, [input]) {
      const channelsFirst = input.rank === 4 ? input.transpose([0, 3, 1, 2]) : input;
      return channelsFirst.reshape([-1, features]);
    },
  },
  linear: {
    apply: (_layer, [input], [weight, bias]) =>
      tf.fused.matMul({ a: input as tf.Tensor2D, b: weight as tf.Tensor as tf.Tensor2D, bias }),
  },
  residual: { apply: (_layer, [body, shortcut]) => body.add(shortcut) },
};

type Pair = [number, number];

/** A model's variables, and its forward pass, on the TensorFlow.js backend that is active. */
export class TfjsNetwork {
  /** In the order of `model.parameters`, laid out as TensorFlow.js reads them. */
  readonly variables: readonly tf.Variable[];
  readonly #model: Model;

  /** Allocates the variables, with zeros. */
  constructor(model: Model) {
    this.#model = model;
    const zeros = writeFlat(model, new Float32Array(model.parameterCount));
    this.variables = zeros.map((tensor) => tf.variable(tensor));
    tf.dispose(zeros);
  }

  /** Sets the variables from a flat vector. */
  setParameters(values: Float32Array): void {
    const tensors = writeFlat(this.#model, values);
    for (const [index, variable] of this.variables.entries()) variable.assign(tensors[index]);
    tf.dispose(tensors);
  }

  /** Logits of images [batchSize, height, width, channels], pixels in [0, 1]. */
  apply(images: tf.Tensor4D): tf.Tensor2D {
    const { layers, parameters, standardization } = this.#model;
    const { mean, std } = standardization;
    const image = isNormalized(standardization) ? images : images.mul(1 / std).add(-mean / std);
    const outputs: tf.Tensor[] = [];
    for (const layer of layers) {
      const operations: LayerOperations<Layer> = TABLE[layer.type];
      const inputs = layer.inputs.map((input) => input === IMAGE ? image : outputs[input]);
      const own = layer.parameters.map((parameter) =>
        this.variables[parameters.indexOf(parameter)]
      );
      outputs.push(operations.apply(layer, inputs, own));
    }
    return outputs[outputs.length - 1] as tf.Tensor2D;
  }
}
