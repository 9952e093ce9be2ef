/** Cutting a chunk's blocks of images into groups, each the work of one thread at a time. */

/** First blocks of the groups of `blocks` blocks, and their end: group g is starts[g]..starts[g + 1].
 *
 * A thread alone takes all. Others take large groups first and single blocks at the end: few groups
 * are few sums of gradients, and yet a thread that the machine holds up delays nobody by more than
 * about one block.
 */
export function groupStarts(blocks: number, threads: number): number[] {
  const starts = [0];
  for (let start = 0; start < blocks;) {
    const rest = blocks - start;
    start += threads === 1 ? rest : Math.max(1, Math.floor(rest / (2 * threads)));
    starts.push(start);
  }
  return starts;
}
