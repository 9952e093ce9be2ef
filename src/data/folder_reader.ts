/** Reading folders of pictures: which files count, which are left out, which cannot be read. */

import { join, sep } from "node:path";
import { formatCount, quoteWhole } from "../quote.ts";
import { DatasetError } from "./errors.ts";
import { PICTURE_FILE } from "./picture_file.ts";
import { pictureKind } from "./picture_kind.ts";

/** What systems, archives and editors leave in folders, and nobody means. */
const STRAY =
  /^(\.|(__macosx|@eadir|#recycle|\$recycle\.bin|system volume information|lost\+found|thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r)$)/i;

/** Names as downloads have them: without an ending, or with more after it, as `cat.jpg?w=200`. */
const UNSURE = /^[^.]+$|\.(png|jpe?g|jpe|jfif|webp|gif|bmp)[^a-z0-9.~][^.]*$/i;

/** Whether a name is one that systems and archives leave, hidden ones among them. */
export function isStray(name: string): boolean {
  return STRAY.test(name);
}

/** A file that is or should be a picture, and cannot be read. */
export interface UnreadableFile {
  readonly path: string;
  /** Why, to stand in brackets. */
  readonly reason: string;
}

/** What a folder and those in it hold. */
export interface FoundPictures {
  /** Paths of the pictures, sorted. */
  readonly paths: string[];
  readonly unreadable: UnreadableFile[];
  /** How many files are no pictures, by their ending. */
  readonly others: Map<string, number>;
  /** Folders within that pictures were found in, sorted. */
  readonly subfolders: string[];
}

interface Entry {
  readonly name: string;
  readonly path: string;
  readonly isFolder: boolean;
  readonly isFile: boolean;
  /** Where it really is, for a link. */
  readonly target?: string;
  /** Why it cannot be used. */
  readonly fault?: string;
}

/** Reads folders, and follows links that stay within the first one. */
export class FolderReader {
  /** The folder as it was named. */
  readonly root: string;
  readonly #realRoot: string;

  private constructor(root: string, realRoot: string) {
    this.root = root;
    this.#realRoot = realRoot;
  }

  /** Makes a reader of a folder, which may itself be behind a link. */
  static async open(root: string): Promise<FolderReader> {
    return new FolderReader(root, await Deno.realPath(root));
  }

  /** Names of the folders in a folder, and of the pictures directly in it, both sorted.
   *
   * @throws {DatasetError} If a folder's name is not UTF-8, or a link leads out or nowhere.
   */
  async look(folder: string): Promise<{ folders: string[]; pictures: string[] }> {
    const [folders, pictures]: [string[], string[]] = [[], []];
    for await (const { name, path, isFolder, isFile, fault } of this.#entries(folder)) {
      if (fault !== undefined && !isFile) {
        throw new DatasetError(`Cannot read ${quoteWhole(path)}: ${fault}, or remove it`);
      }
      if (isFolder) folders.push(name);
      else if (PICTURE_FILE.test(name)) pictures.push(name);
    }
    return { folders: folders.sort(), pictures: pictures.sort() };
  }

  /** All that is in a folder and in the folders within it. */
  async picturesIn(folder: string): Promise<FoundPictures> {
    const found: FoundPictures = { paths: [], unreadable: [], others: new Map(), subfolders: [] };
    await this.#walk(folder, found, [await Deno.realPath(folder)]);
    found.paths.sort();
    found.unreadable.sort((a, b) => a.path < b.path ? -1 : 1);
    found.subfolders.sort();
    return found;
  }

  /** @param above Where the folder and those it lies in really are: a link to one has no end. */
  async #walk(folder: string, found: FoundPictures, above: readonly string[]): Promise<void> {
    for await (const entry of this.#entries(folder)) {
      const { name, path, isFolder, target } = entry;
      const isLoop = target !== undefined && above.includes(target);
      const fault = isLoop ? "it is a link to a folder that it lies in" : entry.fault;
      if (fault !== undefined && (isFolder || PICTURE_FILE.test(name))) {
        found.unreadable.push({ path, reason: fault });
      } else if (isFolder) {
        const before = found.paths.length;
        await this.#walk(path, found, [...above, target ?? join(above.at(-1)!, name)]);
        if (found.paths.length > before) found.subfolders.push(path);
      } else if (fault === undefined && await isPicture(entry)) found.paths.push(path);
      else found.others.set(kindOf(name), (found.others.get(kindOf(name)) ?? 0) + 1);
    }
  }

  async *#entries(folder: string): AsyncGenerator<Entry> {
    for await (const { name, isDirectory, isFile, isSymlink } of Deno.readDir(folder)) {
      const path = join(folder, name);
      if (isStray(name)) continue;
      if (isSymlink) yield { name, path, ...await this.#follow(path) };
      else yield { name, path, isFolder: isDirectory, isFile, ...await nameFault(name, path) };
    }
  }

  async #follow(link: string): Promise<Omit<Entry, "name" | "path">> {
    const target = await Deno.realPath(link).catch(() => undefined);
    const info = target === undefined ? undefined : await Deno.stat(target).catch(() => undefined);
    const isInside = target === this.#realRoot || target?.startsWith(this.#realRoot + sep);
    return {
      isFolder: info?.isDirectory ?? false,
      isFile: isInside === true && info?.isFile === true,
      target,
      ...(!isInside && {
        fault:
          `it is a link that leads ${target === undefined ? "nowhere" : "out of the dataset"}` +
          `; put a copy in its place`,
      }),
    };
  }
}

/** Where a name has bytes that are no text, the system's answer shows a sign for them instead. */
async function nameFault(name: string, path: string): Promise<{ fault?: string }> {
  if (!name.includes("\ufffd")) return {};
  const isThere = await Deno.lstat(path).then(() => true, () => false);
  return isThere ? {} : { fault: "its name is not UTF-8; rename it" };
}

async function isPicture({ name, path, isFile }: Entry): Promise<boolean> {
  if (PICTURE_FILE.test(name)) return true;
  if (!isFile || !UNSURE.test(name)) return false;
  using file = await Deno.open(path);
  const head = new Uint8Array(12);
  await file.read(head);
  return pictureKind(head) !== undefined;
}

/** The ending of a file that is no picture. */
function kindOf(name: string): string {
  return /\.[\w-]{1,12}$/.exec(name)?.[0].toLowerCase() ?? "without an ending";
}

/** `12 .txt, 3 .heic`, the most frequent first. */
export function listKinds(others: ReadonlyMap<string, number>): string {
  const kinds = [...others].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  const rest = kinds.slice(5).reduce((sum, [, count]) => sum + count, 0);
  const shown = kinds.slice(0, 5).map(([kind, count]) => `${formatCount(count)} ${kind}`);
  return [...shown, ...(rest > 0 ? [`${formatCount(rest)} others`] : [])].join(", ");
}
