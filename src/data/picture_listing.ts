/** Finding the pictures of a dataset: its parts, its classes, and what is left out. */

import { basename, join, relative } from "node:path";
import { countOf, isPrintable, quoteWhole } from "../quote.ts";
import { findParts, listed, type Part, partOf, PARTS } from "./dataset_parts.ts";
import { DatasetError } from "./errors.ts";
import { FolderReader, listKinds, type UnreadableFile } from "./folder_reader.ts";
import { PICTURE_KINDS } from "./picture_file.ts";

/** The most that a label's byte can tell apart. */
const MAX_CLASSES = 256;

/** One picture's place. */
export interface ListedPicture {
  readonly path: string;
  /** Place of its class in the listing's names. */
  readonly label: number;
  readonly part: Part;
}

/** The pictures of a folder. */
export interface PictureListing {
  /** Names of the class folders in composed letters, sorted; a label is a place in it. */
  readonly classNames: readonly string[];
  /** Sorted by part, class and name. */
  readonly pictures: readonly ListedPicture[];
  readonly unreadable: readonly UnreadableFile[];
  /** The parts that have a folder of their own; none but training where a share is to be kept back. */
  readonly parts: ReadonlySet<Part>;
  /** What was left out, taken for something, or missed, a sentence each. */
  readonly notes: readonly string[];
}

/** Lists the pictures of a folder of classes, or of folders of classes for training, validation and
 * test.
 *
 * The subfolders of a class belong to it. What systems leave is passed over; what else is no picture
 * is counted. Links are followed within the folder. Without a test folder, the validation folder is
 * the test.
 *
 * @throws {DatasetError} If there are too few or too many classes, one is empty, a part holds
 * pictures instead of classes or other classes than training, or a name cannot be shown or compared.
 */
export async function listPictures(folder: string): Promise<PictureListing> {
  const reader = await FolderReader.open(folder);
  const notes: string[] = [];
  const folders = await findParts(reader, notes);
  const classNames = await classesOf(reader, folders.get("train")!);
  const pictures: ListedPicture[] = [];
  const unreadable: UnreadableFile[] = [];
  const others = new Map<string, number>();
  const subfolders: string[] = [];
  const here = (place: string) => quoteWhole(relative(folder, place));
  const loose = folders.get("train") === folder ? [] : (await reader.look(folder)).pictures;
  for (const [part, place] of folders) {
    const inside = await reader.look(place);
    const byName = byClass(place, inside.folders);
    const extra = [...byName.keys()].filter((name) => !classNames.includes(name));
    if (extra.length > 0) throw extraClasses(place, extra, folders.get("train")!);
    const missing: string[] = [];
    for (const [label, className] of classNames.entries()) {
      const name = byName.get(className);
      const found = name === undefined ? undefined : await reader.picturesIn(join(place, name));
      for (const path of found?.paths ?? []) pictures.push({ path, label, part });
      unreadable.push(...found?.unreadable ?? []);
      for (const path of found?.subfolders ?? []) {
        const fault = orderFault(path, className, classNames);
        if (fault !== undefined) {
          throw new DatasetError(
            `Cannot use ${quoteWhole(folder)} as a dataset: the folder ${
              here(path)
            } within a class ` +
              fault,
          );
        }
        subfolders.push(path);
      }
      for (const [kind, n] of found?.others ?? []) others.set(kind, (others.get(kind) ?? 0) + n);
      if (found !== undefined && found.paths.length + found.unreadable.length > 0) continue;
      if (part === "train") throw emptyClass(join(place, name!), found?.others);
      missing.push(className);
    }
    if (missing.length === classNames.length) throw noClasses(place, inside.pictures.length);
    if (missing.length > 0) notes.push(`${here(place)} has no pictures of ${listed(missing)}`);
    loose.push(...inside.pictures.map((name) => relative(folder, join(place, name))));
  }
  if (others.size > 0) notes.push(`left out what is no picture: ${listKinds(others)}`);
  if (loose.length > 0) {
    notes.push(
      `left out ${countOf(loose.length, "picture")} in no class's folder, such as ` +
        quoteWhole(loose[0]),
    );
  }
  if (subfolders.length > 0) {
    notes.push(
      `took pictures of ${countOf(subfolders.length, "folder")} within classes as of the class, ` +
        `such as ${here(subfolders[0])}`,
    );
  }
  return { classNames, pictures, unreadable, parts: new Set(folders.keys()), notes };
}

