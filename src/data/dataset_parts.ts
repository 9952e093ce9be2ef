/** The parts of a dataset of pictures: which of its folders is for what. */

import { basename, join } from "node:path";
import { countOf, quoteWhole } from "../quote.ts";
import { DatasetError } from "./errors.ts";
import type { FolderReader } from "./folder_reader.ts";

/** What folders beside each other are for. */
export const PARTS = ["train", "validation", "test"] as const;

/** One of them. */
export type Part = typeof PARTS[number];

/** How people and sites call the folders of a part, `set` or `data` behind them or not. */
const PART_NAMES: Readonly<Record<Part | "unused", RegExp>> = {
  train: /^(train|training)$/,
  validation: /^(val|valid|validation|dev)$/,
  test: /^(test|testing|eval|evaluation|holdout)$/,
  unused: /^(pred|predict|prediction|predictions|unlabell?ed)$/,
};

/** Where each part is; training alone, the folder itself, where it holds the classes.
 *
 * @param notes Gets what was left out or taken for something.
 * @throws {DatasetError} If parts hold pictures instead of classes, are there twice or not clear.
 */
export async function findParts(
  reader: FolderReader,
  notes: string[],
): Promise<Map<Part, string>> {
  const { root } = reader;
  const { folders: names } = await reader.look(root);
  const found = new Map<Part | "unused" | "none", string[]>();
  for (const name of names) {
    const part = partOf(name);
    found.set(part, [...found.get(part) ?? [], name]);
  }
  const fault = (problem: string) =>
    new DatasetError(`Cannot use ${quoteWhole(root)} as a dataset: ${problem}`);
  const both = PARTS.map((part) => found.get(part) ?? []).find((same) => same.length > 1);
  const trains = found.get("train") ?? [];
  const others = found.get("none") ?? [];
  const hasTest = found.has("test") || found.has("validation");
  if (trains.length === 0) {
    if (!hasTest || others.length > 0) return new Map([["train", root]]);
    throw fault(`expected a folder named train beside ${listed(names)}, found none`);
  }
  const train = await innerFolder(reader, join(root, trains[0]));
  const inside = await reader.look(train);
  if (inside.folders.length === 0) {
    if (!hasTest) return new Map([["train", root]]); // a class of that name, or refused as the only one
    throw fault(
      `expected a folder for each class in its folders ${listed(names)}, found ` +
        `${countOf(inside.pictures.length, "picture")} directly in ${
          quoteWhole(trains[0])
        }, such ` +
        `as ${quoteWhole(inside.pictures[0] ?? "")}; sort them, as ${trains[0]}/CLASS/NAME`,
    );
  }
  if (!hasTest && others.length > 0) {
    const looks = await Promise.all(others.map((name) => reader.look(join(root, name))));
    if (inside.pictures.length > 0 || looks.some(({ pictures }) => pictures.length > 0)) {
      return new Map([["train", root]]);
    }
    throw fault(
      `its folder ${quoteWhole(trains[0])} holds folders, so that beside it one named test is ` +
        `expected; found ${listed(others)}`,
    );
  }
  if (both !== undefined) throw fault(`${listed(both)} mean the same part; keep one of them`);
  const unused = [...found.get("unused") ?? [], ...others];
  if (unused.length > 0) {
    notes.push(`left out the folder${unused.length > 1 ? "s" : ""} ${listed(unused)}`);
  }
  const parts = new Map<Part, string>([["train", train]]);
  for (const part of ["validation", "test"] as const) {
    const [name] = found.get(part) ?? [];
    if (name !== undefined) parts.set(part, await innerFolder(reader, join(root, name)));
  }
  const validation = parts.get("validation");
  if (!parts.has("test") && validation !== undefined) {
    parts.delete("validation");
    parts.set("test", validation);
    notes.push(
      `there is no test folder: the pictures of ${quoteWhole(basename(validation))} are tested on`,
    );
  } else if (!parts.has("test")) {
    notes.push(
      `there is no test folder: a share of ${quoteWhole(basename(train))} is kept back to test on`,
    );
  }
  return parts;
}

/** What a folder of a name is for. */
export function partOf(name: string): Part | "unused" | "none" {
  const word = name.toLowerCase().replace(/^seg[-_ ]/, "")
    .replace(/[-_ ]?(set|data|images|pictures|photos)$/, "");
  return [...PARTS, "unused" as const].find((part) => PART_NAMES[part].test(word)) ?? "none";
}

/** Archives hold folders in folders of the same name, as seg_train/seg_train. */
async function innerFolder(reader: FolderReader, folder: string): Promise<string> {
  const { folders, pictures } = await reader.look(folder);
  const isOuter = folders.length === 1 && pictures.length === 0 &&
    partOf(folders[0]) === partOf(basename(folder));
  return isOuter ? await innerFolder(reader, join(folder, folders[0])) : folder;
}

/** Some names, the first ten of them. */
export function listed(names: readonly string[]): string {
  const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
  return names.slice(0, 10).map(quoteWhole).join(", ") + more;
}
