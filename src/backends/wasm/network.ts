/** A model as kernel calls of one thread: what it does with a block of images, and with its rows of the
 * parameters: their gradients, their update, and packing. */

import { volume } from "../../nn/layers/layer.ts";
import { constantsOf, type OptimizerSpec, ruleOf } from "../../nn/optimizers.ts";
import { ELEMENT_BYTES } from "./arena.ts";
import { phasesOf } from "../program.ts";
import type {
  BlockCall,
  GradientTarget,
  Rows,
  Stage,
  Thread,
  WeightCalls,
  WholeBatch,
} from "./layers/layer.ts";
import type { Layout } from "./layout.ts";
import { locate, sharesMemory } from "./tensors.ts";

/** One pass of all blocks of a batch in training: what is done with each, and by one thread once all are
 * done. The first pass begins with the images, and `turns` is where the loss is, and the way back begins.
 */
export interface BatchPass {
  readonly forward: readonly BlockCall[];
  readonly turns?: boolean;
  readonly backward: readonly BlockCall[];
  readonly finish: readonly ((batch: WholeBatch) => void)[];
}

/** One thread's program. */
export interface Network {
  /** By one thread, before all else; then, before inference, when parameters or statistics have changed. */
  readonly prepare: readonly (() => void)[];
  readonly fold: readonly (() => void)[];
  /** Passes of a batch in training: one, or where layers must know the whole batch, one a phase and
   * direction, but that the last phase has one for both. */
  readonly passes: readonly BatchPass[];
  /** Forward through a block outside training. */
  readonly infer: readonly BlockCall[];
}

/** What a thread's calls name. */
export function threadOf(
  layout: Layout,
  { thread, ...options }: Pick<Thread, "kernels" | "memory" | "seed"> & { readonly thread: number },
): Thread {
  const own = layout.ownStart + thread * layout.threadBytes;
  const [scratch, mask] = [own + layout.scratch, own + layout.mask];
  return { ...layout, ...options, own, scratch, mask, block: { indices: 0, count: 0, step: 0 } };
}

