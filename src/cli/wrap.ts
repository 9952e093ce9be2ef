/** Text that fits the terminal. */

/** Columns of the terminal that a stream writes to; 80 where it is none. */
export function widthOf(stream: typeof Deno.stdout | typeof Deno.stderr): number {
  try {
    // That of a launcher, such as mpirun, may say that it has none.
    return Math.max(40, (stream.isTerminal() && Deno.consoleSize().columns) || 80);
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
    const fits = current.length + 1 + word.length <= width;
    if (fits || current.length <= indent) current += ` ${word}`; // a new line would hold no more
    else {
      lines.push(current);
      current = " ".repeat(indent) + word.trimStart();
    }
  }
  return [...lines, current].join("\n");
}
