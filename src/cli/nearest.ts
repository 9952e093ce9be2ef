/** The known word that a user most likely meant. */

/** Share of a word's letters that may be wrong, and a little for the end of a longer one. */
const MISTAKES = 0.4;

/** Finds the known word nearest to a mistyped or shortened one; undefined where none is near.
 *
 * A swap of neighbours counts as one mistake, and leaving out the end of a long word as little:
 * `--froce` means `--force`, `fashon` means `fashion-mnist`.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const [found, count] = known.map((one) => [one, mistakes(word, one)] as const)
    .reduce((best, other) => other[1] < best[1] ? other : best, ["", Infinity]);
  return count <= MISTAKES * word.length + 0.5 ? found : undefined;
}

/** Optimal string alignment distance to the nearest beginning of `known`, and a little for the rest. */
function mistakes(word: string, known: string): number {
  const rows = [Array.from({ length: known.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= word.length; i++) {
    const row = [i];
    for (let j = 1; j <= known.length; j++) {
      const isSame = word[i - 1] === known[j - 1];
      let least = Math.min(
        rows[i - 1]![j]! + 1,
        row[j - 1]! + 1,
        rows[i - 1]![j - 1]! + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && word[i - 1] === known[j - 2] && word[i - 2] === known[j - 1]) {
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      }
      row.push(least);
    }
    rows.push(row);
  }
  return Math.min(
    ...rows[word.length]!.map((distance, length) => distance + (known.length - length) * 0.1),
  );
}
