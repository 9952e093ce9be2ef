/** A dataset of IDX files in a folder, as MNIST and its descendants come. */

import { basename, dirname, join, relative } from "node:path";
import { isPrintable, quoteWhole } from "../quote.ts";
import { readBounded } from "../read_bounded.ts";
import { sha256Hex } from "../sha256.ts";
import type { Dataset, LabeledImages } from "./dataset.ts";
import { DatasetError } from "./errors.ts";
import { type FileContent, readIdxFile } from "./files.ts";
import { isStray } from "./folder_reader.ts";
import { idxByteLength, largestLabel, parseLabeledImages } from "./idx.ts";
import { FILE_NAMES } from "./registry.ts";

/** `emnist-letters-train-images-idx3-ubyte.gz`, `train-images.idx3-ubyte` and the like. */
const IDX_NAME =
  /^(?:(.+?)[-_. ])?(train(?:ing)?|t10k|test(?:ing)?|val(?:id(?:ation)?)?)[-_. ](image|label)s?[-_.]idx\d?(?:[-_.]?(?:u?byte|short|int|float|double))?(\.gz)?$/i;

const MAPPING_BYTES = 2 ** 20;

/** The files that a folder holds of one set, by part: `trainImages`, `testLabels`, ... */
interface IdxSet {
  /** What stands before the parts' names, as `emnist-letters`; empty where nothing does. */
  readonly prefix: string;
  readonly folder: string;
  /** Paths, the one to read first. */
  readonly files: Readonly<Record<string, readonly string[]>>;
}

/** Loads the IDX files of a folder; undefined where it holds none.
 *
 * @param path The folder, or the folder and the prefix of a set in it, as `data/emnist-letters`.
 * @param transpose Swaps rows and columns of each image.
 * @throws {DatasetError} If a file is missing, or the folder holds several sets.
 * @throws {SyntaxError} If a file is malformed.
 */
export async function loadIdxFolder(
  path: string,
  { transpose = false }: { readonly transpose?: boolean },
): Promise<Dataset | undefined> {
  const set = await findIdxSet(path);
  if (set === undefined) return undefined;
  const notes = doublesOf(set);
  const [train, test] = [await readPart(set, "train"), await readPart(set, "test")];
  const validation = set.files.validationImages && await readPart(set, "validation");
  const parts = [train, test, ...(validation ? [validation] : [])];
  for (const { images, files } of parts) requireShape(images, train.images, files.images.path);
  const first = firstLabel(parts, notes);
  const labels = await classNamesOf(set, parts, { first, notes });
  if (transpose) notes.push("rows and columns of the images are swapped (--transpose)");
  else if (/(^|[^a-z])emnist/i.test(`${basename(set.folder)}/${set.prefix}`)) {
    notes.push(
      "EMNIST stores images with rows and columns swapped: --transpose turns them upright",
    );
  }
  const made = ({ images }: IdxPart): LabeledImages => ({
    ...transpose ? transposed(images) : images,
    labels: first === 0 ? images.labels : images.labels.map((label) => label - first),
  });
  const content = parts.flatMap(({ files }) => [files.images.bytes, files.labels.bytes]);
  const changes = [transpose && "transposed", first > 0 && `labels from ${first}`].filter(Boolean);
  return {
    name: path,
    classNames: labels,
    train: made(train),
    test: made(test),
    ...(validation && { validation: made(validation) }),
    digest: sha256Hex(...content, ...changes.map((text) => new TextEncoder().encode(`${text}`))),
    ...(transpose && { transposed: true as const }),
    ...(notes.length > 0 && { notes }),
  };
}

interface IdxPart {
  readonly images: LabeledImages;
  readonly files: { readonly images: FileContent; readonly labels: FileContent };
}

