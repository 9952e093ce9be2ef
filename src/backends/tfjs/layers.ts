/** A model as TensorFlow.js operations, channels last: one entry a kind of layer. */

import * as tf from "@tensorflow/tfjs";
import type { LayerOf } from "../../nn/layers/table.ts";
import type { Layer, LayerKind } from "../../nn/sequential.ts";

/** A kind of layer in operations whose gradients TensorFlow.js knows. */
interface LayerOperations<Kind extends Layer> {
  /** Computes the output from what the layer reads and its own parameters. */
  apply(layer: Kind, inputs: readonly tf.Tensor[], parameters: readonly tf.Variable[]): tf.Tensor;
}

const MISSING = new Proxy({}, {
  get() {
    throw new TypeError("not yet");
  },
}) as never;

const TABLE: { readonly [Kind in LayerKind]: LayerOperations<LayerOf<Kind>> } = {
  leakyRelu: MISSING,
  batchNorm2d: MISSING,
  batchNorm1d: MISSING,
  dropout: MISSING,
  globalAvgPool2d: MISSING,
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

/** A layer's operations. */
export function operationsOf({ type }: Layer): LayerOperations<Layer> {
  return TABLE[type];
}
