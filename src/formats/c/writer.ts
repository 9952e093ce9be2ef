/** The body of a generated C file: constants, calls, and how many bytes they take. */

import type { Weighted } from "../../nn/layers/layer.ts";
import { type Conv2dLayer, IMAGE, type Layer } from "../../nn/sequential.ts";
import { byteTransform, channelsOf } from "../../nn/standardization.ts";
import { scalesOf, sliceOf } from "../folded_model.ts";
import {
  dequantize,
  type Grid,
  quantize,
  type QuantizedModel,
  type QuantizedWeights,
  quantizeWeights,
} from "../quantized_model.ts";
import type { TrainedModel } from "../trained_model.ts";
import type { KernelName } from "./kernels.ts";
import { type MemoryPlan, type Placement, planMemory } from "./memory.ts";
import { factorOf, linesOf, showFactor, showFloat, uniqueNames, wrapped } from "./text.ts";

/** Bytes of a constant's element, and how C shows it. */
const TYPES = {
  float: { bytes: 4, show: showFloat },
  int8_t: { bytes: 1, show: String },
  int32_t: { bytes: 4, show: String },
  factor: { bytes: 8, show: (value: number) => showFactor(factorOf(value)) },
} as const;
/** Of the structure that windows are described in. */
const SHAPE_BYTES = 52;

/** Images, and how windows lie on them. */
export type Windows = Pick<
  Conv2dLayer,
  "inputShape" | "outputShape" | "kernelSize" | "stride" | "padding" | "groups"
>;

/** Writes the layers of a folded model, floats or whole numbers, one after another. */
export class Writer {
  /** Whether the model is one of whole numbers. */
  readonly isInt8: boolean;
  /** Kernels that are called. */
  readonly kernels = new Set<KernelName>();
  /** Definitions of constants. */
  readonly constants: string[] = [];
  /** The statements of the prediction. */
  readonly calls: string[] = [];
  /** Where tensors lie. */
  readonly plan: MemoryPlan;
  /** Of all constants. */
  constantBytes = 0;
  readonly #model: TrainedModel;
  readonly #quantized: QuantizedModel | undefined;
  readonly #names: readonly string[];
  readonly #placements: readonly Placement[];
  #index = IMAGE as number;

  /** Begins a file by reading pixels.
   *
   * @param placements What each layer does about memory.
   */
  constructor(model: TrainedModel | QuantizedModel, placements: readonly Placement[]) {
    this.#model = model;
    this.#quantized = "grids" in model ? model : undefined;
    this.isInt8 = this.#quantized !== undefined;
    this.#names = uniqueNames(model.model.layers);
    this.#placements = placements;
    this.plan = planMemory(model.model, placements);
    this.#standardize();
  }

  /** Goes on to the next layer, which writes itself. */
  next(write: () => void): void {
    this.#index++;
    const { name, type, inputShape, outputShape } = this.#layer;
    const place = this.calls.length;
    write();
    const title = `${name} (${type})`.replace(/[^\x20-\x7e]|\*\/|\/\*/g, "?");
    const shapes = `[${inputShape.join(", ")}] -> [${outputShape.join(", ")}]`;
    const isDone = this.calls.length === place ? "; nothing to do" : "";
    this.calls.splice(place, 0, `/* ${title}: ${shapes}${isDone} */`);
  }

