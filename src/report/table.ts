/** Tables for the terminal and for Markdown: one form serves both. */

import { markdownTable } from "markdown-table";
import type { Model } from "../nn/sequential.ts";
import { type LayerSummary, summarize } from "../nn/summary.ts";
import { formatCount } from "../quote.ts";

export { countOf, formatCount } from "../quote.ts";

/** Formats rows under a header as a Markdown table, aligned so that it also reads as plain text.
 *
 * @param align One letter a column: `l` or `r`.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  align: string,
): string {
  return markdownTable([[...header], ...rows.map((row) => [...row])], { align: [...align] });
}

/** Formats rows under a header as columns two spaces apart, narrower than a Markdown table.
 *
 * @param align One letter a column: `l` or `r`.
 */
function formatColumns(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  align: string,
): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const pad = (text: string, column: number) =>
    align[column] === "r" ? text.padStart(widths[column]) : text.padEnd(widths[column]);
  return all.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}

/** A model's cost, layer by layer and in all. */
export interface Costs {
  readonly layers: readonly LayerSummary[];
  readonly total: Readonly<
    Record<"parameters" | "statistics" | "forwardMacs" | "trainingMacs", number>
  >;
}

/** Adds up what a model's layers cost. */
export function costsOf(model: Model): Costs {
  const layers = summarize(model);
  const sum = (key: keyof Costs["total"]) => layers.reduce((total, layer) => total + layer[key], 0);
  const total = {
    parameters: sum("parameters"),
    statistics: sum("statistics"),
    forwardMacs: sum("forwardMacs"),
    trainingMacs: sum("trainingMacs"),
  };
  return { layers, total };
}

/** Columns that a terminal has at least. */
const MAX_WIDTH = 80;

/** The table of `deno task summary`, with a line of what is short in it where words do not fit. */
export function summaryTable({ layers, total }: Costs): string {
  const blank = (value: number) => value === 0 ? "" : formatCount(value);
  const rows = layers.map((layer) => [
    layer.frozen ? `${layer.name}*` : layer.name,
    layer.type,
    layer.detail,
    layer.outputShape.join("x"),
    blank(layer.parameters),
    blank(layer.forwardMacs),
    blank(layer.trainingMacs),
    layer.receptiveField.join("x"),
  ]);
  const totals = [total.parameters, total.forwardMacs, total.trainingMacs].map(formatCount);
  const all = [
    ["layer", "type", "window", "output", "params", "MACs", "training", "sees"],
    ...rows,
    ["total", "", "", "", ...totals, ""],
  ];
  const format = ([header, ...body]: readonly string[][]) =>
    formatColumns(header, body, "llllrrrr".slice(-header.length));
  const whole = format(all);
  if (whole.split("\n").every((line) => line.length <= MAX_WIDTH)) return whole;
  const short = all.map(([name, type, window, ...rest]) => {
    const brief = window.replace(", stride ", " s").replace(", padding ", " p");
    return [name, `${type} ${brief}`.trimEnd(), ...rest];
  });
  return `${format(short)}\ns: stride, p: padding`;
}
