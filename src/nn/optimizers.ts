/** Optimisers: the fields, the memory and the update of each, said once for all engines. */

import { checkName, checkNumber, checkObject, isNumber, type NumberRange } from "../check.ts";

/** How parameters follow from gradients, as PyTorch defines it.
 *
 * - `sgd`: velocity = momentum * velocity + gradient; parameter -= learningRate * velocity.
 * - `adam`: Kingma and Ba 2015 with bias correction; epsilon is added outside the square root.
 */
export type OptimizerSpec =
  | { readonly type: "sgd"; readonly momentum: number }
  | {
    readonly type: "adam";
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
  };

/** An {@linkcode OptimizerSpec} of which only the type must be said.
 *
 * Defaults: momentum 0; beta1 0.9, beta2 0.999, epsilon 1e-8.
 */
export type OptimizerOptions = {
  [Type in OptimizerSpec["type"]]:
    & { readonly type: Type }
    & Partial<Extract<OptimizerSpec, { readonly type: Type }>>;
}[OptimizerSpec["type"]];

type Kind = OptimizerSpec["type"];
type SpecOf<Type extends Kind> = Extract<OptimizerSpec, { readonly type: Type }>;
type FieldOf<Spec> = Exclude<keyof Spec, "type">;

/** What an update knows beside parameters, gradients and slots; steps count from 1. */
export interface StepNumbers {
  readonly learningRate: number;
  readonly step: number;
}

/** How an element of the parameters is updated. */
export interface UpdateRule<Fields = Readonly<Record<string, number>>> {
  /** Of its kernel. */
  readonly name: string;
  /** The rule is for specs in which this field is 0; without it, for all that are left. */
  readonly without?: keyof Fields;
  /** Names of the vectors that it keeps beside the parameters; zeros at first. */
  readonly slots: readonly string[];
  /** Numbers of a step, computed in float64. */
  readonly constants: Readonly<Record<string, (numbers: Fields & StepNumbers) => number>>;
  /** Assignments to `parameter` and slots, in order.
   *
   * Expressions of these, `gradient`, the constants, and `decays`: 1 where weight decay takes the
   * parameter, else 0. Operators are + - * / ( ), functions are sqrt(a) and fma(a, b, c) = a * b + c,
   * which an engine may round once.
   */
  readonly update: readonly (readonly [target: string, expression: string])[];
}

/** One optimiser. */
interface OptimizerDefinition<Spec> {
  /** For reports. */
  readonly title: string;
  readonly fields: {
    readonly [Field in FieldOf<Spec>]: NumberRange & { readonly default: number };
  };
  /** Other names on the command line, and the fields that they set. */
  readonly presets?: Readonly<Record<string, Partial<Omit<Spec, "type">>>>;
  /** See {@linkcode suitingRate}. */
  learningRate(recipe: number, spec: Spec): number;
  readonly rules: readonly UpdateRule<{ readonly [Field in FieldOf<Spec>]: number }>[];
}

/** A mean with a share of 1 would never move. */
const SHARE = { min: 0, max: 1 - 1e-9 };

/** All optimisers. */
export const OPTIMIZERS: { readonly [Type in Kind]: OptimizerDefinition<SpecOf<Type>> } = {
  sgd: {
    title: "SGD",
    fields: { momentum: { default: 0, ...SHARE } },
    presets: { momentum: { momentum: 0.9 } },
    learningRate: (recipe, { momentum }) => recipe * (1 - momentum),
    rules: [
      {
        name: "sgd",
        without: "momentum",
        slots: [],
        constants: { descent: ({ learningRate }) => -learningRate },
        update: [["parameter", "fma(descent, gradient, parameter)"]],
      },
      {
        name: "momentum",
        slots: ["velocity"],
        constants: {
          descent: ({ learningRate }) => -learningRate,
          momentum: ({ momentum }) => momentum,
        },
        update: [
          ["velocity", "fma(momentum, velocity, gradient)"],
          ["parameter", "fma(descent, velocity, parameter)"],
        ],
      },
    ],
  },
  adam: {
    title: "Adam",
    fields: {
      beta1: { default: 0.9, ...SHARE },
      beta2: { default: 0.999, ...SHARE },
      epsilon: { default: 1e-8, min: 0, max: 1 },
    },
    learningRate: () => 0.001,
    rules: [{
      name: "adam",
      slots: ["mean", "variance"],
      constants: {
        beta1: ({ beta1 }) => beta1,
        rest1: ({ beta1 }) => 1 - beta1, // in float32, 1 - 0.999 would be off by 2e-5
        beta2: ({ beta2 }) => beta2,
        rest2: ({ beta2 }) => 1 - beta2,
        epsilon: ({ epsilon }) => epsilon,
        rate: ({ learningRate, beta1, step }) => learningRate / (1 - beta1 ** step),
        scale: ({ beta2, step }) => 1 / Math.sqrt(1 - beta2 ** step),
      },
      update: [
        ["mean", "beta1 * mean + rest1 * gradient"],
        ["variance", "beta2 * variance + rest2 * (gradient * gradient)"],
        ["parameter", "parameter - rate * mean / (sqrt(variance) * scale + epsilon)"],
      ],
    }],
  },
};

