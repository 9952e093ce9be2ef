/** Which activations and gradients a model needs, and which may share memory. */

import type { Pair } from "../../nn/layers/layer.ts";
import { IMAGE, type Layer, type Model } from "../../nn/sequential.ts";
import { wholeBatchOf } from "../../nn/layers/table.ts";
import { phasesOf, Program, type Range } from "../program.ts";
import type { GradientTarget, LayerCode, MemoryRules, Stage } from "./layers/layer.ts";
import {
  allocateTensor,
  type BlockTensor,
  sharesMemory,
  type TensorMemory,
  type TensorNeeds,
  viewAs,
} from "./tensors.ts";

/** A layer and its tensors. */
export type PlannedLayer = Pick<
  Stage,
  | "layer"
  | "code"
  | "inputs"
  | "output"
  | "isRemade"
  | "turns"
  | "foldedBy"
  | "gradInputs"
  | "gradOutput"
>;

/** Tensors of a model. */
export interface MemoryPlan {
  readonly images: BlockTensor;
  readonly layers: readonly PlannedLayer[];
}

/** Decides on the tensors of a model.
 *
 * An activation overwrites its input where nobody else reads that, because every layer before it but
 * another activation can do without its own output. What a linear layer reads, and the gradient of
 * what it gives, is kept for all blocks: its weight gradient is made from all of them at once. So is what
 * one pass over the blocks makes and another reads, where a model has more than one phase, unless it is
 * made again by each. All else is used for one block at a time and stays in a core's cache.
 */
export function planMemory(
  model: Model,
  codes: readonly LayerCode<Layer>[],
  memory: TensorMemory,
): MemoryPlan {
  return new Planner(model, codes, memory).plan();
}

class Planner {
  readonly #model: Model;
  readonly #codes: readonly LayerCode<Layer>[];
  readonly #memory: TensorMemory;
  readonly #program: Program;
  readonly #rules: readonly MemoryRules[];
  readonly #phases: readonly Range[];

  constructor(model: Model, codes: readonly LayerCode<Layer>[], memory: TensorMemory) {
    this.#model = model;
    this.#codes = codes;
    this.#memory = memory;
    this.#program = new Program(model.layers);
    this.#rules = model.layers.map((layer, index) => codes[index].memory(layer));
    this.#phases = phasesOf(model.layers);
  }

