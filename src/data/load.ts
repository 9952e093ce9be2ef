/** Loading a dataset by name or from a folder, and obtaining it where it is not there yet. */
import { join } from "node:path";
import { showKind } from "../check.ts";
import { countOf, invocation, isPrintable, quoteWhole } from "../quote.ts";
import { sha256Hex } from "../sha256.ts";
import { isSystemError } from "../system_reason.ts";
import type { Dataset } from "./dataset.ts";
import { loadCifarFolder, parseCifar } from "./cifar.ts";
import { DatasetError } from "./errors.ts";
import { DEFAULT_DATA_DIR, fetchDataset, type FetchOptions, folderOf } from "./fetch.ts";
import type { FileContent } from "./files.ts";
import { FolderReader } from "./folder_reader.ts";
import { loadImageFolder, type PictureHooks } from "./image_folder.ts";
import type { PictureOptions } from "./picture_choices.ts";
import { parseLabeledImages } from "./idx.ts";
import {
  holdsIdxFiles,
  isDatasetFolder,
  loadIdxFolder,
  requireShape,
  transposed,
} from "./idx_folder.ts";
import {
  type DatasetEntry,
  type DatasetFile,
  DATASETS,
  FILE_NAMES,
  findDataset,
  SAMPLE,
} from "./registry.ts";
import { readVerified } from "./verified.ts";

/** Where the datasets are, and what becomes of pictures. */
export interface LoadOptions extends PictureHooks {
  /** Folder of all datasets; default `data`. */
  readonly dataDir?: string;
  /** What becomes of the pictures of a folder of them; other datasets are as they are. */
  readonly pictures?: PictureOptions;
  /** Swaps rows and columns of the images of IDX files in a folder, as EMNIST needs; default false. */
  readonly transpose?: boolean;
}

/** A dataset, and whether it is what was wanted. */
export interface ObtainedDataset {
  /** The dataset, loaded. */
  readonly dataset: Dataset;
  /** Why this is the sample instead of the whole of Fashion-MNIST; undefined if it is not. */
  readonly fallbackReason?: Error;
}

/** Loads a dataset that is already on this machine; see {@link ../../data.ts}.
 *
 * @throws {DatasetError} If it is not there, or a file is not as it must be.
 */
export async function loadDataset(
  nameOrFolder: string,
  { dataDir = DEFAULT_DATA_DIR, ...options }: LoadOptions = {},
): Promise<Dataset> {
  if (typeof nameOrFolder !== "string") {
    throw new TypeError(
      `Invalid dataset: expected a name or a folder, found ${showKind(nameOrFolder)}`,
    );
  }
  const entry = findDataset(nameOrFolder);
  try {
    return await (entry ? loadEntry(entry, dataDir) : loadFolder(nameOrFolder, options));
  } catch (error) {
    if (error instanceof SyntaxError) throw new DatasetError(error.message, { cause: error });
    throw error;
  }
}

/** Loads a dataset, and fetches it first where it is not there.
 *
 * Without a name: the whole of Fashion-MNIST, or, if it cannot be obtained, the sample that
 * comes with the project; `fallbackReason` then is the error, for the caller to tell the user. A
 * dataset asked for by name is never replaced, and a fault of the program or a lack of memory is no
 * reason.
 *
 * @throws {DatasetError} If the dataset asked for cannot be had.
 */
export async function obtainDataset(
  nameOrFolder: string | undefined,
  options: FetchOptions & LoadOptions = {},
): Promise<ObtainedDataset> {
  if (nameOrFolder !== undefined) {
    return { dataset: await loadOrFetch(nameOrFolder, options) };
  }
  try {
    return { dataset: await loadOrFetch("fashion-mnist", options) };
  } catch (error) {
    // A full disk or a read-only folder is as good a reason as a missing network.
    options.signal?.throwIfAborted();
    if (!(error instanceof DatasetError || isSystemError(error))) throw error;
    return { dataset: await loadDataset(SAMPLE), fallbackReason: error };
  }
}

async function loadOrFetch(
  nameOrFolder: string,
  options: FetchOptions & LoadOptions,
): Promise<Dataset> {
  try {
    return await loadDataset(nameOrFolder, options);
  } catch (error) {
    const known = findDataset(nameOrFolder);
    if (!(error instanceof DatasetError) || !known || known.name === SAMPLE) throw error;
  }
  await fetchDataset(nameOrFolder, options);
  return await loadDataset(nameOrFolder, options);
}

