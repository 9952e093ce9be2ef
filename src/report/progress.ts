// deno-lint-ignore-file no-console
/** Progress on standard error: a bar on a terminal, a plain line now and then elsewhere. */
import process from "node:process";
import { formatBytes, SingleBar } from "./std.ts";

/** How progress is shown. */
export interface ProgressOptions {
  /** What is counted: `bytes` are shown in kB and MB, anything else is named as it is. */
  readonly unit: string;
  /** How much there will be; may be left out where nobody knows. */
  readonly total?: number;
  /** Shows nothing at all. */
  readonly quiet?: boolean;
  /** Least time between two plain lines; default 5,000. */
  readonly plainIntervalMs?: number;
}

/** What an update can tell beside how much is done. */
export interface ProgressUpdate {
  /** How much there will be, where that was not known before. */
  readonly total?: number;
  /** A word about it, such as `3 decoded before`. */
  readonly note?: string;
  /** Seconds until all of something larger is done; default: until this task is. */
  readonly leftInAll?: number;
}

/** Progress of one task as it is shown. */
export interface ProgressBar {
  /** Tells how much is done, and optionally more. */
  update(done: number, more?: ProgressUpdate): void;
  /** Ends the display and removes the bar; later updates are ignored. */
  stop(): void;
}

/** Starts showing the progress of a task.
 *
 * Never touches standard output, so that it can be piped.
 */
export function startProgress(label: string, options: ProgressOptions): ProgressBar {
  if (options.quiet) return { update() {}, stop() {} };
  return Deno.stderr.isTerminal() ? barProgress(label, options) : plainProgress(label, options);
}

/** Says how much is done, of how much, how fast, and how long it will take:
 * `12.3 MB of 26.4 MB, 5.1 MB/s, 3 s left`.
 *
 * @param rate In units a second; 0 where it is not known yet.
 */
export function progressText(
  done: number,
  total: number | undefined,
  { unit, rate, leftInAll }: { readonly unit: string; readonly rate: number } & ProgressUpdate,
): string {
  const isBytes = unit === "bytes";
  const amount = (value: number) =>
    isBytes ? formatBytes(value) : Math.round(value).toLocaleString("en-US");
  const goal = total === undefined ? "" : ` of ${amount(total)}`;
  const amounts = `${amount(done)}${goal}${isBytes ? "" : ` ${unit}`}`;
  if (rate <= 0) return amounts;
  const seconds = leftInAll ?? (total === undefined ? undefined : (total - done) / rate);
  const left = seconds === undefined ? "" : `, ${timeText(seconds)} left`;
  return `${amounts}, ${amount(rate)}/s${left}${leftInAll === undefined ? "" : " in all"}`;
}

/** `8 s`, `2 min 5 s`, `1 h 10 min`. */
export function timeText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const [large, small, units] = whole < 3600
    ? [Math.floor(whole / 60), whole % 60, ["min", "s"]]
    : [Math.floor(whole / 3600), Math.floor(whole % 3600 / 60), ["h", "min"]];
  return `${large} ${units[0]}` + (small > 0 ? ` ${small} ${units[1]}` : "");
}

function barProgress(label: string, { unit, total }: ProgressOptions): ProgressBar {
  const describe = describer(unit);
  const columns = process.stderr.columns || 80;
  const bar = new SingleBar({
    format: Deno.noColor ? "{label} [{bar}] {text}" : "{label} \x1b[36m{bar}\x1b[0m {text}",
    stream: process.stderr,
    clearOnComplete: true,
    // Terminal modes that a killed program could not set back stay as they are.
    hideCursor: false,
    linewrap: true,
    // Most texts, and what is around them, fit in 62 columns.
    barsize: Math.max(4, Math.min(24, columns - label.length - 62)),
    barCompleteChar: Deno.noColor ? "#" : "\u2588",
    barIncompleteChar: Deno.noColor ? "." : "\u2591",
    emptyOnZero: true,
  });
  bar.start(total ?? 0, 0, { label, text: "" });
  return {
    update(done, more = {}) {
      const { total: newTotal = total } = more;
      if (newTotal !== undefined) bar.setTotal(newTotal);
      bar.update(done, { text: describe(done, newTotal, more) });
    },
    stop: () => bar.stop(),
  };
}

function plainProgress(
  label: string,
  { unit, total, plainIntervalMs = 5_000 }: ProgressOptions,
): ProgressBar {
  const describe = describer(unit);
  let lastMs = performance.now();
  return {
    update(done, more = {}) {
      const text = describe(done, more.total ?? total, more);
      if (performance.now() - lastMs < plainIntervalMs) return;
      lastMs = performance.now();
      console.error(`${label}: ${text}`);
    },
    stop() {},
  };
}

/** Describes progress; the rate counts from the first update, since a download may be resumed. */
function describer(unit: string) {
  let first: { done: number; atMs: number } | undefined;
  return (done: number, total: number | undefined, { note, leftInAll }: ProgressUpdate): string => {
    first ??= { done, atMs: performance.now() };
    const elapsedMs = performance.now() - first.atMs;
    const rate = elapsedMs > 0 ? (done - first.done) / elapsedMs * 1000 : 0;
    const text = progressText(done, total, { unit, rate, leftInAll });
    return note === undefined ? text : `${text}, ${note}`;
  };
}