async function readPart({ folder, files, prefix }: IdxSet, part: string): Promise<IdxPart> {
  const read = async (kind: "Images" | "Labels"): Promise<FileContent> => {
    const [path] = files[`${part}${kind}`] ?? [];
    if (path !== undefined) {
      return await readIdxFile(
        path,
        (head) => idxByteLength(head, path, kind === "Images" ? 3 : 1),
      );
    }
    const usual = FILE_NAMES[`${part === "test" ? "test" : "train"}${kind}`];
    const name = `${prefix && `${prefix}-`}${usual}`;
    const found = Object.values(files).map(([file]) => quoteWhole(basename(file)));
    throw new DatasetError(
      `Cannot find the ${kind.toLowerCase()} of the ${part} set in ${
        quoteWhole(folder)
      }: expected ` +
        `a file such as ${name}, found ${found.join(", ")}`,
    );
  };
  // One after another: the first fault is always the same.
  const [images, labels] = [await read("Images"), await read("Labels")];
  const set = parseLabeledImages({
    images: images.bytes,
    labels: labels.bytes,
    imagesName: images.path,
    labelsName: labels.path,
  });
  return { images: set, files: { images, labels } };
}

/** Checks that images are as large as those of training. */
export function requireShape(found: LabeledImages, train: LabeledImages, path: string): void {
  const [size, trainSize] = [found, train].map(({ shape }) => shape.slice(1).join(" x "));
  if (size === trainSize) return;
  throw new SyntaxError(
    `Cannot read "${path}": expected images of ${trainSize} as in training, found ${size}`,
  );
}

/** The label that the first class has: 0, or 1 as in EMNIST's letters. */
function firstLabel(parts: readonly IdxPart[], notes: string[]): 0 | 1 {
  const [{ images: train }] = parts;
  if (!train.labels.includes(1) || parts.some(({ images }) => images.labels.includes(0))) return 0;
  const last = train.labels.reduce((most, label) => Math.max(most, label));
  notes.push(`labels begin at 1: 1 to ${last} are taken as the classes 0 to ${last - 1}`);
  return 1;
}

/** Without names, classes are called by their number, up to the largest training label. */
async function classNamesOf(
  { folder, prefix }: IdxSet,
  [train, ...others]: readonly IdxPart[],
  { first, notes }: { readonly first: number; readonly notes: string[] },
): Promise<string[]> {
  const last = largestLabel(train.images.labels, { first, path: train.files.labels.path });
  for (const { images: { labels }, files } of others) {
    const wrong = labels.findIndex((label) => label > last);
    if (wrong < 0) continue;
    throw new SyntaxError(
      `Cannot read "${files.labels.path}": expected labels from ${first} to ${last} as in ` +
        `training, found ${labels[wrong]} at index ${wrong}`,
    );
  }
  const numbers = Array.from({ length: last + 1 - first }, (_, n) => n + first);
  const mapping = await readMapping(join(folder, `${prefix && `${prefix}-`}mapping.txt`)) ??
    await readMapping(join(folder, "mapping.txt"));
  if (mapping === undefined) return numbers.map(String);
  const names = numbers.map((label) => mapping.names.get(label));
  const unnamed = numbers.find((_, n) => !isPrintable(names[n]));
  if (unnamed === undefined && new Set(names).size === names.length) return names as string[];
  notes.push(
    `classes are called by their numbers: ${quoteWhole(basename(mapping.path))} ` +
      (unnamed === undefined ? "gives some the same name" : `has no name for label ${unnamed}`),
  );
  return numbers.map(String);
}

/** Reads EMNIST's table of names, a label and the codes of its characters a line. */
async function readMapping(path: string) {
  const bytes = await readBounded(path, MAPPING_BYTES).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const lines = new TextDecoder().decode(bytes).split("\n").map((line) => line.trim().split(/\s+/));
  const names = new Map(
    lines.map(([label, ...codes]) => {
      const characters = codes.filter((code) => /^\d{1,6}$/.test(code)).map(Number);
      return [
        Number(label),
        characters.map((code) => String.fromCodePoint(code)).join("/"),
      ] as const;
    }).filter(([, name]) => name.trim() !== ""),
  );
  return { path, names };
}

