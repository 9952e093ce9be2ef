/** Tables for the terminal and for Markdown: one form serves both. */

import { markdownTable } from "markdown-table";

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

/** 60,000. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `1 step`, `20 steps`. */
export function countOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}
