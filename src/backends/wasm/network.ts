/** A model as a list of kernel calls, for one thread: what it does with a block of images. */

import { volume } from "../../nn/layers/layer.ts";
import { ELEMENT_BYTES } from "./arena.ts";
import type { Kernels } from "./kernels.ts";
import type { BlockCall, GradientTarget, Thread } from "./layers/layer.ts";
import { codeOf } from "./layers/table.ts";
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
    forward: stages.flatMap((stage) => codeOf(stage.layer).forward(thread, stage) ?? []),
    backward: trained.toReversed().flatMap((stage) => [
      ...codeOf(stage.layer).backward(thread, stage),
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
