/** What the engine knows of a kind of layer: its memory, and its kernel calls for one thread. */

import type { Pair } from "../../../nn/layers/layer.ts";
import type { Layer } from "../../../nn/sequential.ts";
import type { Shard } from "../../backend.ts";
import type { Kernels } from "../kernels.ts";
import type { BlockTensor } from "../tensors.ts";

/** A layer and the addresses that its kernels need; 0 where there is none. */
export interface Stage<Kind extends Layer = Layer> {
  readonly layer: Kind;
  /** How it is computed. */
  readonly code: LayerCode<Kind>;
  /** The layer's place in the model. */
  readonly index: number;
  /** In the order of `layer.inputs`. */
  readonly inputs: readonly BlockTensor[];
  readonly output: BlockTensor;
  /** Whether its output is made again by each pass that reads it. */
  readonly isRemade: boolean;
  /** Whether blocks go backward in the pass in which they go forward. */
  readonly turns: boolean;
  /** The layer behind it that inference folds into it. */
  readonly foldedBy?: number;
  /** Where kernels write the inputs' gradients; undefined where none is needed. */
  readonly gradInputs: readonly (GradientTarget | undefined)[];
  /** Undefined where no gradient is needed: nothing up to here has parameters. */
  readonly gradOutput?: BlockTensor;
  /** Sizes, as `shapes.ts` of the kernels reads them. */
  readonly shape: number;
  readonly sizes: readonly number[];
  /** Weights in the order of the forward pass, and of the input gradient. */
  readonly packedForward: number;
  readonly packedBackward: number;
  /** How it is computed in inference where the layer behind it is folded into it. */
  readonly folded?: Stage<Kind>;
  /** Sums of a convolution's weight gradients over the first group of blocks. */
  readonly sums: number;
  /** What it keeps from the forward to the backward pass, in a thread's own memory. */
  readonly kept: number;
  /** What the layer works out from the whole batch, and what it has measured of the first block. */
  readonly batch: number;
  readonly measures: number;
}

/** Where the gradient that a layer gives to an input goes. */
export interface GradientTarget {
  /** What its kernel writes. */
  readonly tensor: BlockTensor;
  /** The input's gradient, where that is another: the kernel's is copied or added to it. */
  readonly sum?: { readonly tensor: BlockTensor; readonly adds: boolean };
}

/** What a layer's memory may be. */
export interface MemoryRules {
  /** Zeros that it needs around its input; default none. */
  readonly padding?: Pair;
  /** Whether it reads its input again once all blocks are done, which is then kept for each. */
  readonly keepsInput?: boolean;
  /** Whether its backward pass reads its input. */
  readonly rereads?: boolean;
  /** Whether its output may be made again from its input, which is cheaper than to keep it for each block. */
  readonly remade?: boolean;
  /** Where its output lies: by itself, over its input if nobody else needs that, or as its input does. */
  readonly output: "new" | "overwrites" | "views";
  /** Whether its backward pass reads its output, which nobody may then overwrite. */
  readonly keepsOutput?: boolean;
  /** The gradient of its output: by itself, kept for all blocks, or turned in place into an input's. */
  readonly gradient: "new" | "kept" | "in place";
}

/** Addresses of a session that kernel calls name. */
export interface Places {
  readonly parameters: number;
  readonly gradients: number;
  readonly statistics: number;
  /** Parameters for inference, of layers into which others are folded. */
  readonly foldedParameters: number;
  /** One element full of ones. */
  readonly ones: number;
  /** Zeros for layers without a bias, and where their biases' gradients go, which nobody reads. */
  readonly noBias: number;
  readonly noBiasGradient: number;
  /** The distance from a group's sums to the next one's. */
  readonly groupBytes: number;
}

/** For whom kernel calls are made. */
export interface Thread extends Places {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
  /** What dropout follows from. */
  readonly seed: number;
  /** Where the thread's own memory starts. */
  readonly own: number;
  /** What the thread's kernels use between two calls: twelve vectors, or as much as a layer asks for. */
  readonly scratch: number;
  /** One element of its own: 1 in the lanes that hold an image of the block at hand, 0 in the others. */
  readonly mask: number;
  /** Whose lanes' indices begin here, in a step of the training. */
  readonly block: { indices: number; count: number; step: number };
}

