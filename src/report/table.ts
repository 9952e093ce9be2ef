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
