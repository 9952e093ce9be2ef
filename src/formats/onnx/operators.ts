/** What an operator of ONNX says of itself, and how its node's inputs are read. */

import { showShape } from "../../nn/sequential.ts";
import { type Attributes, requireShort } from "../attributes.ts";
import type { NetworkBuilder } from "../network_builder.ts";
import type { Tensor } from "../safetensors/file.ts";
import type { Constant, TensorReader } from "./constants.ts";

/** A node whose inputs are constants. */
export interface ConstantNode {
  readonly attributes: Attributes;
  /** In the node's order; undefined where one is computed or left out. */
  readonly inputs: readonly (Constant | undefined)[];
  readonly tensors: TensorReader;
}

/** A node that takes a computed value, and changes it. */
export interface ComputingNode extends ConstantNode {
  readonly network: NetworkBuilder;
  /** At which of its inputs. */
  readonly place: number;
  /** Another computed value; only {@linkcode Operator.adds} has one. */
  readonly other?: NetworkBuilder;
  /** What the layer may be called. */
  readonly name: string;
}

/** What is known of an operator; what it does not support is an error. */
export interface Operator {
  /** Inputs at most; default 1. */
  readonly inputs?: number;
  /** Adds what it does to the network. */
  readonly read?: (node: ComputingNode) => void;
  /** Works it out for constants. */
  readonly fold?: (node: ConstantNode) => Constant;
  /** Instead of both: the shape that it gives to a computed value, the batch in front, or to a constant. */
  readonly reshape?: (node: ConstantNode, shape: readonly number[]) => readonly number[];
  /** Whether the computed value may be its second input. */
  readonly commutes?: boolean;
  /** Whether it adds two computed values. */
  readonly adds?: boolean;
  /** Whether it computes nothing, so that it may take bytes. */
  readonly moves?: boolean;
  /** Whether it changes no answer, which a note tells. */
  readonly isLeftOut?: boolean;
}

/** What a layer's node holds beside the layer's inputs and parameters. */
export interface WrittenNode {
  /** Attributes that are whole numbers. */
  readonly ints?: Readonly<Record<string, number | readonly number[]>>;
  /** Attributes that are not. */
  readonly floats?: Readonly<Record<string, number>>;
  /** Running statistics that it takes behind the parameters. */
  readonly statistics?: readonly { readonly name: string }[];
  /** Numbers that it takes as inputs behind these. */
  readonly constants?: Readonly<Record<string, number>>;
}

/** An operator that a kind of layer is written as. */
export interface Written<Layer> extends Operator {
  readonly opType: string;
  write?(layer: Layer): WrittenNode;
}

/** The axes that an operator names, in an attribute of early opsets or its second input. */
export function axesOf(node: ConstantNode, rank: number): number[] | undefined {
  return (node.attributes.list("axes") ?? listAt(node, 1))?.map((axis) => normalAxis(axis, rank));
}

/** An axis counted from the front. */
export function normalAxis(axis: number, rank: number): number {
  const counted = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(counted) && counted >= 0 && counted < rank) return counted;
  throw new TypeError(`axis ${axis} is not one of ${rank}`);
}

/** The constant at a place among the inputs. */
export function required({ inputs }: ConstantNode, place: number): Constant {
  const found = inputs[place];
  if (found === undefined) throw new TypeError(`it has no input ${place}`);
  return found;
}

/** The list of whole numbers at a place among the inputs. */
export function listOf(node: ConstantNode, place: number): readonly number[] {
  const { shape, data } = required(node, place);
  if (shape.length <= 1 && !(data instanceof Float32Array)) {
    return requireShort(data, `its input ${place}`);
  }
  throw new TypeError(`its input ${place} must be a list of whole numbers`);
}

/** The same, or undefined if there is nothing. */
export function listAt(node: ConstantNode, place: number): readonly number[] | undefined {
  return node.inputs[place] && listOf(node, place);
}

/** The floats at a place among the inputs; undefined if there are none. */
export function floatsAt({ inputs }: ConstantNode, place: number): Tensor | undefined {
  const constant = inputs[place];
  if (constant === undefined) return undefined;
  const { shape, data } = constant;
  if (data instanceof Float32Array) return { shape, data };
  throw new TypeError(`its input ${place} must be floats, found whole numbers`);
}

/** The constant at a place among the inputs, of a certain number of dimensions. */
export function weightAt(node: ConstantNode, place: number, rank: number): Tensor {
  const tensor = floatsAt(node, place);
  if (tensor?.shape.length === rank) return tensor;
  throw new TypeError(
    `its weight must be a constant of ${rank} dimensions, found ` +
      (tensor === undefined ? "none" : showShape(tensor.shape)),
  );
}
