// deno-lint-ignore-file no-console
/** What happens during a fetch, shown to people or, as JSON, to programs. */

import type { FetchEvent } from "../data/fetch.ts";
import { type Progress, startProgress } from "../report/progress.ts";
import { formatCount } from "../report/table.ts";

/** Shows what happens during a fetch; nothing of it goes to standard output but JSON.
 *
 * @returns What is to be told of it, and what removes a progress bar that is still there.
 */
export function showFetch(
  name: string,
  { from, json, quiet }: Readonly<{ from?: string; json: boolean; quiet: boolean }>,
) {
  const silent = quiet || json;
  let progress: Progress | undefined;
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