/** A spec seen as fields by name. */
type Fields = OptimizerSpec & Readonly<Record<string, number>>;

/** The entry of a type. */
export function definitionOf(type: Kind): OptimizerDefinition<Fields> {
  return OPTIMIZERS[type] as unknown as OptimizerDefinition<Fields>;
}

/** All rules: each is a kernel of an engine that compiles them beforehand. */
export function allRules(): UpdateRule[] {
  return Object.keys(OPTIMIZERS).flatMap((type) => definitionOf(type as Kind).rules);
}

/** The names that commands know optimisers by, and what they stand for. */
export function optimizerPresets(): Record<string, OptimizerOptions> {
  return Object.assign(
    {},
    ...Object.entries(OPTIMIZERS).flatMap(([type, { presets = {} }]) => [
      { [type]: { type } },
      ...Object.entries(presets).map(([name, fields]) => ({ [name]: { type, ...fields } })),
    ]),
  );
}

/** Fills an optimiser's gaps.
 *
 * @throws {TypeError} If there is no such optimiser, or it has no such field.
 * @throws {RangeError} If a field is out of range.
 */
export function completeOptimizer(options: OptimizerOptions = { type: "sgd" }): OptimizerSpec {
  checkObject("optimizer", options, `an object such as {"type":"sgd","momentum":0.9}`);
  checkName("optimizer type", options.type, Object.keys(OPTIMIZERS));
  const ranges = Object.entries(definitionOf(options.type).fields);
  const names = ["type", ...ranges.map(([field]) => field)];
  for (const field of Object.keys(options)) checkName(`field of ${options.type}`, field, names);
  const given = options as Readonly<Record<string, unknown>>;
  const fields = ranges.map(([field, { default: usual, ...range }]) => {
    const { [field]: value = usual } = given;
    checkNumber(`${field} of ${options.type}`, value, range);
    return [field, value];
  });
  return { type: options.type, ...Object.fromEntries(fields) };
}

/** Whether JSON is an optimiser that {@linkcode completeOptimizer} would give. */
export function isOptimizerSpec(value: unknown): boolean {
  const fields = Object(value);
  return Object.hasOwn(OPTIMIZERS, fields.type) &&
    Object.entries(definitionOf(fields.type).fields).every(([name, range]) =>
      isNumber(fields[name], range)
    );
}

/** The rule by which an optimiser updates. */
export function ruleOf(spec: OptimizerSpec): UpdateRule {
  return definitionOf(spec.type).rules
    .find(({ without }) => without === undefined || (spec as Fields)[without] === 0)!;
}

/** The learning rate that suits an optimiser, where a model's recipe has one for plain SGD. */
export function suitingRate(spec: OptimizerSpec, recipe: number): number {
  return definitionOf(spec.type).learningRate(recipe, spec as Fields);
}

/** Number of slots that an optimiser keeps beside the parameters. */
export function slotCount(spec: OptimizerSpec): number {
  return ruleOf(spec).slots.length;
}

/** A rule's constants in a step, by name and in order. */
export function constantsOf(spec: OptimizerSpec, numbers: StepNumbers): Record<string, number> {
  const fields = { ...spec, ...numbers } as unknown as Record<string, number> & StepNumbers;
  return Object.fromEntries(
    Object.entries(ruleOf(spec).constants).map(([name, compute]) => [name, compute(fields)]),
  );
}

/** What an engine makes of the parts of an expression. */
export interface Rendering<T> {
  value(name: string): T;
  add(a: T, b: T): T;
  sub(a: T, b: T): T;
  mul(a: T, b: T): T;
  div(a: T, b: T): T;
  sqrt(a: T): T;
  fma(a: T, b: T, c: T): T;
}

const OPERATORS = { "*": "mul", "/": "div", "+": "add", "-": "sub" } as const;

/** Walks an expression of {@linkcode UpdateRule}. */
export function render<T>(expression: string, rendering: Rendering<T>): T {
  const tokens = expression.match(/\w+|\S/g) ?? [];
  const primary = (): T => {
    const token = tokens.shift()!;
    const inputs: T[] = [];
    if (token !== "(" && tokens[0] !== "(") return rendering.value(token);
    if (token !== "(") tokens.shift();
    do inputs.push(sum()); while (tokens.shift() === ",");
    return token === "(" ? inputs[0] : rendering[token as "fma"](inputs[0], inputs[1], inputs[2]);
  };
  const row = (operators: string, next: () => T) => (): T => {
    let left = next();
    while (tokens.length > 0 && operators.includes(tokens[0]!)) {
      left = rendering[OPERATORS[tokens.shift() as keyof typeof OPERATORS]](left, next());
    }
    return left;
  };
  const sum = row("+-", row("*/", primary));
  return sum();
}
