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
import { type KernelName, KERNELS } from "./kernels.ts";
import { type MemoryPlan, planMemory } from "./memory.ts";
import { writtenAs } from "./layers.ts";

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
  #index = IMAGE as number;

  /** Writes all of a model. */
  constructor(model: TrainedModel | QuantizedModel) {
    this.#model = model;
    this.#quantized = "grids" in model ? model : undefined;
    this.isInt8 = this.#quantized !== undefined;
    const { layers } = model.model;
    this.#names = uniqueNames(layers);
    this.plan = planMemory(
      model.model,
      layers.map((layer) => writtenAs(layer).placement ?? "new"),
    );
    this.#standardize();
    for (const [index, layer] of layers.entries()) {
      this.#index = index;
      const { name, type, inputShape, outputShape } = layer;
      const title = `${name} (${type})`.replace(/[^\x20-\x7e]|\*\/|\/\*/g, "?");
      const place = this.calls.length;
      writtenAs(layer).write(layer, this);
      const shapes = `[${inputShape.join(", ")}] -> [${outputShape.join(", ")}]`;
      const isDone = this.calls.length === place ? "; nothing to do" : "";
      this.calls.splice(place, 0, `/* ${title}: ${shapes}${isDone} */`);
    }
    this.#index++;
    this.#finish();
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
    const lists = Object.entries(fields).map(([name, sizes]) => `.${name} = {${sizes.join(", ")}}`);
    const name = `${this.#names[this.#index]}_shape`;
    this.constants.push(
      `static const shape ${name} = {\n    ${lists.join(", ")}, .groups = ${groups}};\n`,
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
    const isWritten = writtenAs(layers[tensor] ?? layers[0]).placement === undefined;
    if (tensor === layers.length - 1 && isWritten && !this.isInt8) return "logits";
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
        `static const float pixel_transform[${channels}][2] = {${pairs.join(", ")}};\n`,
      );
      this.constantBytes += 2 * channels * BYTES.float;
      return this.call("standardize", ["pixels", to, "pixel_transform"], numbers);
    }
    const { image } = this.#quantized;
    const tables = Array.from({ length: channels }, (_, channel) => {
      const { mean, std } = channelOf(standardization, channel);
      return Array.from({ length: 256 }, (_, byte) => quantize((byte / 255 - mean) / std, image));
    });
    const isOne = tables.every((table) => `${table}` === `${tables[0]}`);
    const values = isOne ? tables[0] : tables.flat();
    const table = this.#define("pixel_table", "int8_t", Array.from(values, String));
    this.call("standardize", ["pixels", to, table, isOne ? "0" : "256"], numbers);
  }

  /** Brings the logits where they are asked for, if the last layer did not. */
  #finish(): void {
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
    } else if (!this.isInt8 && writtenAs(layers[last]).placement !== undefined) {
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

/** Kernels of a model's kind of numbers, in a fixed order. */
export function kernelsOf(
  { kernels, isInt8 }: Writer,
): readonly { text: string; usesMath: boolean }[] {
  return Object.entries(KERNELS).flatMap(([name, kernel]) => {
    if (!kernels.has(name as KernelName)) return [];
    const usesMath = !isInt8 && "usesMath" in kernel;
    return [{ text: isInt8 ? kernel.int8 : kernel.float, usesMath }];
  });
}

/** Values for between braces, four columns in. */
export function wrapped(values: readonly string[]): string {
  return linesOf(values.map((value) => `${value},`), "    ").join("\n");
}

/** Words in lines of at most 100 columns. */
function linesOf(words: readonly string[], indent: string): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 98) lines[lines.length - 1] += ` ${word}`;
    else lines.push(indent + word);
  }
  return lines;
}

/** A number as a float of C, to the last bit. */
export function showFloat(value: number): string {
  const shown = String(Number(Math.fround(value).toPrecision(9)));
  return `${/[.e]/.test(shown) ? shown : `${shown}.0`}f`;
}

interface Factor {
  readonly multiplier: number;
  readonly shift: number;
}

/** A positive factor as a whole number of 31 bits over a power of two. */
function factorOf(value: number): Factor {
  const shift = Math.min(Math.max(30 - Math.floor(Math.log2(value)), 1), 62);
  const multiplier = Math.round(value * 2 ** shift);
  if (multiplier < 2 ** 31) return { multiplier, shift };
  return {
    multiplier: Math.min(Math.round(multiplier / 2), 2 ** 31 - 1),
    shift: Math.max(shift - 1, 1),
  };
}

function showFactor({ multiplier, shift }: Factor): string {
  return `{${multiplier}, ${shift}}`;
}

/** A word of C for each layer, no two the same. */
function uniqueNames(layers: readonly Layer[]): string[] {
  const names = layers.map(({ name }) => {
    const word = name.replace(/[^A-Za-z0-9]+/g, "_");
    return /^[A-Za-z]/.test(word) ? word : `layer_${word}`.replace(/_+/g, "_");
  });
  const isShared = (name: string) => names.filter((other) => other === name).length > 1;
  return names.map((name, index) => isShared(name) ? `${name}_at_${index}` : name);
}
