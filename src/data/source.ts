/** What a source of a dataset is, wherever it gets its files from. */
import type { DatasetFile } from "./registry.ts";

/** What a source is given to work with. */
export interface SourceContext {
  /** Folder that the dataset is stored in; partial downloads and temporary folders live there. */
  readonly folder: string;
  /** Stops what is under way. */
  readonly signal?: AbortSignal;
  /** Called as bytes of a file arrive; the total is undefined where nobody knows it. */
  readonly onProgress: (file: DatasetFile, bytes: number, total: number | undefined) => void;
}

/** A source that is ready to be read; disposing it removes what it unpacked. */
export interface OpenSource extends AsyncDisposable {
  /** Stores a file in the dataset's folder, uncompressed, once its digest has been checked.
   *
   * @throws {DatasetError} If this source cannot give it.
   */
  store(file: DatasetFile): Promise<void>;
}

/** A place that a dataset can be obtained from. */
export interface Source {
  /** How messages call it. */
  readonly name: string;
  /** Makes it ready.
   *
   * @throws {DatasetError} If it is not there or may not be used.
   */
  open(context: SourceContext): Promise<OpenSource>;
}
