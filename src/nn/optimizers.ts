/** Optimisers: the fields, the memory and the update of each, said once for all engines. */

import { checkName, checkNumber, checkObject, isNumber, type NumberRange } from "../check.ts";

/** How parameters follow from gradients, as PyTorch defines it.
 *
 * - `sgd`: velocity = momentum * velocity + gradient; parameter -= learningRate * velocity. With
 *   `nesterov`, parameter -= learningRate * (gradient + momentum * velocity). `weightDecay` times the
 *   parameter is first added to the gradient.
 * - `adam`: Kingma and Ba 2015 with bias correction; epsilon is added outside the square root.
 * - `adamw`: the same after parameter -= learningRate * weightDecay * parameter. Loshchilov and Hutter 2019.
 *
 * Weights decay; biases, and what a norm has, do not: in PyTorch, a group of parameters of their own.
 */
export type OptimizerSpec =
  | {
    readonly type: "sgd";
    readonly momentum: number;
    /** Left out where it is 0. */
    readonly weightDecay?: number;
    /** Left out where it is false; needs a momentum. */
    readonly nesterov?: boolean;
  }
  | {
    readonly type: "adam";
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
  }
  | {
    readonly type: "adamw";
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
    readonly weightDecay: number;
  };

/** An {@linkcode OptimizerSpec} of which only the type must be said.
 *
 * Defaults: momentum 0, weightDecay 0, nesterov false; beta1 0.9, beta2 0.999, epsilon 1e-8, weightDecay of
 * `adamw` 0.01.
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
  /** The rule is for specs in which these fields are 0; without it, for all that are left. */
  readonly without?: readonly (keyof Fields)[];
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

/** What a field may hold: a number of a range, or yes or no, which rules see as 1 or 0. */
interface FieldDefinition extends NumberRange {
  readonly default: number | boolean;
  /** Whether specs leave it out at its default: those of version 0.1 have no such field. */
  readonly optional?: true;
  /** Another field that must then be above 0. */
  readonly needs?: string;
}

/** One optimiser. */
interface OptimizerDefinition<Spec> {
  /** For reports. */
  readonly title: string;
  readonly fields: { readonly [Field in FieldOf<Spec>]-?: FieldDefinition };
  /** Other names on the command line, and the fields that they set. */
  readonly presets?: Readonly<Record<string, Partial<Omit<Spec, "type">>>>;
  /** See {@linkcode suitingRate}. */
  learningRate(recipe: number, spec: Spec): number;
  readonly rules: readonly UpdateRule<{ readonly [Field in FieldOf<Spec>]-?: number }>[];
}

/** A mean with a share of 1 would never move. */
const SHARE = { min: 0, max: 1 - 1e-9 };

const MOMENTS = {
  beta1: { default: 0.9, ...SHARE },
  beta2: { default: 0.999, ...SHARE },
  epsilon: { default: 1e-8, min: 0, max: 1 },
};

const ADAM_RULE: UpdateRule<Omit<SpecOf<"adam">, "type">> = {
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
};

/** All optimisers. */
export const OPTIMIZERS: { readonly [Type in Kind]: OptimizerDefinition<SpecOf<Type>> } = {
  sgd: {
    title: "SGD",
    fields: {
      momentum: { default: 0, ...SHARE },
      weightDecay: { default: 0, min: 0, max: 1, optional: true },
      nesterov: { default: false, optional: true, needs: "momentum" },
    },
    presets: { momentum: { momentum: 0.9 }, nesterov: { momentum: 0.9, nesterov: true } },
    learningRate: (recipe, { momentum }) => recipe * (1 - momentum),
    rules: [
      {
        name: "sgd",
        without: ["momentum", "weightDecay"],
        slots: [],
        constants: { descent: ({ learningRate }) => -learningRate },
        update: [["parameter", "fma(descent, gradient, parameter)"]],
      },
      {
        name: "momentum",
        without: ["weightDecay", "nesterov"],
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
      {
        name: "decayedMomentum",
        slots: ["velocity"],
        constants: {
          decay: ({ weightDecay }) => weightDecay,
          momentum: ({ momentum }) => momentum,
          // What is descended along: the velocity, or what Nesterov's next step would see of it.
          ofVelocity: ({ learningRate, momentum, nesterov }) =>
            -learningRate * (nesterov ? momentum : 1),
          ofGradient: ({ learningRate, nesterov }) => -learningRate * nesterov,
        },
        update: [
          ["velocity", "fma(momentum, velocity, fma(decays * decay, parameter, gradient))"],
          [
            "parameter",
            "fma(ofVelocity, velocity, fma(ofGradient, fma(decays * decay, parameter, gradient), parameter))",
          ],
        ],
      },
    ],
  },
  adam: {
    title: "Adam",
    fields: MOMENTS,
    learningRate: () => 0.001,
    rules: [ADAM_RULE],
  },
  adamw: {
    title: "AdamW",
    fields: { ...MOMENTS, weightDecay: { default: 0.01, min: 0, max: 1 } },
    learningRate: () => 0.001,
    rules: [{
      ...ADAM_RULE,
      name: "adamw",
      constants: {
        ...ADAM_RULE.constants,
        decay: ({ learningRate, weightDecay }) => learningRate * weightDecay,
      },
      update: [["parameter", "parameter - decays * decay * parameter"], ...ADAM_RULE.update],
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
  const fields = ranges.flatMap(([field, { default: usual, optional, needs, ...range }]) => {
    const { [field]: value = usual } = given;
    const name = `${field} of ${options.type}`;
    if (typeof usual === "boolean") checkName(name, value, [true, false]);
    else checkNumber(name, value, range);
    if (needs !== undefined && value && !given[needs]) {
      throw new RangeError(`Invalid ${name}: expected a ${needs} above 0 with it, such as 0.9`);
    }
    return optional && value === usual ? [] : [[field, value]];
  });
  return { type: options.type, ...Object.fromEntries(fields) };
}

/** Whether JSON is an optimiser that {@linkcode completeOptimizer} would give. */
export function isOptimizerSpec(value: unknown): boolean {
  const fields = Object(value);
  return Object.hasOwn(OPTIMIZERS, fields.type) &&
    Object.entries(definitionOf(fields.type).fields).every((
      [name, { default: usual, optional, needs, ...range }],
    ) =>
      fields[name] === undefined
        ? optional === true
        : typeof usual === "boolean"
        ? typeof fields[name] === "boolean" && (!fields[name] || fields[needs ?? "type"] > 0)
        : isNumber(fields[name], range)
    );
}

/** The rule by which an optimiser updates. */
export function ruleOf(spec: OptimizerSpec): UpdateRule {
  return definitionOf(spec.type).rules
    .find(({ without = [] }) => without.every((field) => !(spec as Fields)[field]))!;
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
  const given = spec as Fields;
  const values = Object.entries(definitionOf(spec.type).fields)
    .map(([name, { default: usual }]) => [name, Number(given[name] ?? usual)]);
  const fields = { ...Object.fromEntries(values), ...numbers };
  return Object.fromEntries(
    Object.entries(ruleOf(spec).constants).map(([name, compute]) => [name, compute(fields)]),
  );
}

/** What gradients are multiplied by so that the norm of all of them together is at most `clipNorm`, as
 * PyTorch's `clip_grad_norm_` does.
 */
export function clipFactor(norm: number, clipNorm: number): number {
  const factor = clipNorm / (norm + 1e-6);
  return factor < 1 || Number.isNaN(factor) ? factor : 1;
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
