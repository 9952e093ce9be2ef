/** Where everything lives: one address for each tensor of a model, the same on every thread. */

import type { Augmentation } from "../../data/augment.ts";
import type { LossTargets } from "../../nn/loss.ts";
import type { Model } from "../../nn/sequential.ts";
import { Arena, BLOCK, ELEMENT_BYTES, VECTOR_BYTES } from "./arena.ts";
import type { Places, Stage } from "./layers/layer.ts";
import { codesOf, type Variants } from "./layers/table.ts";
import { phasesOf } from "../program.ts";
import { planMemory } from "./memory_plan.ts";
import type { BlockTensor } from "./tensors.ts";

/** Most images whose inputs of linear layers are kept at a time, to stay in the caches. */
const MAX_CHUNK = 256;

/** Bytes of what is to be done with an image, as kernels read it. */
export const CHANGE_BYTES = 64;

/** What a layout is made for. */
export interface LayoutOptions {
  readonly batchSize: number;
  readonly threads: number;
  /** Vectors that the optimiser keeps beside the parameters. */
  readonly slotCount: number;
  /** Whether layers are computed in ways that round differently; default: where these are faster. */
  readonly variants?: Variants;
  /** Of a loss that is not plain cross-entropy. */
  readonly targets?: LossTargets;
  /** How images are changed in training; default: not at all. */
  readonly augmentation?: Augmentation;
}

/** Addresses of a session. */
export interface Layout extends Places {
  readonly stages: readonly Stage[];
  readonly images: BlockTensor;
  readonly logits: BlockTensor;
  readonly gradLogits: BlockTensor;
  /** Words through which threads meet, and the description of the current work. */
  readonly control: number;
  readonly task: number;
  readonly slots: readonly number[];
  /** What is wanted of all classes, as `weighTargets` reads it; undefined for plain cross-entropy. */
  readonly targets?: { readonly address: number; readonly values: readonly number[] };
  /** Private, as the tensors that are not shared: their addresses count from the
   * start of a thread's own memory. */
  readonly scratch: number;
  readonly mask: number;
  /** What is done with each image of a block, and room for one channel of each; private, and empty
   * where images are not changed. */
  readonly changes: number;
  readonly staging: number;
  /** Convolutions' sums of the first group of blocks. */
  readonly sums: number;
  /** Images that are trained between two meetings of the threads; a multiple of eight. */
  readonly chunkSize: number;
  /** Where thread 0's own memory starts, and the distance to the next thread's. */
  readonly ownStart: number;
  readonly threadBytes: number;
  /** First address that is free for data. */
  readonly end: number;
}

