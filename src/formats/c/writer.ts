/** The body of a generated C file: constants, calls, and how many bytes they take. */

import type { Weighted } from "../../nn/layers/layer.ts";
import { IMAGE, type Layer } from "../../nn/sequential.ts";
import { byteTransform, channelOf } from "../../nn/standardization.ts";
import { scalesOf } from "../folded_model.ts";
import {
  dequantize,
  type Grid,
  quantize,
  type QuantizedModel,
  quantizeWeights,
} from "../quantized_model.ts";
import type { TrainedModel } from "../trained_model.ts";
import type { KernelName } from "./kernels.ts";
import { type MemoryPlan, type Placement, planMemory } from "./memory.ts";
import { factorOf, linesOf, showFactor, showFloat, uniqueNames, wrapped } from "./text.ts";

/** Bytes of an element. */
const BYTES = { float: 4, int8_t: 1, int32_t: 4, factor: 8, shape: 52 } as const;

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
    const { weight, bias, scales, grid } = this.#quantizedWeights() ?? {};
    if (weight && bias && scales && grid) {
      const factors = Array.from(scales, (scale) => factorOf(scale * grid.scale / this.#out.scale));
      return [
        this.#constant("weight", "int8_t", weight),
        this.#constant("bias", "int32_t", bias),
        this.#constant("factors", "factor", factors.map(showFactor)),
      ];
    }
    const [factors, offsets] = this.#floatWeights();
    return [
      this.#constant("weight", "float", Array.from(factors, showFloat)),
      this.#constant("bias", "float", Array.from(offsets, showFloat)),
    ];
  }

  /** The same of a last linear layer of whole numbers, whose sums become floats. */
  logitWeights() {
    const { weight, bias, biasScales, grid } = this.#quantizedWeights()!;
    return {
      weight: this.#constant("weight", "int8_t", weight),
      bias: this.#constant("bias", "int32_t", bias),
      scales: this.#constant("scales", "float", Array.from(biasScales, showFloat)),
      zero: grid.zeroPoint,
    };
  }

  /** The bytes of 0 of its inputs, and its output, in whole numbers. */
  zeros(): number[] {
    if (!this.isInt8) return [];
    return [...this.#layer.inputs.map((input) => this.#grid(input).zeroPoint), this.#out.zeroPoint];
  }

  /** From a whole sum of its input's bytes times a number, to its output. */
  factor(times: number): string {
    const { scale } = this.#grid(this.#layer.inputs[0]);
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
    return this.#grid(this.#layer.inputs[0]) === this.#grids[this.#index];
  }

  /** A function's value of each byte. */
  table(apply: (x: number) => number): string {
    const grid = this.#grid(this.#layer.inputs[0]);
    const bytes = Array.from({ length: 256 }, (_, n) => {
      return quantize(apply(dequantize(n - 128, grid)), this.#out);
    });
    return this.#constant("table", "int8_t", bytes);
  }

  /** Sizes of images, and how windows lie on them. */
  shape({ inputShape, outputShape, kernelSize, stride, padding, groups }: {
    readonly inputShape: readonly number[];
    readonly outputShape: readonly number[];
    readonly kernelSize: readonly number[];
    readonly stride: readonly number[];
    readonly padding: readonly number[];
    readonly groups: number;
  }): string {
    const fields = { in: inputShape, out: outputShape, kernel: kernelSize, stride, padding };
    const lists = Object.entries(fields).map(([field, sizes]) =>
      `.${field} = {${sizes.join(", ")}},`
    );
    const name = `${this.#names[this.#index]}_shape`;
    this.constants.push(
      `static const shape ${name} = {\n${
        linesOf([...lists, `.groups = ${groups},`], "    ").join("\n")
      }\n};\n`,
    );
    this.constantBytes += BYTES.shape;
    return `&${name}`;
  }

  /** A float of C. */
  float(value: number): string {
    return showFloat(value);
  }

  get #grids(): readonly (Grid | undefined)[] {
    return this.#quantized?.grids ?? [];
  }

  get #out(): Grid {
    return this.#grids[this.#index]!;
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
      this.constants.push(
        `static const float transform_of_pixel[${channels}][2] = {${pairs.join(", ")}};\n`,
      );
      this.constantBytes += 2 * channels * BYTES.float;
      return this.call("standardize", ["pixels", to, "transform_of_pixel"], numbers);
    }
    const { image } = this.#quantized;
    const tables = Array.from({ length: channels }, (_, channel) => {
      const { mean, std } = channelOf(standardization, channel);
      return Array.from({ length: 256 }, (_, byte) => quantize((byte / 255 - mean) / std, image));
    });
    const isOne = tables.every((table) => `${table}` === `${tables[0]}`);
    const values = isOne ? tables[0] : tables.flat();
    const table = this.#define("byte_of_pixel", "int8_t", Array.from(values, String));
    this.call("standardize", ["pixels", to, table, isOne ? "0" : "256"], numbers);
  }

  /** Brings the logits where they are asked for, if the last layer did not. */
  finish(): void {
    const { layers, classCount } = this.#model.model;
    const last = layers.length - 1;
    const from = `memory + ${this.plan.offsets.get(last)}`;
    const grid = this.#grids[last];
    if (grid) {
      this.call("dequantize", [from, "logits"], [
        classCount,
        showFloat(grid.scale),
        grid.zeroPoint,
      ]);
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
      parameters.subarray(weight.offset, weight.offset + weight.size),
      bias
        ? parameters.subarray(bias.offset, bias.offset + bias.size)
        : new Float32Array(weight.shape[0]),
    ];
  }

  #quantizedWeights() {
    if (this.#quantized === undefined) return undefined;
    const grid = this.#grid(this.#layer.inputs[0]);
    const own = this.#quantized.weights.get(this.#layer.name);
    if (own !== undefined) return { ...own, grid };
    const [factors, shifts] = this.#floatWeights();
    const options = { outputs: factors.length, scale: grid.scale };
    return { ...quantizeWeights(factors, shifts, options), grid };
  }

  #constant(part: string, type: keyof typeof BYTES, values: ArrayLike<number | string>): string {
    return this.#define(`${this.#names[this.#index]}_${part}`, type, Array.from(values, String));
  }

  #define(name: string, type: keyof typeof BYTES, values: readonly string[]): string {
    this.constants.push(
      `static const ${type} ${name}[${values.length}] = {\n${wrapped(values)}\n};\n`,
    );
    this.constantBytes += values.length * BYTES[type];
    return name;
  }
}
