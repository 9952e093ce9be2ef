/** The networks that TensorFlow.js runs: built from a LayersModel's JSON, parameters in and out. */

import * as tf from "@tensorflow/tfjs";
import { layersTopology } from "../../formats/layers_model.ts";
import type { Model, Parameter } from "../../nn/sequential.ts";

/** Builds the LayersModel that computes what `model` computes, with zero parameters.
 *
 * Belongs to the TensorFlow.js backend that is active at the call; the caller disposes it.
 */
export async function buildLayersModel(model: Model): Promise<tf.LayersModel> {
  return await tf.models.modelFromJSON(layersTopology(model) as unknown as tf.io.ModelJSON);
}

/** Sets the parameters of a built network from a flat vector. */
export function setParameters(network: tf.LayersModel, model: Model, values: Float32Array): void {
  tf.tidy(() => network.setWeights(writeFlat(model, values)));
}

/** Reads tensors laid out as a built network's weights into a flat vector.
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

/** Writes a flat vector as tensors laid out as a built network's weights. */
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
