/** Dividing a set of images into parts: training, validation and test. */

import { quoteWhole } from "../quote.ts";
import { createRandom, permutation } from "../random.ts";
import type { Dataset, LabeledImages } from "./dataset.ts";
import { DatasetError } from "./errors.ts";

/** Indices of the images of each part. */
export interface Split {
  /** What to train on. */
  readonly train: readonly number[];
  /** What to choose by, where there is a part for that. */
  readonly validation?: readonly number[];
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
  const wanted = wantedOf(labels, share);
  const [train, test]: [number[], number[]] = [[], []];
  for (const index of orderByContent(digests)) {
    (wanted[labels[index]]-- > 0 ? test : train).push(index);
  }
  return { train, test };
}

/** Takes the parts as they are, each in the order of digests. */
export function splitByPart(
  images: readonly { readonly part: keyof Split }[],
  digests: readonly string[],
): Required<Split> {
  const order = orderByContent(digests);
  const indices = (wanted: keyof Split) => order.filter((n) => images[n].part === wanted);
  return { train: indices("train"), validation: indices("validation"), test: indices("test") };
}

/** Indices in the order of digests; among equals, the first comes first. */
export function orderByContent(digests: readonly string[]): number[] {
  return [...digests.keys()].sort((a, b) =>
    digests[a] < digests[b] ? -1 : digests[a] > digests[b] ? 1 : a - b
  );
}

/** Sets a share of each class of a dataset's training set apart, to choose by.
 *
 * The same dataset, share and seed always give the same parts, in the order that the images had.
 * Each class gives its share, rounded, but at least one image, and keeps at least one: a class of a
 * single image is only trained on. The test set and the digest stay as they were; names go along.
 *
 * @param share Part of each class, above 0 and below 1.
 * @param seed An integer in 0 .. 2^53 - 1.
 * @throws {RangeError} If the share is not above 0 and below 1.
 * @throws {DatasetError} If it has a validation set already, or no class of 2 images or more.
 * @example A fifth of the sample
 * ```ts
 * import { loadDataset, splitValidation } from "@lenet/lenet";
 *
 * const { train, validation } = splitValidation(await loadDataset("sample"), 0.2, 0);
 * if (train.count !== 4000 || validation?.count !== 1000) throw new Error("expected a fifth");
 * ```
 */
export function splitValidation(dataset: Dataset, share: number, seed: number): Dataset {
  const name = quoteWhole(dataset.name);
  if (!(share > 0 && share < 1)) {
    throw new RangeError(
      `Cannot split ${name}: the share for validation must be above 0 and below 1: found ${share}`,
    );
  }
  if (dataset.validation !== undefined) {
    throw new DatasetError(
      `Cannot set a share of ${name} apart for validation: it has ` +
        `${dataset.validation.count.toLocaleString("en-US")} images for that already; leave the ` +
        `share out`,
    );
  }
  const { labels, count } = dataset.train;
  const wanted = wantedOf(labels, share);
  const isChosen = new Uint8Array(count);
  for (const index of permutation(count, createRandom(seed, "validation"))) {
    if (wanted[labels[index]]-- > 0) isChosen[index] = 1;
  }
  const part = (chosen: 0 | 1) => [...isChosen.keys()].filter((n) => isChosen[n] === chosen);
  const validation = selectImages(dataset.train, part(1));
  if (validation.count === 0) {
    throw new DatasetError(
      `Cannot set a share of ${name} apart for validation: expected a class of 2 training images ` +
        `or more, found 1 in each`,
    );
  }
  return { ...dataset, train: selectImages(dataset.train, part(0)), validation };
}

/** The images of a set that the indices name, in their order, with labels and names; a copy. */
export function selectImages(
  { images, labels, shape, names }: LabeledImages,
  indices: readonly number[],
): LabeledImages {
  const size = shape[0] * shape[1] * shape[2];
  const selected = new Uint8Array(indices.length * size);
  for (const [n, index] of indices.entries()) {
    selected.set(images.subarray(index * size, (index + 1) * size), n * size);
  }
  return {
    images: selected,
    labels: Uint8Array.from(indices, (index) => labels[index]),
    count: indices.length,
    shape,
    ...(names && { names: indices.map((index) => names[index]) }),
  };
}

/** The images of several sets of one shape, one set after the other; a copy. */
export function joinImages(sets: readonly LabeledImages[]): LabeledImages {
  const joined = (key: "images" | "labels") => {
    const bytes = new Uint8Array(sets.reduce((sum, set) => sum + set[key].length, 0));
    let offset = 0;
    for (const set of sets) {
      bytes.set(set[key], offset);
      offset += set[key].length;
    }
    return bytes;
  };
  const names = sets.flatMap((set) => set.names ?? []);
  return {
    images: joined("images"),
    labels: joined("labels"),
    count: sets.reduce((sum, set) => sum + set.count, 0),
    shape: sets[0].shape,
    ...(names.length > 0 && { names }),
  };
}

/** How many images of each class a share asks for: at least one, but never the last. */
function wantedOf(labels: Uint8Array, share: number): number[] {
  const counts: number[] = [];
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts.map((count) => Math.min(count - 1, Math.max(1, Math.round(count * share))));
}
