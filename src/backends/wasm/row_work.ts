/** What a step does with parameters: their gradients, their update, and packing. */

import type { OptimizerSpec } from "../backend.ts";
import type { Layout } from "./layout.ts";
import type { Rows, Stage, Thread, WeightCalls } from "./layers/layer.ts";
import { codeOf } from "./layers/table.ts";

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
    const calls = codeOf(stage.layer).weights?.(at, stage, rows);
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
  const ranges = layer.parameters.map(({ offset, size, shape: [rows] }) => {
    const rowSize = size / rows;
    const start = 4 * (offset + firstRow * rowSize);
    return {
      parameters: parameters + start,
      gradients: gradients + start,
      slots: slots.map((address) => address + start),
      count: (lastRow - firstRow) * rowSize,
    };
  });
  return (learningRate, step) => {
    for (const { parameters, gradients, slots: [slot, slot2], count } of ranges) {
      if (optimizer.type === "adam") {
        const { beta1, beta2, epsilon } = optimizer;
        kernels.adamUpdate(
          parameters,
          gradients,
          slot,
          slot2,
          count,
          learningRate / (1 - beta1 ** step),
          beta1,
          1 - beta1,
          beta2,
          1 - beta2,
          1 / Math.sqrt(1 - beta2 ** step),
          epsilon,
        );
      } else if (slot !== undefined) {
        const { momentum } = optimizer;
        kernels.momentumUpdate(parameters, gradients, slot, count, learningRate, momentum);
      } else {
        kernels.sgdUpdate(parameters, gradients, count, learningRate);
      }
    }
  };
}