/** Lays out a model's memory; pure, so that every thread finds the same. */
export function layOut(model: Model, options: LayoutOptions): Layout {
  const { batchSize, threads, slotCount, targets, augmentation, variants = "faster" } = options;
  // Where layers must know the whole batch, all of it is kept.
  const isWhole = phasesOf(model.layers).length > 1;
  const blocks = Math.ceil(Math.min(batchSize, isWhole ? Infinity : MAX_CHUNK) / BLOCK);
  const shared = new Arena(VECTOR_BYTES * 256); // constants of the kernels lie below
  const own = new Arena(0);
  const group = new Arena(0);
  const control = shared.allocate(64);
  const task = shared.allocate(256);
  const ones = shared.allocate(ELEMENT_BYTES);
  const vectorBytes = 4 * model.parameterCount;
  const parameters = shared.allocate(vectorBytes);
  const gradients = shared.allocate(vectorBytes);
  const slots = Array.from({ length: slotCount }, () => shared.allocate(vectorBytes));
  const statistics = shared.allocate(4 * model.statisticCount);
  const biasBytes = Math.max(
    ...model.layers.map(({ parameters, outputShape: [channels] }) =>
      parameters.length === 1 ? 4 * channels : 0
    ),
  );
  const [noBias, noBiasGradient] = [shared.allocate(biasBytes), shared.allocate(biasBytes)];
  const wanted = targets && [...targets.totals, ...targets.others];
  const targetsAt = shared.allocate(4 * (wanted?.length ?? 0));
  const codes = codesOf(model.layers, variants);
  const plan = planMemory(model, codes, { shared, own, blocks: Math.max(blocks, threads) });
  const scratchBytes = codes.map((code, index) => code.scratchBytes?.(model.layers[index]) ?? 0);
  const scratch = own.allocate(Math.max(12 * VECTOR_BYTES, ...scratchBytes));
  const mask = own.allocate(ELEMENT_BYTES);
  const { inputShape: [, height, width] } = model;
  const changes = own.allocate(augmentation ? BLOCK * CHANGE_BYTES : 0);
  const staging = own.allocate(augmentation ? BLOCK * height * width : 0);
  const isFolding = plan.layers.some(({ foldedBy }) => foldedBy !== undefined);
  const foldedParameters = shared.allocate(isFolding ? vectorBytes : 0);
  const foldedOf = (stage: Stage): Stage | undefined => {
    const { code, layer, foldedBy } = stage;
    if (foldedBy === undefined) return undefined;
    const { output, layer: behind, code: { withBias } } = plan.layers[foldedBy];
    const sizes = code.sizes?.(layer, { ...stage, output }) ?? [];
    return {
      ...stage,
      layer: withBias!(behind, layer),
      ...{ output, sizes, shape: shared.allocate(4 * sizes.length) },
      packedForward: shared.allocate(code.packedBytes?.(layer) ?? 0),
      packedBackward: 0,
    };
  };
  const stages = plan.layers.map((place, index): Stage => {
    const { layer, code, gradInputs } = place;
    const sizes = code.sizes?.(layer, place) ?? [];
    const bytes = code.batchBytes?.(layer) ?? { batch: 0, measures: 0 };
    const packedBytes = code.packedBytes?.(layer) ?? 0;
    const stage: Stage = {
      ...place,
      index,
      batch: shared.allocate(bytes.batch),
      measures: shared.allocate(bytes.measures * blocks),
      shape: shared.allocate(4 * sizes.length),
      sizes,
      packedForward: shared.allocate(packedBytes),
      packedBackward: gradInputs[0] !== undefined ? shared.allocate(packedBytes) : 0,
      sums: group.allocate(code.sumsBytes?.(layer) ?? 0),
      kept: own.allocate(code.keptBytes?.(layer) ?? 0),
    };
    return { ...stage, folded: foldedOf(stage) };
  });
  const last = stages[stages.length - 1];
  const sums = shared.allocate(group.end * (groupStarts(blocks, threads).length - 1));
  return {
    stages: stages.map((stage) => ({ ...stage, sums: sums + stage.sums })),
    images: plan.images,
    logits: last.output,
    gradLogits: last.gradOutput!,
    control,
    task,
    ones,
    parameters,
    gradients,
    slots,
    statistics,
    foldedParameters,
    noBias,
    noBiasGradient,
    targets: wanted && { address: targetsAt, values: wanted },
    scratch,
    mask,
    changes,
    staging,
    sums,
    groupBytes: group.end,
    chunkSize: blocks * BLOCK,
    ownStart: shared.end,
    threadBytes: own.end,
    end: shared.end + threads * own.end,
  };
}

/** First blocks of the groups of `blocks` blocks, and their end: group g is starts[g]..starts[g + 1].
 *
 * A thread alone takes all. Others take large groups first and single blocks at the end: few groups
 * are few sums of gradients, and yet a thread that the machine holds up delays nobody by more than
 * about one block.
 */
export function groupStarts(blocks: number, threads: number): number[] {
  const starts = [0];
  for (let start = 0; start < blocks;) {
    const rest = blocks - start;
    start += threads === 1 ? rest : Math.max(1, Math.floor(rest / (2 * threads)));
    starts.push(start);
  }
  return starts;
}
