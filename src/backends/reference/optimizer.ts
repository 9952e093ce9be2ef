/** Parameter updates in float64, as the optimisers' rules say. */

import {
  constantsOf,
  type OptimizerSpec,
  render,
  type Rendering,
  ruleOf,
  type StepNumbers,
} from "../../nn/optimizers.ts";

/** What one update reads and changes, each a flat vector. */
export interface UpdateTensors {
  readonly parameters: Float64Array;
  readonly gradients: Float64Array;
  /** In the order of the rule's slots. */
  readonly slots: readonly Float64Array[];
  /** 1 for parameters that weight decay takes, else 0. */
  readonly decays?: Float64Array;
}

/** The value of an expression at a place of the vectors. */
type Term = (index: number) => number;

const TERMS: Omit<Rendering<Term>, "value"> = {
  add: (a, b) => (index) => a(index) + b(index),
  sub: (a, b) => (index) => a(index) - b(index),
  mul: (a, b) => (index) => a(index) * b(index),
  div: (a, b) => (index) => a(index) / b(index),
  sqrt: (a) => (index) => Math.sqrt(a(index)),
  fma: (a, b, c) => (index) => a(index) * b(index) + c(index),
};

/** Updates parameters and slots in place. */
export function updateParameters(
  optimizer: OptimizerSpec,
  { parameters, gradients, slots, decays }: UpdateTensors,
  numbers: StepNumbers,
): void {
  const rule = ruleOf(optimizer);
  const constants = constantsOf(optimizer, numbers);
  const vectors: Record<string, Float64Array | undefined> = {
    parameter: parameters,
    gradient: gradients,
    decays,
    ...Object.fromEntries(rule.slots.map((name, slot) => [name, slots[slot]])),
  };
  const value = (name: string): Term => {
    const { [name]: vector } = vectors;
    return vector ? (index) => vector[index] : () => constants[name];
  };
  for (const [target, expression] of rule.update) {
    const term = render(expression, { ...TERMS, value });
    for (let index = 0; index < parameters.length; index++) vectors[target]![index] = term(index);
  }
}
