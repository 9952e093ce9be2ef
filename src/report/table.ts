/** Tables for the terminal and for Markdown: one form serves both. */

import { markdownTable } from "markdown-table";

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
export function formatColumns(
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
