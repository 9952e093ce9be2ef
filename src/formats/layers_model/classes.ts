/** What a class of Keras's layers says of itself, and what the readers of several need. */

import type { Conv2dLayer } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import type { Attributes } from "../attributes.ts";
import { CHANNELS_FIRST, CHANNELS_LAST } from "../value.ts";
import type { NetworkBuilder } from "../network_builder.ts";
import type { Tensor } from "../safetensors/file.ts";
import { permuted } from "../tensors.ts";
import type { TakeWeight } from "./weights.ts";

/** A layer that is being read. */
export interface Node {
  readonly name: string;
  /** What it takes and changes. */
  readonly network: NetworkBuilder;
  /** What else it takes; only {@linkcode KerasClass.adds} has some. */
  readonly others: readonly NetworkBuilder[];
  readonly attributes: Attributes;
  readonly take: TakeWeight;
  /** Groups of channels between which its kernel has zeros; left out where nobody says so. */
  readonly groups?: number;
}

/** What is known of a class; what it does not support is an error. */
export interface KerasClass {
  /** Adds what it does to the network. */
  read(node: Node): void;
  /** Whether it takes several values. */
  readonly adds?: boolean;
  /** Whether it ends in the activation that an attribute names. */
  readonly activates?: boolean;
}

/** What TensorFlow.js has no layer for. */
export class NoKerasLayerError extends TypeError {}

/** A layer of Keras, and one that must come before it. */
export interface WrittenLayer {
  /** If it is another one than that which is read. */
  readonly className?: string;
  readonly config: object;
  /** Its weights, if it has any, from the layer's parameters and statistics. */
  readonly weights?: (tensors: readonly Tensor[]) => Readonly<Record<string, Tensor>>;
  readonly before?: {
    readonly className: string;
    readonly suffix: string;
    readonly config: object;
  };
}

/** The class of Keras that a kind of layer is. */
export interface Written<Layer> extends KerasClass {
  readonly className: string;
  write(layer: Layer): WrittenLayer;
}

/** How every image lies that is written. */
export const FORMAT = { data_format: "channels_last" };
/** An initialiser; what it says matters to nobody. */
export const ZEROS = { class_name: "Zeros", config: {} };

/** What Conv2D, DepthwiseConv2D and Dense have alike. */
export function weighted({ bias }: Pick<Conv2dLayer, "bias">, kernel = "kernel") {
  return {
    [`${kernel}_initializer`]: ZEROS,
    ...{ [`${kernel}_regularizer`]: null, [`${kernel}_constraint`]: null },
    ...{ use_bias: bias !== undefined, bias_initializer: ZEROS },
    ...{ bias_regularizer: null, bias_constraint: null },
    ...{ activity_regularizer: null, activation: "linear" },
  };
}

/** A kernel with its axes in another order, and the bias if there is one. */
export function kernelAndBias(order: readonly number[], part = "kernel") {
  return ([kernel, bias]: readonly Tensor[]) => (
    { [part]: permuted(kernel, order), ...(bias && { bias }) }
  );
}

/** The bias that a layer with weights has. */
export function biasOf({ attributes, take }: Node): Float32Array | undefined {
  return attributes.flag("use_bias", true) ? take("bias", 1).data : undefined;
}

/** Demands that an axis, counted with the batch, is that of the channels or of the features. */
export function requireChannels(network: NetworkBuilder, axis: unknown): void {
  const [place, ...more] = [axis].flat().map(Number);
  const index = place < 0 ? place + network.sizes.length : place - 1;
  if (more.length === 0 && network.isChannels(index)) return;
  throw new TypeError(`axis must be that of the channels, found ${quote(axis)}`);
}

/** Demands an image, its axes where the layer expects them. */
export function requireImage({ network, attributes }: Node): void {
  network.image(isChannelsLast(attributes) ? CHANNELS_LAST : CHANNELS_FIRST);
}

/** Where a layer expects the channels. */
export function isChannelsLast(attributes: Attributes): boolean {
  const format = attributes.value("data_format") ?? "channels_last";
  if (format === "channels_last" || format === "channels_first") return format === "channels_last";
  throw new TypeError(`data_format ${quote(format)} is not supported`);
}