/** The same as {@linkcode loadDataset} for an entry that need not be in the registry. */
export async function loadEntry(entry: DatasetEntry, dataDir: string): Promise<Dataset> {
  const folder = folderOf(entry, dataDir);
  // One after another: hashing takes most of the time, and the first fault is always the same.
  const files = await Array.fromAsync(
    Object.values(entry.files),
    async (file): Promise<FileContent> => ({
      bytes: await readVerifiedOrAdvise(entry, file, folder),
      path: join(folder, file.name),
    }),
  );
  return assemble(entry, files);
}

async function readVerifiedOrAdvise(entry: DatasetEntry, file: DatasetFile, folder: string) {
  try {
    return await readVerified(folder, file);
  } catch (error) {
    if (!(error instanceof DatasetError)) throw error;
    const advice = entry.name === SAMPLE
      ? "restore data/sample from the project"
      : `run ${invocation("fetch")} ${entry.name}`;
    throw new DatasetError(`${error.message}; ${advice}`, { cause: error });
  }
}

async function loadFolder(
  folder: string,
  { pictures: how, transpose, ...hooks }: Omit<LoadOptions, "dataDir">,
): Promise<Dataset> {
  if (!isPrintable(folder)) {
    throw new DatasetError(
      `Cannot use ${quoteWhole(folder)} as a dataset: expected a name without line breaks and ` +
        `control characters; rename the folder`,
    );
  }
  await requireFolder(folder);
  const dataset = await loadIdxFolder(folder, { transpose }) ?? await loadCifarFolder(folder);
  if (dataset !== undefined) return dataset;
  const { folders, pictures } = await (await FolderReader.open(folder)).look(folder);
  if (folders.length === 0) {
    const found = pictures.length > 0
      ? `${countOf(pictures.length, "picture")} in none`
      : "neither";
    throw new DatasetError(
      `Cannot use "${folder}" as a dataset: expected a folder of pictures for each class, or four ` +
        `IDX files (${FILE_NAMES.trainImages}, ...), or CIFAR-10's batches, found ${found}`,
    );
  }
  for (const inner of folders.map((name) => join(folder, name))) {
    if (!await holdsIdxFiles(inner)) continue;
    throw new DatasetError(
      `Cannot use "${folder}" as a dataset: its IDX files are in a folder of it; try ${inner}`,
    );
  }
  return await loadImageFolder(folder, { ...how, ...hooks });
}

async function requireFolder(path: string): Promise<void> {
  const names = DATASETS.map(({ name }) => name).join(", ");
  const info = await Deno.stat(path).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotCapable) {
      throw new DatasetError(
        `Cannot read dataset "${path}": expected one of ${names}, or a folder that may be read; ` +
          `run again with --allow-read=${path}`,
        { cause: error },
      );
    }
    return undefined;
  });
  if (!info?.isDirectory && !await isDatasetFolder(path)) {
    throw new DatasetError(
      `Unknown dataset "${path}": expected one of ${names}, or a folder of IDX files or of pictures`,
    );
  }
}

function assemble(
  { name, classNames, isCifar, isTransposed, firstLabel = 0 }: DatasetEntry,
  files: readonly FileContent[],
): Dataset {
  const digest = sha256Hex(...files.map(({ bytes }) => bytes));
  if (isCifar) {
    const train = parseCifar(files.slice(0, -1), classNames.length);
    return {
      name,
      classNames,
      train,
      test: parseCifar(files.slice(-1), classNames.length),
      digest,
    };
  }
  const parse = (images: FileContent, labels: FileContent) => {
    const set = parseLabeledImages(
      {
        images: images.bytes,
        labels: labels.bytes,
        imagesName: images.path,
        labelsName: labels.path,
      },
      classNames.length,
      firstLabel,
    );
    const labelsFrom0 = set.labels.map((label) => label - firstLabel);
    const turned = isTransposed ? transposed(set) : set;
    return firstLabel === 0 ? turned : { ...turned, labels: labelsFrom0 };
  };
  const [trainImages, trainLabels, testImages, testLabels] = files;
  const train = parse(trainImages, trainLabels);
  const test = parse(testImages, testLabels);
  requireShape(test, train, testImages.path);
  const turned = isTransposed && { transposed: true as const };
  return { name, classNames, train, test, digest, ...turned };
}
