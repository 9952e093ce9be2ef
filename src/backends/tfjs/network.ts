/** The networks that TensorFlow.js runs: variables, forward pass, parameters in and out. */

import * as tf from "./tfjs.ts";
import { IMAGE, type Model, type Parameter } from "../../nn/sequential.ts";
import { type BatchContext, operationsOf } from "./layers.ts";

/** A model's variables, and its forward pass, on the TensorFlow.js backend that is active. */
export class TfjsNetwork {
  /** In the order of `model.parameters`, laid out as TensorFlow.js reads them. */
  readonly variables: readonly tf.Variable[];
  /** In the order of `model.statistics`. */
  readonly statistics: readonly tf.Variable[];
  readonly #model: Model;

  /** Allocates the variables, with zeros. */
  constructor(model: Model) {
    this.#model = model;
    const zeros = writeFlat(model, new Float32Array(model.parameterCount));
    this.variables = zeros.map((tensor) => tf.variable(tensor));
    tf.dispose(zeros);
    this.statistics = model.statistics.map(({ shape }) =>
      tf.tidy(() => tf.variable(tf.zeros([...shape]), false))
    );
  }

  /** Sets parameters and statistics from flat vectors. */
  load(parameters: Float32Array, statistics: Float32Array): void {
    tf.tidy(() => {
      const tensors = writeFlat(this.#model, parameters);
      for (const [index, variable] of this.variables.entries()) variable.assign(tensors[index]);
      for (const [index, { offset, size, shape }] of this.#model.statistics.entries()) {
        const values = statistics.slice(offset, offset + size);
        this.statistics[index].assign(tf.tensor(values, [...shape]));
      }
    });
  }

  /** Reads the statistics into a flat vector; all operations are over when it first waits. */
  async readStatistics(): Promise<Float32Array<ArrayBuffer>> {
    const parts = await Promise.all(this.statistics.map((one) => one.data<"float32">()));
    const values = new Float32Array(this.#model.statisticCount);
    this.#model.statistics.forEach(({ offset }, index) => values.set(parts[index], offset));
    return values;
  }

  /** Logits of images [batchSize, height, width, channels], standardized. */
  apply(images: tf.Tensor4D, batch: BatchContext): tf.Tensor2D {
    const { layers, parameters, statistics } = this.#model;
    const outputs: tf.Tensor[] = [];
    for (const [index, layer] of layers.entries()) {
      const inputs = layer.inputs.map((input) => input === IMAGE ? images : outputs[input]);
      outputs.push(
        operationsOf(layer).apply(layer, {
          ...{ inputs, batch, index },
          parameters: layer.parameters.map((one) => this.variables[parameters.indexOf(one)]),
          statistics: (layer.statistics ?? []).map((one) =>
            this.statistics[statistics.indexOf(one)]
          ),
        }),
      );
    }
    return outputs[outputs.length - 1] as tf.Tensor2D;
  }
}

/** Reads tensors laid out as a network's variables into a flat vector.
 *
 * All operations are over when it first waits: the active TensorFlow.js backend may change then.
 */
export async function readFlat(
  model: Model,
  tensors: readonly tf.Tensor[],
): Promise<Float32Array<ArrayBuffer>> {
  const canonical = model.parameters.map((parameter, index) =>
    tf.tidy(() => tensors[index].transpose(toFirst(parameter)))
  );
  const values = new Float32Array(model.parameterCount);
  for (const [index, { offset }] of model.parameters.entries()) {
    values.set(await canonical[index].data<"float32">(), offset);
    canonical[index].dispose();
  }
  return values;
}

/** Writes a flat vector as tensors laid out as a network's variables. */
export function writeFlat(model: Model, values: Float32Array): tf.Tensor[] {
  return model.parameters.map((parameter) =>
    tf.tidy(() => {
      const { shape, offset, size } = parameter;
      return tf.tensor(values.subarray(offset, offset + size), [...shape])
        .transpose(toLast(parameter));
    })
  );
}

/** Axes that bring OIHW to HWIO, and [out, in] to [in, out]. */
function toLast({ shape }: Parameter): number[] {
  return shape.length === 4 ? [2, 3, 1, 0] : shape.length === 2 ? [1, 0] : [0];
}

function toFirst({ shape }: Parameter): number[] {
  return shape.length === 4 ? [3, 2, 0, 1] : shape.length === 2 ? [1, 0] : [0];
}