/** Walks a layout into one thread's kernel calls. */
export function buildNetwork({ stages }: Layout, thread: Thread): Network {
  const inference = { ...thread, parameters: thread.foldedParameters };
  const wholes = stages.map((stage) => stage.code.wholeBatch?.(thread, stage));
  const phases = phasesOf(stages.map(({ layer }) => layer))
    .map(({ start, end }) => stages.slice(start, end));
  const forward = (stage: Stage) => stage.code.forward(thread, stage) ?? [];
  const backward = (stage: Stage) =>
    stage.gradOutput === undefined ? [] : [
      ...stage.code.backward(thread, stage),
      ...stage.gradInputs.flatMap((target) => sumCall(thread, target)),
    ];
  const isWhole = ({ index }: Stage) => wholes[index] !== undefined;
  const wholesOf = (phase: readonly Stage[]) => phase.flatMap(({ index }) => wholes[index] ?? []);
  /** Making again what some layers read, but for what a pass makes anyway. */
  const remake = (readers: readonly Stage[], made: readonly Stage[]) =>
    stages.filter((stage) =>
      stage.isRemade && !made.includes(stage) &&
      readers.some(({ inputs }) => inputs.some((input) => sharesMemory(input, stage.output)))
    ).flatMap(forward);
  const forwards = phases.map((phase, place): BatchPass => {
    const following = phases[place + 1] ?? [];
    const next = wholesOf(following);
    return {
      forward: [
        ...remake([...phase, ...following.filter(isWhole)], phase),
        ...phase.flatMap(forward),
        ...next.map(({ measure }) => measure),
      ],
      backward: [],
      finish: next.map((whole) => (batch) => whole.normalize(batch)),
    };
  });
  const backwards = phases.map((phase, place): BatchPass => {
    const waiting = (phases[place + 1] ?? []).filter(isWhole);
    const own = phase.filter((stage) => !isWhole(stage));
    const rereaders = [...phase, ...waiting]
      .filter(({ code, layer }) => code.memory(layer).rereads);
    return {
      forward: [],
      backward: [
        ...remake(rereaders, place === phases.length - 1 ? phase : []),
        ...[...own, ...waiting].toReversed().flatMap(backward),
        ...wholesOf(phase).map(({ measureGradient }) => measureGradient),
      ],
      finish: wholesOf(phase).map((whole) => (batch) => whole.settle(batch)),
    };
  });
  const [lastForward, lastBackward] = [forwards.pop()!, backwards.pop()!];
  const turn = { ...lastBackward, forward: lastForward.forward, turns: true };
  return {
    passes: [...forwards, turn, ...backwards.toReversed()],
    prepare: stages.flatMap((stage) => stage.code.prepare?.(thread, stage) ?? []),
    fold: stages.flatMap(({ folded, foldedBy = 0 }) => {
      if (folded === undefined) return [];
      const { code, layer: { outputShape: [lastRow] } } = folded;
      const rows = code.weights?.(inference, folded, { firstRow: 0, lastRow });
      return [
        stages[foldedBy].code.fold!(thread, stages[foldedBy], folded),
        ...(rows?.pack ? [rows.pack] : []),
      ];
    }),
    infer: stages.flatMap((stage) => {
      if (stages.some(({ foldedBy }) => foldedBy === stage.index)) return [];
      if (stage.folded) return stage.code.forward(inference, stage.folded) ?? [];
      const { code } = stage;
      return (code.infer ? code.infer(thread, stage) : code.forward(thread, stage)) ?? [];
    }),
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
export interface LayerUpdate extends WeightCalls {
  /** Multiplies the gradients. */
  scale(factor: number): void;
  /** Moves the parameters against their gradients; steps count from 1. */
  update(learningRate: number, step: number): void;
}

/** Walks a layout into one thread's work. Rows stay with their thread, and so in its cache. */
export function buildLayerUpdates(
  layout: Layout,
  at: Thread,
  { optimizer, thread, threads }: {
    readonly optimizer: OptimizerSpec;
    readonly thread: number;
    readonly threads: number;
  },
): LayerUpdate[] {
  return layout.stages.flatMap((stage) => {
    const { layer: { outputShape: [count] } } = stage;
    const rows: Rows = {
      firstRow: Math.floor(thread * count / threads),
      lastRow: Math.floor((thread + 1) * count / threads),
    };
    const calls = stage.code.weights?.(at, stage, rows);
    if (calls === undefined) return [];
    return [{ ...calls, ...rowUpdate(layout, at, { stage, rows, optimizer }) }];
  });
}

function rowUpdate(
  { parameters, gradients, slots }: Layout,
  { kernels }: Thread,
  { stage: { layer }, rows: { firstRow, lastRow }, optimizer }: {
    readonly stage: Stage;
    readonly rows: Rows;
    readonly optimizer: OptimizerSpec;
  },
): Pick<LayerUpdate, "scale" | "update"> {
  const { name } = ruleOf(optimizer);
  const { [`${name}Update` as "sgdUpdate"]: kernel } = kernels;
  const trained = layer.parameters.filter(({ trained }) => trained);
  const ranges = trained.map(({ offset, size, shape: [rows], decays }) => {
    const rowSize = size / rows;
    const start = 4 * (offset + firstRow * rowSize);
    const addresses = [parameters, gradients, ...slots].map((address) => address + start);
    return [...addresses, (lastRow - firstRow) * rowSize, Number(decays)];
  });
  return {
    scale(factor) {
      for (const range of ranges) kernels.scaleVector(range[1], range[2 + slots.length], factor);
    },
    update(learningRate, step) {
      const constants = Object.values(constantsOf(optimizer, { learningRate, step }));
      for (const range of ranges) (kernel as UpdateKernel)(...range, ...constants);
    },
  };
}

/** The kernel of any rule: addresses of parameters, gradients and slots, count, decays, constants. */
type UpdateKernel = (...values: number[]) => void;
