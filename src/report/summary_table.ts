/** A model's layers, sizes and costs as a table. */

import type { Model } from "../nn/sequential.ts";
import { type LayerSummary, summarize } from "../nn/summary.ts";
import { formatColumns, formatCount } from "./table.ts";

/** A model's cost, layer by layer and in all. */
export interface Costs {
  readonly layers: readonly LayerSummary[];
  readonly total: Readonly<Record<"parameters" | "forwardMacs" | "trainingMacs", number>>;
}

/** Adds up what a model's layers cost. */
export function costsOf(model: Model): Costs {
  const layers = summarize(model);
  const sum = (key: keyof Costs["total"]) => layers.reduce((total, layer) => total + layer[key], 0);
  const total = {
    parameters: sum("parameters"),
    forwardMacs: sum("forwardMacs"),
    trainingMacs: sum("trainingMacs"),
  };
  return { layers, total };
}

/** The table of `deno task summary`. */
export function summaryTable({ layers, total }: Costs): string {
  const blank = (value: number) => value === 0 ? "" : formatCount(value);
  const rows = layers.map((layer) => [
    layer.name,
    layer.type,
    layer.detail,
    layer.outputShape.join("x"),
    blank(layer.parameters),
    blank(layer.forwardMacs),
    blank(layer.trainingMacs),
    layer.receptiveField.join("x"),
  ]);
  const totals = [total.parameters, total.forwardMacs, total.trainingMacs].map(formatCount);
  return formatColumns(
    ["layer", "type", "window", "output", "params", "MACs", "training", "sees"],
    [...rows, ["total", "", "", "", ...totals, ""]],
    "llllrrrr",
  );
}
