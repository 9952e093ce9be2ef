/** Parameter updates with TensorFlow.js operations, as PyTorch defines them. */

import * as tf from "@tensorflow/tfjs";
import type { OptimizerSpec } from "../backend.ts";
import { slotCount } from "../check_data.ts";

/** Updates variables from their gradients and keeps the optimiser's memory beside them. */
export class Optimizer {
  /** One list of variables per slot, in the order of the variables they belong to. */
  readonly slots: readonly (readonly tf.Variable[])[];
  readonly #spec: OptimizerSpec;
  readonly #variables: readonly tf.Variable[];

  /** Slots start as zeros. */
  constructor(spec: OptimizerSpec, variables: readonly tf.Variable[]) {
    this.#spec = spec;
    this.#variables = variables;
    this.slots = Array.from(
      { length: slotCount(spec) },
      () => variables.map((variable) => tf.tidy(() => tf.variable(tf.zerosLike(variable), false))),
    );
  }

  /** Copies the slots. */
  load(slots: readonly (readonly tf.Tensor[])[]): void {
    for (const [slot, variables] of this.slots.entries()) {
      for (const [index, variable] of variables.entries()) {
        variable.assign(slots[slot][index].clone());
      }
    }
  }

  /** Makes update number `step`, from 1; gradients in the order of the variables. */
  update(
    gradients: readonly tf.Tensor[],
    { learningRate, step }: { readonly learningRate: number; readonly step: number },
  ): void {
    for (const [index, variable] of this.#variables.entries()) {
      tf.tidy(() => {
        const change = this.#change(index, gradients[index], step);
        variable.assign(variable.sub(change.mul(learningRate)));
      });
    }
  }

  /** Frees the slots. */
  dispose(): void {
    for (const slot of this.slots) tf.dispose([...slot]);
  }

  #change(index: number, gradient: tf.Tensor, step: number): tf.Tensor {
    const [first, second] = this.slots.map((slot) => slot[index]);
    if (this.#spec.type === "sgd") {
      if (first === undefined) return gradient;
      first.assign(first.mul(this.#spec.momentum).add(gradient));
      return first;
    }
    const { beta1, beta2, epsilon } = this.#spec;
    first.assign(first.mul(beta1).add(gradient.mul(1 - beta1)));
    second.assign(second.mul(beta2).add(gradient.square().mul(1 - beta2)));
    const mean = first.div(1 - beta1 ** step);
    const variance = second.div(1 - beta2 ** step);
    return mean.div(variance.sqrt().add(epsilon));
  }
}