/** Names of the classes, sorted, each of which can be shown. */
async function classesOf(reader: FolderReader, folder: string): Promise<string[]> {
  const { folders: names } = await reader.look(folder);
  if (names.length < 2 || names.length > MAX_CLASSES) {
    const found = names.length > 1
      ? `${names.length} folders`
      : names.length === 0
      ? "no folder"
      : `only ${quoteWhole(names[0])}`;
    const inner = names.length === 1 ? (await reader.look(join(folder, names[0]))).folders : [];
    throw new DatasetError(
      `Cannot use ${
        quoteWhole(folder)
      } as a dataset: expected a folder of pictures for each of 2 ` +
        `to ${MAX_CLASSES} classes, found ${found}` +
        (inner.length > 1 ? `, which holds folders: try ${join(folder, names[0])}` : ""),
    );
  }
  const wrong = names.find((name) => !isPrintable(name));
  if (wrong !== undefined) {
    throw new DatasetError(
      `Cannot use the class ${quoteWhole(join(folder, wrong))}: expected a name without line ` +
        `breaks and control characters; rename the folder`,
    );
  }
  return [...byClass(folder, names).keys()].sort();
}

/** Folders by the names of their classes: systems differ in how they write letters with accents.
 *
 * @throws {DatasetError} If two folders have the same.
 */
function byClass(place: string, names: readonly string[]): Map<string, string> {
  const byName = new Map(names.map((name) => [name.normalize("NFC"), name]));
  if (byName.size === names.length) return byName;
  const twice = names.find((name) => byName.get(name.normalize("NFC")) !== name)!;
  throw new DatasetError(
    `Cannot use ${named(place)}: two of its folders are named ${quoteWhole(twice)}, once with ` +
      `letters and accents apart; put them together`,
  );
}

/** What is wrong with a folder within a class that is named as a part or another class. */
function orderFault(path: string, className: string, classNames: readonly string[]) {
  const name = basename(path).normalize("NFC");
  if (name === className) return undefined;
  if (classNames.includes(name)) {
    return "is named as another class: a copy of all, or of another part? Move it away";
  }
  const isPart = PARTS.some((part) => part === partOf(name));
  return isPart
    ? "is named as a part: put it above classes, as train/CLASS, test/CLASS"
    : undefined;
}

function extraClasses(place: string, extra: readonly string[], train: string): DatasetError {
  return new DatasetError(
    `Cannot use ${named(place)}: expected the classes of ${named(train)} only, found ` +
      `${listed(extra)}; add pictures there, or remove the folder`,
  );
}

function noClasses(place: string, looseCount: number): DatasetError {
  const found = looseCount > 0
    ? `${countOf(looseCount, "picture")} that are in none; sort them, or move the folder away`
    : "none; add pictures, or remove the folder";
  return new DatasetError(
    `Cannot use ${named(place)}: expected a folder of pictures for each class, found ${found}`,
  );
}

function emptyClass(folder: string, others: ReadonlyMap<string, number> = new Map()): DatasetError {
  const found = others.size > 0 ? `only ${listKinds(others)}` : "nothing";
  return new DatasetError(
    `Cannot use the class ${quoteWhole(folder)}: expected ${PICTURE_KINDS} files, found ` +
      `${found}; add pictures, or remove the folder`,
  );
}

function named(folder: string): string {
  return `the folder ${quoteWhole(folder)}`;
}
