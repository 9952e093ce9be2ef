// deno-lint-ignore-file no-console
/** The dataset that `--dataset` asks for, fetched where it is missing. */

import type { Dataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import type { PictureOptions } from "../data/picture_choices.ts";
import { loadDataset, type LoadOptions, obtainDataset } from "../data/load.ts";
import { SAMPLE } from "../data/registry.ts";
import { invocation } from "../quote.ts";
import { describeError } from "./errors.ts";
import { showFetch } from "./fetch_display.ts";
import { dropFetchPermissions } from "./permissions.ts";
import { darkOnLightNote, sayNotes, showPictures } from "./picture_flags.ts";

const DEFAULT_DATASET = "fashion-mnist";

/** Obtains the dataset of a command; without a name Fashion-MNIST, or the sample, and says so.
 *
 * Gives back the permissions for network and programs: from then on they are of no use.
 *
 * @throws {DatasetError} If the dataset asked for cannot be had.
 */
export async function obtainForTraining(
  { dataset: name, dataDir, quiet, json = false, pictures, transpose }: {
    readonly dataset?: string;
    /** Folder of the datasets known by name; default `data`. */
    readonly dataDir?: string;
    readonly quiet: boolean;
    readonly json?: boolean;
    readonly pictures?: PictureOptions;
    readonly transpose?: boolean;
  },
  signal: AbortSignal,
): Promise<Dataset> {
  const display = showFetch(name ?? DEFAULT_DATASET, { quiet: quiet || json, json: false });
  const reading = showPictures(quiet || json);
  const stop = () => {
    display.stop();
    reading.stop();
  };
  try {
    const { dataset, fallbackReason } = await obtainDataset(name, {
      dataDir,
      onEvent: display.onEvent,
      ...reading,
      signal,
      pictures,
      transpose,
    });
    stop();
    if (!quiet) sayNotes(dataset);
    const isGrey = dataset.train.shape[0] === 1;
    if (isGrey && dataset.pictures?.darkOnLight && !quiet) console.error(darkOnLightNote(dataset));
    if (fallbackReason !== undefined && !quiet) {
      console.error(
        `${describeError(fallbackReason)}\n` +
          `Training on the sample instead, 5,000 + 1,000 images of Fashion-MNIST: expect a lower ` +
          `accuracy. Get the whole with: ${invocation("fetch")}`,
      );
    }
    return dataset;
  } finally {
    stop();
    await dropFetchPermissions();
  }
}

/** Loads the dataset that training would use if nothing could be fetched; writes nothing.
 *
 * @throws {DatasetError} If the dataset asked for is not there.
 */
export async function loadForDryRun(
  name: string | undefined,
  options: Pick<LoadOptions, "pictures" | "transpose"> & { readonly quiet: boolean },
): Promise<Dataset> {
  await dropFetchPermissions();
  try {
    const dataset = await loadDataset(name ?? DEFAULT_DATASET, options);
    if (!options.quiet) sayNotes(dataset);
    return dataset;
  } catch (error) {
    if (name !== undefined || !(error instanceof DatasetError)) throw error;
    return await loadDataset(SAMPLE);
  }
}
