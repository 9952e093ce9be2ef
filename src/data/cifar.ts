/** CIFAR-10's binary format: batches of records of a label and the pixels of its image. */

import { basename, join } from "node:path";
import { sha256Hex } from "../sha256.ts";
import { countOf, formatCount, isPrintable, quoteWhole } from "../quote.ts";
import { readBounded } from "../read_bounded.ts";
import { readMember } from "./archive.ts";
import type { Dataset, LabeledImages } from "./dataset.ts";
import { DatasetError } from "./errors.ts";
import { type FileContent, readIdxFile } from "./files.ts";
import { largestLabel, MAX_IDX_BYTES } from "./idx.ts";

const SHAPE = [3, 32, 32] as const;
const PIXEL_BYTES = 3 * 32 * 32;
const RECORD_BYTES = 1 + PIXEL_BYTES;

const BATCH = /^(data_batch_\d+|test_batch)\.bin(\.gz)?$/;
const ARCHIVE = /^cifar-10-binary.*\.tar\.gz$/;
const FOLDER = "cifar-10-batches-bin";
const NAMES_FILE = "batches.meta.txt";
const NAMES_BYTES = 2 ** 16;
/** Batches that training has at most. */
const MAX_BATCHES = 5;

/** Parses batches into one set.
 *
 * Shapes: images [count, 3, 32, 32], red, green and blue; labels [count].
 * Source: A. Krizhevsky, "The CIFAR-10 dataset", section "Binary version".
 *
 * @param classCount Every label must be below it; 256 accepts any.
 * @throws {SyntaxError} If one is no row of records, or a label is out of range.
 */
export function parseCifar(batches: readonly FileContent[], classCount = 256): LabeledImages {
  for (const { bytes, path } of batches) {
    if (bytes.length > 0 && bytes.length % RECORD_BYTES === 0) continue;
    const isOther = bytes.length > 0 && bytes.length % (RECORD_BYTES + 1) === 0;
    throw new SyntaxError(
      `Cannot read "${path}": expected records of ${
        formatCount(RECORD_BYTES)
      } bytes, a label and ` +
        `32 x 32 pixels of red, green and blue, found ${countOf(bytes.length, "byte")}` +
        (isOther ? ", as CIFAR-100 has with two labels each; use CIFAR-10" : "; obtain it again"),
    );
  }
  const count = batches.reduce((sum, { bytes }) => sum + bytes.length / RECORD_BYTES, 0);
  const [images, labels] = [new Uint8Array(count * PIXEL_BYTES), new Uint8Array(count)];
  let index = 0;
  for (const { bytes, path } of batches) {
    for (let at = 0; at < bytes.length; at += RECORD_BYTES, index++) {
      labels[index] = bytes[at];
      images.set(bytes.subarray(at + 1, at + RECORD_BYTES), index * PIXEL_BYTES);
      if (labels[index] < classCount) continue;
      throw new SyntaxError(
        `Cannot read "${path}": expected labels from 0 to ${classCount - 1}, found ` +
          `${labels[index]} at index ${formatCount(at / RECORD_BYTES)}; obtain the file again`,
      );
    }
  }
  return { images, labels, count, shape: SHAPE };
}

/** Loads batches in a folder, gzipped or not, or in the archive that CIFAR-10 comes as; undefined where
 * it holds neither.
 *
 * Classes are named by `batches.meta.txt` where it names all, else by their numbers.
 *
 * @throws {DatasetError} If there is no batch of training, or none of test.
 * @throws {SyntaxError} If a batch is malformed.
 */
export async function loadCifarFolder(path: string): Promise<Dataset | undefined> {
  const found = await batchesIn(path) ?? await batchesIn(join(path, FOLDER));
  if (found === undefined) return undefined;
  const { train, test, names } = found;
  if (train.length === 0 || test.length === 0) {
    throw new DatasetError(
      `Cannot use ${quoteWhole(path)} as a dataset: expected data_batch_1.bin, ... and ` +
        `test_batch.bin, found ${
          [...train, ...test].map((file) => basename(file.path)).join(", ")
        }`,
    );
  }
  const trainSet = parseCifar(train);
  const files = train.map((file) => file.path).join('", "');
  const classCount = largestLabel(trainSet.labels, { first: 0, path: files }) + 1;
  const numbers = Array.from({ length: classCount }, (_, label) => String(label));
  const isNamed = names.length >= classCount && names.every(isPrintable) &&
    new Set(names).size === names.length;
  const classNames = isNamed ? names : numbers;
  return {
    name: path,
    classNames,
    train: trainSet,
    test: parseCifar(test, classNames.length),
    digest: sha256Hex(...[...train, ...test].map(({ bytes }) => bytes)),
    ...(!isNamed && { notes: [`classes are called by their numbers: no ${NAMES_FILE} names all`] }),
  };
}

/** The batches of a folder, in their order, and the names of classes. */
async function batchesIn(folder: string) {
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(() => []);
  const files = entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name).sort();
  const batches = files.filter((name) => BATCH.test(name));
  const archive = files.find((name) => ARCHIVE.test(name));
  if (batches.length > 0) {
    const read = (kind: string) =>
      Array.fromAsync(
        batches.filter((name) =>
          name.startsWith(kind) && !(name.endsWith(".gz") && batches.includes(name.slice(0, -3)))
        ),
        (name) => readIdxFile(join(folder, name), MAX_IDX_BYTES),
      );
    const bytes = await readBounded(join(folder, NAMES_FILE), NAMES_BYTES).catch(() => undefined);
    return { train: await read("data"), test: await read("test"), names: namesIn(bytes) };
  }
  if (archive === undefined) return undefined;
  const path = join(folder, archive);
  const member = async (name: string, maxBytes: number): Promise<FileContent[]> => {
    const bytes = await readMember(path, name, maxBytes);
    return bytes === undefined ? [] : [{ bytes, path: `${path}/${name}` }];
  };
  const train: FileContent[] = [];
  for (let n = 1; n <= MAX_BATCHES; n++) {
    train.push(...await member(`data_batch_${n}.bin`, MAX_IDX_BYTES));
  }
  const [names] = await member(NAMES_FILE, NAMES_BYTES);
  return {
    train,
    test: await member("test_batch.bin", MAX_IDX_BYTES),
    names: namesIn(names?.bytes),
  };
}

function namesIn(bytes: Uint8Array = new Uint8Array()): string[] {
  return new TextDecoder().decode(bytes).split("\n").map((line) => line.trim())
    .filter((line) => line !== "");
}