/** A kernel call on one block of images; weight gradients go to the sums of the block's group. */
export type BlockCall = (block: number, group: number) => void;

/** A batch in training, as a layer that must know all of it wants to. */
export interface WholeBatch {
  /** Images of this session's part of it, and of all of it. */
  readonly images: number;
  readonly batchSize: number;
  /** Whether running statistics move. */
  readonly isStep: boolean;
  readonly shard?: Partial<Pick<Shard, "sum">>;
}

/** What a layer that must know the whole batch does beside its passes over a block. */
export interface WholeBatchCalls {
  /** On a block of its input, when that has been made. */
  measure: BlockCall;
  /** By one thread, between the measurements of all blocks and the forward pass. */
  normalize(batch: WholeBatch): void;
  /** On a block of its output's gradient, when that has been made. */
  measureGradient: BlockCall;
  /** By one thread, between these measurements and the backward pass. */
  settle(batch: WholeBatch): void;
}

/** A thread's rows of a layer's parameters: its output channels or features, the last exclusive. */
export interface Rows {
  readonly firstRow: number;
  readonly lastRow: number;
}

/** Work on a thread's rows of a layer. */
export interface WeightCalls {
  /** Sums gradients over the blocks of a chunk, and over the chunks before it. */
  accumulate?(blocks: number, isFirstChunk: boolean): void;
  /** Sums gradients over the groups of blocks. */
  reduce?(groups: number): void;
  /** Copies weights into the orders in which kernels read them. */
  pack?(): void;
}

/** A kind of layer as this engine computes it. */
export interface LayerCode<Kind extends Layer> {
  memory(layer: Kind): MemoryRules;
  /** The fields of Conv2dShape or Pool2dShape of the kernels, in their order; default none. */
  sizes?(layer: Kind, place: Pick<Stage, "inputs" | "output" | "turns">): number[];
  /** Bytes of its weights in the order in which a kernel reads them. */
  packedBytes?(layer: Kind): number;
  /** Bytes of the sums of its weight gradients over a group of blocks. */
  sumsBytes?(layer: Kind): number;
  /** Bytes that a thread keeps of a block from the forward to the backward pass; default none. */
  keptBytes?(layer: Kind): number;
  /** Bytes that it uses within a call; default twelve vectors. */
  scratchBytes?(layer: Kind): number;
  /** Bytes of what it works out from the whole batch, and of what it measures of a block. */
  batchBytes?(layer: Kind): { readonly batch: number; readonly measures: number };
  /** Undefined where nothing is to be done. */
  forward(thread: Thread, stage: Stage<Kind>): BlockCall | undefined;
  /** Outside training, where that is another call. */
  infer?(thread: Thread, stage: Stage<Kind>): BlockCall | undefined;
  /** In the order in which they are made; only where the output's gradient is needed. */
  backward(thread: Thread, stage: Stage<Kind>): BlockCall[];
  weights?(thread: Thread, stage: Stage<Kind>, rows: Rows): WeightCalls;
  /** A way to compute the layer that gives the same to within rounding, where there is one; `pays` says
   * whether it is faster.
   */
  variant?(layer: Kind): { readonly code: LayerCode<Kind>; readonly pays: boolean } | undefined;
  /** Whether its outputs are sums of products with rows of its weight, plus its bias: whoever alone reads them,
   * and only scales and shifts them, can do so with the weights instead. */
  readonly isLinear?: boolean;
  /** The layer before it, which has `isLinear`, with the bias that it has when it scales and shifts too. */
  withBias?(layer: Kind, before: Layer): Layer;
  /** Writes that layer's parameters, scaled and shifted, to where those for inference are. */
  fold?(thread: Thread, stage: Stage<Kind>, before: Stage): () => void;
  /** The code of both, if its kernels do in training what a layer does as well that alone reads its output. */
  join?(next: LayerCode<Layer>): LayerCode<Kind> | undefined;
  /** What remains of it then. */
  readonly joined?: LayerCode<Kind>;
  /** By one thread, before any pass of a task. */
  prepare?(thread: Thread, stage: Stage<Kind>): () => void;
  /** Undefined where it takes image by image. */
  wholeBatch?(thread: Thread, stage: Stage<Kind>): WholeBatchCalls | undefined;
}
