/** Text that fits the terminal. */

/** Uses a terminal; one that has been closed shows nothing, and gives undefined. */
export function unlessClosed<Value>(use: () => Value): Value | undefined {
  try {
    return use();
  } catch {
    return undefined;
  }
}

/** Columns of the terminal that a stream writes to; 80 where it is none. */
export function widthOf(stream: typeof Deno.stdout | typeof Deno.stderr): number {
  const size = unlessClosed(() => stream.isTerminal() ? Deno.consoleSize() : undefined);
  return Math.max(40, size?.columns || 80); // a launcher's, as mpirun's, may say that it has none
}

/** Those lines that there is a case for. */
export function said(lines: readonly (string | false | undefined)[]): string[] {
  return lines.filter((line) => typeof line === "string");
}

/** Breaks a line between words; what follows the first line is indented.
 *
 * A word longer than a line, such as a path, stays whole.
 */
export function wrapLine(line: string, width: number, indent = 0): string {
  const [lines, words] = [[] as string[], line.split(/(?<=\S) /)];
  let current = words[0];
  for (const word of words.slice(1)) {
    const fits = current.length + 1 + word.length <= width;
    if (fits || current.length <= indent) current += ` ${word}`; // a new line would hold no more
    else {
      lines.push(current);
      current = " ".repeat(indent) + word.trimStart();
    }
  }
  return [...lines, current].join("\n");
}
