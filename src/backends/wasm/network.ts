/** A model as kernel calls of one thread: what it does with a block of images, and with its rows of the
 * parameters: their gradients, their update, and packing. */

import { volume } from "../../nn/layers/layer.ts";
import { constantsOf, type OptimizerSpec, ruleOf } from "../../nn/optimizers.ts";
import { ELEMENT_BYTES } from "./arena.ts";
import type { Kernels } from "./kernels.ts";
import type {
  BlockCall,
  GradientTarget,
  Rows,
  Stage,
  Thread,
  WeightCalls,
} from "./layers/layer.ts";
import type { Layout } from "./layout.ts";
import { locate } from "./tensors.ts";

/** One thread's program for a block of a chunk. */
export interface Network {
  readonly forward: readonly BlockCall[];
  readonly backward: readonly BlockCall[];
}

/** What a thread's calls name. */
export function threadOf(kernels: Kernels, layout: Layout, thread: number): Thread {
  const own = layout.ownStart + thread * layout.threadBytes;
  return { ...layout, kernels, own, scratch: own + layout.scratch };
}

/** Walks a layout into one thread's kernel calls. */
export function buildNetwork({ stages }: Layout, thread: Thread): Network {
  const trained = stages.filter(({ gradOutput }) => gradOutput !== undefined);
  return {
    forward: stages.flatMap((stage) => stage.code.forward(thread, stage) ?? []),
    backward: trained.toReversed().flatMap((stage) => [
      ...stage.code.backward(thread, stage),
      ...stage.gradInputs.flatMap((target) => sumCall(thread, target)),
    ]),
  };
}

/** Brings the gradient that a layer gives to an input to those of the others that read it. */
function sumCall({ kernels, own }: Thread, target: GradientTarget | undefined): BlockCall[] {
  if (target?.sum === undefined) return [];
  const { tensor: from, sum: { tensor: to, adds } } = target;
  const bytes = volume([to.channels, to.height, to.width]) * ELEMENT_BYTES;
  return [
    (block) => kernels.sumGradients(locate(from, own, block), locate(to, own, block), bytes, adds),
  ];
}

/** Work on a thread's rows of a layer. */
export interface RowWork extends WeightCalls {
  /** Moves the parameters against their gradients; steps count from 1. */
  update(learningRate: number, step: number): void;
}

/** Walks a layout into one thread's work. Rows stay with their thread, and so in its cache. */
export function buildRowWork(
  layout: Layout,
  at: Thread,
  { optimizer, thread, threads }: {
    readonly optimizer: OptimizerSpec;
    readonly thread: number;
    readonly threads: number;
  },
): RowWork[] {
  return layout.stages.flatMap((stage) => {
    const { layer: { outputShape: [count] } } = stage;
    const rows: Rows = {
      firstRow: Math.floor(thread * count / threads),
      lastRow: Math.floor((thread + 1) * count / threads),
    };
    const calls = stage.code.weights?.(at, stage, rows);
    if (calls === undefined) return [];
    return [{ ...calls, update: updateWork(layout, at, { stage, rows, optimizer }) }];
  });
}

function updateWork(
  { parameters, gradients, slots }: Layout,
  { kernels }: Thread,
  { stage: { layer }, rows: { firstRow, lastRow }, optimizer }: {
    readonly stage: Stage;
    readonly rows: Rows;
    readonly optimizer: OptimizerSpec;
  },
): RowWork["update"] {
  const { name } = ruleOf(optimizer);
  const { [`${name}Update` as "sgdUpdate"]: kernel } = kernels;
  const ranges = layer.parameters.map(({ offset, size, shape: [rows], decays }) => {
    const rowSize = size / rows;
    const start = 4 * (offset + firstRow * rowSize);
    const addresses = [parameters, gradients, ...slots].map((address) => address + start);
    return [...addresses, (lastRow - firstRow) * rowSize, Number(decays)];
  });
  return (learningRate, step) => {
    const constants = Object.values(constantsOf(optimizer, { learningRate, step }));
    for (const range of ranges) (kernel as UpdateKernel)(...range, ...constants);
  };
}

/** The kernel of any rule: addresses of parameters, gradients and slots, count, decays, constants. */
type UpdateKernel = (...values: number[]) => void;
