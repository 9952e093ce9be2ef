/** Datasets and pictures from files.
 *
 * @module
 */

import type { Dataset } from "./src/data/dataset.ts";
import type { LoadOptions } from "./src/data/load.ts";

export type {
  Dataset,
  LabeledImages,
  PictureFacts,
  PicturePolarity,
  UnreadablePicture,
} from "./src/data/dataset.ts";
export type { PictureHooks } from "./src/data/image_folder.ts";
export type { Channels } from "./src/data/picture.ts";
export type { PictureOptions, PictureSize } from "./src/data/picture_choices.ts";
export { decodePictures } from "./src/data/decode_pictures.ts";
export { DatasetError, UnreadablePicturesError } from "./src/data/errors.ts";
export type { LoadOptions } from "./src/data/load.ts";

/** Loads a dataset that is already on this machine.
 *
 * A known name is loaded from its folder and every digest checked. Any other name is a folder:
 *
 * - of IDX files, gzipped or not, of images of any one size, named as MNIST's are, with dots or
 *   with a prefix, as `emnist-letters-train-images-idx3-ubyte`; `folder/emnist-letters` is that one
 *   of several. Nothing is known of their digest, all else is checked;
 * - or of CIFAR-10's binary batches, gzipped or not, or the archive of them, such as
 *   `cifar-10-binary.tar.gz`;
 * - or of pictures of any size, in a folder for each class, whose name is the class's. They are made
 *   grey, or keep their colours, and are fitted to `pictures.size`. A share of each class, chosen by content, becomes the test
 *   set; or folders such as `train`, `valid` and `test` hold the classes.
 *
 * What was left out or taken for something is in `notes` of the dataset.
 *
 * @throws {TypeError} If the name is no string.
 * @throws {DatasetError} If it is not there, or a file is not as it must be.
 * @example The sample that comes with the project
 * ```ts
 * import { loadDataset } from "@lenet/lenet";
 *
 * const { train, test, classNames } = await loadDataset("sample");
 * if (train.count !== 5000 || test.count !== 1000 || classNames.length !== 10) throw new Error("expected the sample");
 * ```
 */
export async function loadDataset(
  nameOrFolder: string,
  options: LoadOptions = {},
): Promise<Dataset> {
  const { loadDataset } = await import("./src/data/load.ts"); // only now: most of it is about files
  return await loadDataset(nameOrFolder, options);
}