  plan(): MemoryPlan {
    const { inputShape, layers } = this.#model;
    const images = allocateTensor(this.#memory, inputShape, this.#needsOf(IMAGE));
    const outputs: BlockTensor[] = [];
    const gradients: (BlockTensor | undefined)[] = [];
    const homes = this.#gradientHomes();
    const planned = layers.map((layer, index): PlannedLayer => {
      const inputs = layer.inputs.map((input) => input === IMAGE ? images : outputs[input]);
      const output = this.#liesOnInput(index)
        ? viewAs(inputs[0], layer.outputShape)
        : allocateTensor(this.#memory, layer.outputShape, this.#needsOf(index));
      outputs.push(output);
      const gradOutput = this.#gradientOf(index, homes, gradients);
      gradients.push(gradOutput);
      return {
        ...{ layer, code: this.#codes[index], inputs, output, gradInputs: [], gradOutput },
        isRemade: this.#rules[index].remade === true && this.#isRemade(index),
        turns: this.#phaseOf(index) === this.#phases.length - 1,
        foldedBy: this.#foldedBy(index),
      };
    });
    return {
      images,
      layers: planned.map((place, index) => ({
        ...place,
        gradInputs: place.layer.inputs.map((input) => this.#targetOf(index, input, gradients)),
      })),
    };
  }

  /** The layer that inference folds into another: it alone reads what that gives. */
  #foldedBy(index: number): number | undefined {
    const [reader, ...others] = this.#program.readersOf(index);
    const isOnly = reader !== undefined && others.length === 0;
    return isOnly && this.#codes[index].isLinear && this.#codes[reader].fold ? reader : undefined;
  }

  /** Whether a layer's output lies where its input lies. */
  #liesOnInput(index: number): boolean {
    const { inputs: [input] } = this.#model.layers[index];
    const { output } = this.#rules[index];
    if (output === "new" || !this.#program.isOnlyReader(index, input)) return false;
    return output === "views" || this.#mayBeOverwritten(input);
  }

  #mayBeOverwritten(tensor: number): boolean {
    if (tensor === IMAGE) return true;
    if (this.#rules[tensor].keepsOutput) return false;
    return !this.#liesOnInput(tensor) ||
      this.#mayBeOverwritten(this.#model.layers[tensor].inputs[0]);
  }

  /** What those who read a tensor, or what lies on it, want of it. */
  #needsOf(tensor: number): Required<TensorNeeds> {
    let [padding, keep]: [Pair, boolean] = [[0, 0], this.#outlivesPass(tensor)];
    for (const reader of this.#program.readersOf(tensor)) {
      const { padding: border = [0, 0], keepsInput = false } = this.#rules[reader];
      const behind = this.#liesOnInput(reader) ? this.#needsOf(reader) : undefined;
      padding = [0, 1].map((axis) =>
        Math.max(padding[axis], border[axis], behind?.padding[axis] ?? 0)
      ) as [number, number];
      keep ||= keepsInput || behind?.keep === true;
    }
    return { padding, keep };
  }

  /** The phase that makes a tensor. */
  #phaseOf(tensor: number): number {
    return tensor === IMAGE ? 0 : this.#phases.findIndex(({ end }) => tensor < end);
  }

  /** Whether a tensor is read in another pass over the blocks than the one that makes it. Going backward,
   * the blocks come again, but for those of the last phase, which turns round with each of them. */
  #outlivesPass(tensor: number): boolean {
    if (this.#isRemade(tensor)) return false;
    const made = this.#phaseOf(tensor);
    const comesAgain = made < this.#phases.length - 1;
    if (comesAgain && tensor !== IMAGE && this.#rules[tensor].keepsOutput) return true;
    return this.#program.readersOf(tensor).some((reader) =>
      this.#phaseOf(reader) !== made || (comesAgain && this.#rules[reader].rereads === true)
    );
  }

  /** Whether passes that read a tensor make it again: from what is kept, and nothing overwrites it. */
  #isRemade(tensor: number): boolean {
    if (tensor === IMAGE) return false;
    const { inputs: [input] } = this.#model.layers[tensor];
    if (this.#liesOnInput(tensor)) return this.#isRemade(input);
    return this.#rules[tensor].remade === true && this.#isOnlySeen(tensor) &&
      !this.#isRemade(input);
  }

  #isOnlySeen(tensor: number): boolean {
    return this.#program.readersOf(tensor).every((reader) => {
      const { output, keepsInput } = this.#rules[reader];
      if (keepsInput) return false;
      return !this.#liesOnInput(reader) || (output === "views" && this.#isOnlySeen(reader));
    });
  }

  /** The phases in whose backward passes the gradient of a tensor is used. */
  #gradientPhases(tensor: number): number[] {
    const readers = this.#program.readersOf(tensor);
    return [
      this.#phaseOf(tensor),
      ...[tensor, ...readers].map((index) => this.#backwardPhaseOf(index)),
    ];
  }

  /** The phase in whose backward pass a layer gives its input a gradient: the one before its own, if it had
   * to know that of the whole batch. */
  #backwardPhaseOf(index: number): number {
    const isWhole = wholeBatchOf(this.#model.layers[index]) > 0;
    return this.#phaseOf(index) - Number(isWhole);
  }

  #gradientOf(
    index: number,
    homes: readonly number[],
    gradients: readonly (BlockTensor | undefined)[],
  ): BlockTensor | undefined {
    if (!this.#program.needsGradient(index)) return undefined;
    const { outputShape }: Layer = this.#model.layers[index];
    const home = homes[index];
    if (home < index) return viewAs(gradients[home]!, outputShape);
    const there = [...homes.keys()].filter((tensor) => homes[tensor] === home);
    return allocateTensor(this.#memory, outputShape, {
      keep: there.some((tensor) => this.#rules[tensor].gradient === "kept") ||
        new Set(there.flatMap((tensor) => this.#gradientPhases(tensor))).size > 1,
    });
  }

  /** For each tensor, the first of those whose gradients lie where its gradient lies. */
  #gradientHomes(): number[] {
    const homes = [...this.#model.layers.keys()];
    for (const [index, { inputs }] of this.#model.layers.entries()) {
      for (const input of inputs) {
        if (!this.#mayShareGradient(index, input)) continue;
        const [first, second] = [homes[index], homes[input]].toSorted((a, b) => a - b);
        for (const tensor of homes.keys()) if (homes[tensor] === second) homes[tensor] = first;
      }
    }
    return homes;
  }

  /** Whether the gradient of a layer's output may lie where that of an input lies: nobody needs it as it was
   * when it has been turned into that, or others have added to it. Of a sum, the layer that gives the first
   * input may read it once more: before those on the way to that layer, which alone read the second input
   * too, or if nothing changes it. */
  #mayShareGradient(index: number, input: number): boolean {
    const { inputs: [first] } = this.#model.layers[index];
    if (this.#rules[index].gradient !== "in place" || !this.#program.needsGradient(input)) {
      return false;
    }
    const isAlone = this.#program.isOnlyReader(index, input);
    if (input === first) return isAlone;
    if (first === IMAGE || this.#rules[first].gradient !== "new") return false;
    return input < first
      ? this.#program.givesFirst(index, input)
      : isAlone && this.#rules[input].gradient !== "in place";
  }

  /** Where a layer's gradient for an input goes: what several layers read gets the sum. */
  #targetOf(
    index: number,
    input: number,
    gradients: readonly (BlockTensor | undefined)[],
  ): GradientTarget | undefined {
    if (!this.#program.needsGradient(input)) return undefined;
    const tensor = gradients[input]!;
    const isFirst = this.#program.givesFirst(index, input);
    if (this.#rules[index].gradient === "in place") {
      const own = gradients[index]!;
      return sharesMemory(own, tensor)
        ? { tensor }
        : { tensor: own, sum: { tensor, adds: !isFirst } };
    }
    if (isFirst) return { tensor };
    const apart = allocateTensor(this.#memory, this.#model.layers[input].outputShape);
    return { tensor: apart, sum: { tensor, adds: true } };
  }
}
