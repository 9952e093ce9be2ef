// deno-lint-ignore-file no-console
/** The dataset that `--dataset` asks for, fetched where it is missing. */

import type { Dataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import { loadDataset, obtainDataset } from "../data/load.ts";
import { SAMPLE } from "../data/registry.ts";
import { showFetch } from "./fetch_display.ts";
import { dropFetchPermissions } from "./permissions.ts";

const DEFAULT_DATASET = "fashion-mnist";

/** Obtains the dataset of a command; without a name Fashion-MNIST, or the sample, and says so.
 *
 * Gives back the permissions for network and programs: from then on they are of no use.
 *
 * @throws {DatasetError} If the dataset asked for cannot be had.
 */
export async function obtainForTraining(
  { dataset: name, quiet, json = false }: {
    readonly dataset?: string;
    readonly quiet: boolean;
    readonly json?: boolean;
  },
  signal: AbortSignal,
): Promise<Dataset> {
  const display = showFetch(name ?? DEFAULT_DATASET, { quiet: quiet || json, json: false });
  try {
    const { onEvent } = display;
    const { dataset, fallbackReason } = await obtainDataset(name, { signal, onEvent });
    display.stop();
    if (fallbackReason !== undefined && !quiet) {
      console.error(
        `${fallbackReason}\n` +
          `Training on the sample instead, 5,000 + 1,000 images of Fashion-MNIST: expect a lower ` +
          `accuracy. Get the whole with: deno task fetch`,
      );
    }
    return dataset;
  } finally {
    display.stop();
    await dropFetchPermissions();
  }
}

/** Loads the dataset that training would use if nothing could be fetched; writes nothing.
 *
 * @throws {DatasetError} If the dataset asked for is not there.
 */
export async function loadForDryRun(name: string | undefined): Promise<Dataset> {
  await dropFetchPermissions();
  try {
    return await loadDataset(name ?? DEFAULT_DATASET);
  } catch (error) {
    if (name !== undefined || !(error instanceof DatasetError)) throw error;
    return await loadDataset(SAMPLE);
  }
}
