/** Parameter updates with TensorFlow.js operations, as the optimisers' rules say. */

import * as tf from "./tfjs.ts";
import {
  constantsOf,
  type OptimizerSpec,
  render,
  type Rendering,
  ruleOf,
  slotCount,
  type StepNumbers,
} from "../../nn/optimizers.ts";
import type { Parameter } from "../../nn/sequential.ts";

const OPERATIONS: Omit<Rendering<tf.Tensor>, "value"> = {
  add: (a, b) => tf.add(a, b),
  sub: (a, b) => tf.sub(a, b),
  mul: (a, b) => tf.mul(a, b),
  div: (a, b) => tf.div(a, b),
  sqrt: (a) => tf.sqrt(a),
  fma: (a, b, c) => tf.add(tf.mul(a, b), c),
};

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

  /** Makes an update; gradients and the model's parameters are in the order of the variables. */
  update(
    gradients: readonly tf.Tensor[],
    parameters: readonly Parameter[],
    numbers: StepNumbers,
  ): void {
    const rule = ruleOf(this.#spec);
    const constants = constantsOf(this.#spec, numbers);
    for (const [index, parameter] of this.#variables.entries()) {
      if (!parameters[index].trained) continue;
      const named: Record<string, tf.Tensor> = { parameter, gradient: gradients[index] };
      for (const [slot, name] of rule.slots.entries()) named[name] = this.slots[slot][index];
      const decays = Number(parameters[index].decays);
      const numbers: Record<string, number> = { ...constants, decays };
      const value = (name: string) => named[name] ?? tf.scalar(numbers[name]);
      for (const [target, expression] of rule.update) {
        tf.tidy(() => {
          const result = render(expression, { ...OPERATIONS, value });
          (named[target] as tf.Variable).assign(result);
        });
      }
    }
  }

  /** Frees the slots. */
  dispose(): void {
    for (const slot of this.slots) tf.dispose([...slot]);
  }
}
