/** Finding the pictures of a folder that holds a folder for each class. */

import { join, sep } from "node:path";
import { isPrintable } from "../printable.ts";
import { quoteWhole } from "../quote.ts";
import { DatasetError } from "./errors.ts";
import { PICTURE_FILE } from "./picture_file.ts";

/** The most that a label's byte can tell apart. */
const MAX_CLASSES = 256;

const TEST_FOLDERS = ["test", "valid", "val", "validation"];

/** One picture's place. */
export interface ListedPicture {
  readonly path: string;
  /** Place of its class in the listing's names. */
  readonly label: number;
  /** Whether it lies in a test folder of its own. */
  readonly isTest: boolean;
}

/** The pictures of a folder. */
export interface PictureListing {
  /** Names of the class folders, sorted; a label is a place in it. */
  readonly classNames: readonly string[];
  /** Sorted by part, class and name. */
  readonly pictures: readonly ListedPicture[];
  /** Whether the folder tells training and test apart itself. */
  readonly isSplit: boolean;
}

/** Lists the pictures of a folder of classes, or of `train` and `test` folders of classes.
 *
 * Hidden files and files that are no pictures are left out. Links are followed within the folder.
 *
 * @throws {DatasetError} If a class is empty or its name cannot be shown, there are too few or too
 * many, or a link leads out.
 */
export async function listPictures(folder: string): Promise<PictureListing> {
  const reader = new FolderReader(folder, await Deno.realPath(folder));
  const parts = await findParts(reader);
  const trainFolder = parts?.train ?? folder;
  const classNames = await reader.foldersIn(trainFolder);
  if (classNames.length < 2 || classNames.length > MAX_CLASSES) {
    const found = classNames.length === 1
      ? `only ${quoteWhole(classNames[0])}`
      : classNames.length === 0
      ? "no folder"
      : `${classNames.length} folders`;
    throw new DatasetError(
      `Cannot use ${
        quoteWhole(trainFolder)
      } as a dataset: expected a folder of pictures for each of 2 ` +
        `to ${MAX_CLASSES} classes, found ${found}`,
    );
  }
  const pictures: ListedPicture[] = [];
  for (const [label, name] of classNames.entries()) {
    if (!isPrintable(name)) {
      throw new DatasetError(
        `Cannot use the class ${
          quoteWhole(join(trainFolder, name))
        }: expected a name without line ` +
          `breaks and control characters; rename the folder`,
      );
    }
    const paths = await reader.picturesIn(join(trainFolder, name));
    if (paths.length === 0) throw await emptyClass(join(trainFolder, name));
    for (const path of paths) pictures.push({ path, label, isTest: false });
  }
  if (parts === undefined) return { classNames, pictures, isSplit: false };
  const trainCount = pictures.length;
  for (const name of await reader.foldersIn(parts.test)) {
    const label = classNames.indexOf(name);
    if (label < 0) {
      throw new DatasetError(
        `Cannot use ${quoteWhole(join(parts.test, name))}: expected the classes of ` +
          `${quoteWhole(parts.train)} only; add pictures of this one there, or remove the folder`,
      );
    }
    for (const path of await reader.picturesIn(join(parts.test, name))) {
      pictures.push({ path, label, isTest: true });
    }
  }
  if (pictures.length === trainCount) {
    throw new DatasetError(
      `Cannot use ${
        quoteWhole(parts.test)
      } as a test set: expected folders of .png or .jpg files, as in ` +
        `${quoteWhole(parts.train)}, found none`,
    );
  }
  return { classNames, pictures, isSplit: true };
}

/** Whether a folder holds other folders, as one of pictures does. */
export async function hasFolders(folder: string): Promise<boolean> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile && !name.startsWith(".")) return true;
  }
  return false;
}

/** The folders of training and test, where `train` holds folders and no class of its own. */
async function findParts(
  reader: FolderReader,
): Promise<{ readonly train: string; readonly test: string } | undefined> {
  const names = await reader.foldersIn(reader.root);
  const train = join(reader.root, "train");
  if (!names.includes("train") || (await reader.foldersIn(train)).length === 0) return undefined;
  const [test, ...others] = names.filter((name) => name !== "train");
  if (others.length > 0 || !TEST_FOLDERS.includes(test)) {
    throw new DatasetError(
      `Cannot use ${
        quoteWhole(reader.root)
      } as a dataset: its train folder holds folders, so that ` +
        `beside it one named test is expected; found ${names.map(quoteWhole).join(", ")}`,
    );
  }
  return { train, test: join(reader.root, test) };
}

/** Reads folders, and follows links that stay within one of them. */
class FolderReader {
  readonly root: string;
  readonly #realRoot: string;

  constructor(root: string, realRoot: string) {
    this.root = root;
    this.#realRoot = realRoot;
  }

  /** Names of the folders in a folder, sorted. */
  async foldersIn(folder: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name, isDirectory } of this.#entries(folder)) {
      if (isDirectory) names.push(name);
    }
    return names.sort();
  }

  /** Paths of the pictures in a class's folder, sorted. */
  async picturesIn(folder: string): Promise<string[]> {
    const paths: string[] = [];
    for await (const { name, isDirectory } of this.#entries(folder)) {
      const path = join(folder, name);
      if (isDirectory) {
        throw new DatasetError(
          `Cannot use the folder ${
            quoteWhole(path)
          }: expected the pictures of a class directly in its ` +
            `folder; move them up, or the folder away`,
        );
      }
      if (PICTURE_FILE.test(name)) paths.push(path);
    }
    return paths.sort();
  }

  async *#entries(folder: string) {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.name.startsWith(".")) continue;
      if (!entry.isSymlink) yield entry;
      else yield { name: entry.name, isDirectory: await this.#isFolder(join(folder, entry.name)) };
    }
  }

  async #isFolder(link: string): Promise<boolean> {
    const target = await Deno.realPath(link).catch(() => undefined);
    if (target === undefined || !target.startsWith(this.#realRoot + sep)) {
      const leads = target === undefined ? "nowhere" : "out of the dataset";
      throw new DatasetError(
        `Cannot read ${
          quoteWhole(link)
        }: it is a link that leads ${leads}; put a copy in its place, or ` +
          `remove it`,
      );
    }
    return (await Deno.stat(target)).isDirectory;
  }
}

async function emptyClass(folder: string): Promise<DatasetError> {
  const names = (await Array.fromAsync(Deno.readDir(folder)))
    .map(({ name }) => name)
    .filter((name) => !name.startsWith("."))
    .sort();
  const found = names.length === 0 ? "nothing" : `only such as ${quoteWhole(names[0])}`;
  return new DatasetError(
    `Cannot use the class ${
      quoteWhole(folder)
    }: expected .png or .jpg files, found ${found}; add ` +
      `pictures, or remove the folder`,
  );
}
