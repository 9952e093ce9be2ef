/** The error of everything that can go wrong with a dataset. */

import type { UnreadablePicture } from "./dataset.ts";

/** A dataset that is missing, damaged, not what was asked for, or cannot be obtained.
 *
 * Its message is one line for the user: what was expected, what was found, what to do.
 */
export class DatasetError extends Error {
  /** Name of the class. */
  override readonly name: string = "DatasetError";
}

/** A dataset some pictures of which cannot be read: its message names the first ten. */
export class UnreadablePicturesError extends DatasetError {
  /** Name of the class. */
  override readonly name = "UnreadablePicturesError";
  /** All of them, sorted by name. */
  readonly unreadable: readonly UnreadablePicture[];

  /** Makes the error of some pictures. */
  constructor(message: string, unreadable: readonly UnreadablePicture[]) {
    super(message);
    this.unreadable = unreadable;
  }
}

/** A dataset file that is not there at all, as opposed to one that is damaged. */
export class MissingFileError extends DatasetError {
  /** Name of the class. */
  override readonly name = "MissingFileError";
}

/** A download that failed for good, after the retries that made sense. */
export class DownloadError extends DatasetError {
  /** Name of the class. */
  override readonly name = "DownloadError";
  /** HTTP status of the answer, where there was one. */
  readonly status?: number;

  /** Makes the error; `status` is that of the HTTP answer, where there was one. */
  constructor(message: string, options: ErrorOptions & { status?: number } = {}) {
    super(message, options);
    this.status = options.status;
  }
}
