/** The parts of a Markdown page that a program writes, between comments that name them:
 *
 *     <!-- generated: NAME -->
 *     ...
 *     <!-- end: NAME -->
 */

/** Names of a page's blocks, in order. */
export function blockNames(page: string): string[] {
  return [...page.matchAll(/^<!-- generated: (\S+) -->$/gm)].map(([, name]) => name);
}

/** Replaces what stands in a page's blocks; a block that gets nothing stays as it is.
 *
 * @throws {SyntaxError} If a block has no end.
 */
export function fillBlocks(
  page: string,
  content: (name: string) => string | undefined,
  label: string,
): string {
  return blockNames(page).reduce((text, name) => {
    const [start, end] = [`<!-- generated: ${name} -->\n`, `<!-- end: ${name} -->`];
    const [from, to] = [text.indexOf(start) + start.length, text.indexOf(end)];
    if (to < from) {
      throw new SyntaxError(`Cannot fill block "${name}" of ${label}: expected "${end}" after it`);
    }
    const filled = content(name);
    return filled === undefined
      ? text
      : `${text.slice(0, from)}\n${filled.trim()}\n\n${text.slice(to)}`;
  }, page);
}

/** Pictures that a page shows, as it names them. */
export function pictureNames(page: string): string[] {
  return [...page.matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)].map(([, path]) => path);
}
