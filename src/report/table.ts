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

/** Columns of the terminal that a stream writes to; 80 where it is none. */
export function widthOf(stream: typeof Deno.stdout | typeof Deno.stderr): number {
  try {
    return stream.isTerminal() ? Math.max(40, Deno.consoleSize().columns) : 80;
  } catch {
    return 80; // it has been closed
  }
}

/** Breaks a line between words; what follows the first line is indented.
 *
 * A word longer than a line, such as a path, stays whole.
 */
export function wrapLine(line: string, width: number, indent = 0): string {
  const [lines, words] = [[] as string[], line.split(/(?<=\S) /)];
  let current = words[0];
  for (const word of words.slice(1)) {
    if (current.length + 1 + word.length <= width) current += ` ${word}`;
    else {
      lines.push(current);
      current = " ".repeat(indent) + word;
    }
  }
  return [...lines, current].join("\n");
}
