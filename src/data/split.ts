/** Dividing a set of images into training and test. */

/** Indices of the images of each part. */
export interface Split {
  /** What to train on. */
  readonly train: readonly number[];
  /** What to evaluate on. */
  readonly test: readonly number[];
}

/** Divides images class by class, by their content alone.
 *
 * Neither names nor a seed decide: the same images always give the same parts, and most stay where
 * they are when others are added. Both parts are in the order of digests, which mixes the classes.
 * Each class gives the test its share, rounded, but at least one image, and keeps at least one: a
 * class of a single image is only trained on.
 *
 * @param labels Class of each image.
 * @param digests Digest of each image's content.
 * @param share Part of each class that becomes the test, above 0 and below 1.
 */
export function splitByContent(
  labels: Uint8Array,
  digests: readonly string[],
  share: number,
): Split {
  const counts = countLabels(labels);
  const wanted = counts.map((count) => Math.min(count - 1, Math.max(1, Math.round(count * share))));
  const [train, test]: [number[], number[]] = [[], []];
  for (const index of orderByContent(digests)) {
    (wanted[labels[index]]-- > 0 ? test : train).push(index);
  }
  return { train, test };
}

/** Indices in the order of digests; among equals, the first comes first. */
export function orderByContent(digests: readonly string[]): number[] {
  return [...digests.keys()].sort((a, b) =>
    digests[a] < digests[b] ? -1 : digests[a] > digests[b] ? 1 : a - b
  );
}

function countLabels(labels: Uint8Array): number[] {
  const counts: number[] = [];
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}