  get #layer(): Layer {
    return this.#model.model.layers[this.#index];
  }

  /** Whether the layer gives the logits. */
  get isLogits(): boolean {
    return this.#index === this.#model.model.layers.length - 1;
  }

  /** Where the layer's input lies. */
  input(place: number): string {
    return this.#at(this.#layer.inputs[place]);
  }

  /** Where its output goes. */
  get output(): string {
    return this.#at(this.#index);
  }

  /** Calls a kernel; pointers come before numbers. */
  call(
    kernel: KernelName,
    pointers: readonly string[],
    numbers: readonly (number | string)[],
  ): void {
    this.kernels.add(kernel);
    const numbered = [...pointers, ...numbers].map((value, n, { length }) =>
      n < length - 1 ? `${value},` : `${value}`
    );
    const start = `${kernel}(`;
    const indent = " ".repeat(4 + start.length);
    this.calls.push(`${start}${linesOf(numbered, indent).join("\n").trim()});`);
  }

  /** Names the layer's weights and bias, in whole numbers also the factors from their sums to its output. */
  weights(): string[] {
    if (!this.isInt8) {
      const [factors, offsets] = this.#floatWeights();
      return [this.#constant("weight", "float", factors), this.#constant("bias", "float", offsets)];
    }
    const { weight, bias, scales } = this.#quantizedWeights();
    const { scale } = this.#input;
    const factors = Array.from(scales, (own) => own * scale / this.#out.scale);
    return [
      this.#constant("weight", "int8_t", weight),
      this.#constant("bias", "int32_t", bias),
      this.#constant("factors", "factor", factors),
    ];
  }

  /** The same of a last linear layer of whole numbers, whose sums become floats. */
  logitWeights(): { readonly names: readonly string[]; readonly zero: number } {
    const { weight, bias, biasScales } = this.#quantizedWeights();
    const names = [
      this.#constant("weight", "int8_t", weight),
      this.#constant("bias", "int32_t", bias),
      this.#constant("scales", "float", biasScales),
    ];
    return { names, zero: this.#input.zeroPoint };
  }

  /** The bytes of 0 of its inputs, and its output, in whole numbers. */
  zeros(): number[] {
    if (!this.isInt8) return [];
    return [...this.#layer.inputs.map((input) => this.#grid(input).zeroPoint), this.#out.zeroPoint];
  }

  /** From a whole sum of its input's bytes times a number, to its output. */
  factor(times: number): string {
    const { scale } = this.#input;
    return `(factor)${showFactor(factorOf(times * scale / this.#out.scale))}`;
  }

  /** The numbers of a sum of two. */
  sum(): (string | number)[] {
    const scales = this.#layer.inputs.map((input) => this.#grid(input).scale / this.#out.scale);
    const { shift } = factorOf(Math.max(...scales));
    const [a, b] = scales.map((scale) => Math.round(scale * 2 ** shift));
    return [`(factor)${showFactor({ multiplier: a, shift })}`, b, ...this.zeros()];
  }

  /** Whether what it reads and gives are bytes of the same numbers, cut off where it would. */
  sharesGrid(): boolean {
    return this.#input === this.#grids[this.#index];
  }

  /** A function's value of each byte. */
  table(apply: (x: number) => number): string {
    const grid = this.#input;
    const byteOf = (n: number) => quantize(apply(dequantize(n - 128, grid)), this.#out);
    return this.#constant("table", "int8_t", Array.from({ length: 256 }, (_, n) => byteOf(n)));
  }

  /** Sizes of images, and how windows lie on them. */
  shape({ inputShape, outputShape, kernelSize, stride, padding, groups }: Windows): string {
    const fields = { in: inputShape, out: outputShape, kernel: kernelSize, stride, padding };
    const words = [
      ...Object.entries(fields).map(([field, sizes]) => `.${field} = {${sizes.join(", ")}},`),
      `.groups = ${groups},`,
    ];
    const name = `${this.#names[this.#index]}_shape`;
    const lines = linesOf(words, "    ").join("\n");
    this.constants.push(`static const shape ${name} = {\n${lines}\n};\n`);
    this.constantBytes += SHAPE_BYTES;
    return `&${name}`;
  }

  get #grids(): readonly (Grid | undefined)[] {
    return this.#quantized?.grids ?? [];
  }

  get #out(): Grid {
    return this.#grids[this.#index]!;
  }

  get #input(): Grid {
    return this.#grid(this.#layer.inputs[0]);
  }

  #grid(tensor: number): Grid {
    return tensor === IMAGE ? this.#quantized!.image : this.#grids[tensor]!;
  }

  #at(tensor: number): string {
    const { layers } = this.#model.model;
    const isWritten = tensor === layers.length - 1 && this.#placements[tensor] === "new";
    if (isWritten && !this.isInt8) return "logits";
    return `memory + ${this.plan.offsets.get(tensor)}`;
  }

  #standardize(): void {
    const { inputShape: [channels, height, width], standardization } = this.#model.model;
    const numbers = [channels, height * width];
    const to = `memory + ${this.plan.offsets.get(IMAGE)}`;
    if (this.#quantized === undefined) {
      const pairs = Array.from({ length: channels }, (_, channel) => {
        const { scale, offset } = byteTransform(standardization, channel);
        return `{${showFloat(scale)}, ${showFloat(offset)}}`;
      });
      const name = "transform_of_pixel";
      this.constants.push(`static const float ${name}[${channels}][2] = {${pairs.join(", ")}};\n`);
      this.constantBytes += 2 * channels * TYPES.float.bytes;
      return this.call("standardize", ["pixels", to, name], numbers);
    }
    const { image } = this.#quantized;
    const tables = channelsOf(standardization, channels).map(({ mean, std }) =>
      Array.from({ length: 256 }, (_, byte) => quantize((byte / 255 - mean) / std, image))
    );
    const isOne = tables.every((table) => `${table}` === `${tables[0]}`);
    const table = this.#define("byte_of_pixel", "int8_t", isOne ? tables[0] : tables.flat());
    this.call("standardize", ["pixels", to, table, isOne ? "0" : "256"], numbers);
  }

  /** Brings the logits where they are asked for, if the last layer did not. */
  finish(): void {
    const { layers, classCount } = this.#model.model;
    const last = layers.length - 1;
    const from = `memory + ${this.plan.offsets.get(last)}`;
    const grid = this.#grids[last];
    if (grid) {
      const numbers = [classCount, showFloat(grid.scale), grid.zeroPoint];
      this.call("dequantize", [from, "logits"], numbers);
    } else if (!this.isInt8 && this.#placements[last] !== "new") {
      this.call("copy", [from, "logits"], [classCount]);
    }
  }

  /** Weights and biases, or factors and shifts; zeros where it adds nothing. */
  #floatWeights(): [ArrayLike<number>, ArrayLike<number>] {
    const layer = this.#layer;
    if (layer.statistics !== undefined) {
      const { factors, shifts } = scalesOf(this.#model, layer.name);
      return [factors, shifts];
    }
    const { weight, bias } = layer as Layer & Weighted;
    const { parameters } = this.#model;
    return [
      sliceOf(parameters, weight),
      bias ? sliceOf(parameters, bias) : new Float32Array(weight.shape[0]),
    ];
  }

  /** The same in whole numbers. */
  #quantizedWeights(): QuantizedWeights {
    const own = this.#quantized?.weights.get(this.#layer.name);
    if (own !== undefined) return own;
    const [factors, shifts] = this.#floatWeights();
    const { scale } = this.#input;
    return quantizeWeights(factors, shifts, { outputs: factors.length, scale });
  }

  #constant(part: string, type: keyof typeof TYPES, values: ArrayLike<number>): string {
    return this.#define(`${this.#names[this.#index]}_${part}`, type, values);
  }

  #define(name: string, type: keyof typeof TYPES, values: ArrayLike<number>): string {
    const { bytes, show } = TYPES[type];
    const lines = wrapped(Array.from(values, show));
    this.constants.push(`static const ${type} ${name}[${values.length}] = {\n${lines}\n};\n`);
    this.constantBytes += values.length * bytes;
    return name;
  }
}