/** Images with rows and columns swapped. */
export function transposed(set: LabeledImages): LabeledImages {
  const [channels, height, width] = set.shape;
  const size = height * width;
  const images = new Uint8Array(set.images.length);
  for (let start = 0; start < images.length; start += size) {
    for (let n = 0; n < size; n++) {
      images[start + (n % width) * height + Math.floor(n / width)] = set.images[start + n];
    }
  }
  return { ...set, images, shape: [channels, width, height] };
}

/** Files that are there twice, under names that differ in more than `.gz`. */
function doublesOf({ folder, files }: IdxSet): string[] {
  const doubles = Object.values(files).flatMap(([read, ...others]) => {
    const other = others.find((path) => path !== `${read}.gz`);
    return other === undefined
      ? []
      : [[read, other].map((path) => quoteWhole(relative(folder, path)))];
  });
  if (doubles.length === 0) return [];
  const [[read, other]] = doubles;
  const more = doubles.length > 1 ? `, and so for ${doubles.length - 1} more` : "";
  return [`read ${read}, not ${other}, which is of the same part${more}`];
}

/** Whether a folder holds a dataset's IDX files. */
export async function holdsIdxFiles(folder: string): Promise<boolean> {
  return (await idxSetsIn(folder)).length > 0;
}

/** Whether a path leads to a dataset: a folder, or a set of IDX files in one. */
export async function isDatasetFolder(path: string): Promise<boolean> {
  const isFolder = await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
  return isFolder || await namedSet(path) !== undefined;
}

async function findIdxSet(path: string): Promise<IdxSet | undefined> {
  if (!await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false)) {
    return await namedSet(path);
  }
  const sets = await idxSetsIn(path);
  const plain = sets.find(({ prefix }) => prefix === "") ?? sets[0];
  if (sets.length < 2 || plain.prefix === "") return plain;
  const prefixes = sets.map(({ prefix }) => prefix).sort();
  throw new DatasetError(
    `Cannot choose between the sets of IDX files in ${quoteWhole(path)}: found ` +
      `${prefixes.join(", ")}; name one, as --dataset ${join(path, prefixes[0])}`,
  );
}

/** The set that a path names by its folder and its prefix. */
async function namedSet(path: string): Promise<IdxSet | undefined> {
  const prefix = basename(path).toLowerCase();
  const sets = await idxSetsIn(dirname(path)).catch(() => []);
  return sets.find((set) => set.prefix !== "" && set.prefix.toLowerCase() === prefix);
}

/** The sets in a folder; a file may lie in a folder of its own name, as some sites pack them. */
async function idxSetsIn(folder: string): Promise<IdxSet[]> {
  const found: { prefix: string; part: string; path: string; rank: string }[] = [];
  for await (const { name, path, isInner } of idxFilesIn(folder)) {
    const [, prefix = "", part, kind, gz] = IDX_NAME.exec(name)!;
    const set = /^tr/i.test(part) ? "train" : /^v/i.test(part) ? "validation" : "test";
    const key = `${set}${/^i/i.test(kind) ? "Images" : "Labels"}`;
    found.push({ prefix, part: key, path, rank: `${Number(isInner)}${gz ? 1 : 0}${path}` });
  }
  found.sort((a, b) => a.rank < b.rank ? -1 : 1);
  return [...Map.groupBy(found, ({ prefix }) => prefix)].map(([prefix, files]) => {
    const byPart = Map.groupBy(files, ({ part }) => part);
    const paths = [...byPart].map(([part, same]) => [part, same.map(({ path }) => path)] as const);
    return { prefix, folder, files: Object.fromEntries(paths) };
  });
}

async function* idxFilesIn(folder: string, isInner = false): AsyncGenerator<
  { readonly name: string; readonly path: string; readonly isInner: boolean }
> {
  for await (const { name, isFile, isDirectory } of Deno.readDir(folder)) {
    if (isStray(name) || !IDX_NAME.test(name)) continue;
    const path = join(folder, name);
    const isFolder = isDirectory ||
      !isFile && await Deno.stat(path).then((info) => info.isDirectory, () => false);
    if (!isFolder) yield { name, path, isInner };
    else if (!isInner) yield* idxFilesIn(path, true);
  }
}
