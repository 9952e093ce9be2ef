// deno-lint-ignore-file no-console
/** The dataset that `--dataset` asks for, fetched where it is missing, and what is shown of a fetch. */

import type { Dataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import type { FetchEvent } from "../data/fetch.ts";
import type { PictureOptions } from "../data/picture_choices.ts";
import { loadDataset, type LoadOptions, obtainDataset } from "../data/load.ts";
import { SAMPLE } from "../data/registry.ts";
import { formatCount, invocation } from "../quote.ts";
import { type ProgressBar, startProgress } from "../report/progress.ts";
import { describeError } from "./errors.ts";
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
  { dataset: name, quiet, pictures, transpose }: Pick<LoadOptions, "pictures" | "transpose"> & {
    readonly dataset?: string;
    readonly quiet: boolean;
  },
): Promise<Dataset> {
  await dropFetchPermissions();
  try {
    const dataset = await loadDataset(name ?? DEFAULT_DATASET, { pictures, transpose });
    if (!quiet) sayNotes(dataset);
    return dataset;
  } catch (error) {
    if (name !== undefined || !(error instanceof DatasetError)) throw error;
    return await loadDataset(SAMPLE);
  }
}

/** Shows what happens during a fetch; nothing of it goes to standard output but JSON.
 *
 * @returns What is to be told of it, and what removes a progress bar that is still there.
 */
export function showFetch(
  name: string,
  { from, json, quiet }: Readonly<{ from?: string; json: boolean; quiet: boolean }>,
) {
  const silent = quiet || json;
  let progress: ProgressBar | undefined;
  let shownFile: string | undefined;
  const stop = () => {
    progress?.stop();
    progress = shownFile = undefined;
  };
  const say = (line: string) => {
    stop();
    if (!silent) console.error(line);
  };
  const onEvent = (event: FetchEvent) => {
    if (json && event.type !== "progress") console.log(JSON.stringify({ dataset: name, ...event }));
    switch (event.type) {
      case "damaged":
        return say(`${event.reason}; fetching it again`);
      case "waiting":
        return say(`Waiting for another fetch into ${event.folder} to end`);
      case "source":
        return say(`Trying ${event.source}`);
      case "failed":
        // With --from there is one source, and its failure is the error printed at the end.
        return from === undefined ? say(`  failed: ${event.reason}`) : stop();
      case "stored":
        return say(
          `  ${event.file}: ${formatCount(event.byteLength)} bytes, ` +
            (event.isChecked
              ? "verified"
              : "its digest is not published: only its length is checked"),
        );
      case "progress":
        if (shownFile !== event.file) {
          stop();
          shownFile = event.file;
          progress = startProgress(`  ${event.file}`, { unit: "bytes", quiet: silent });
        }
        return progress?.update(event.bytes, { total: event.total });
    }
  };
  return { onEvent, stop };
}
