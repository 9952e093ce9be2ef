/** Download of one file over HTTPS: bounded in size and time, resumed after an interruption. */
import { DownloadError } from "./errors.ts";
import { addressText, type Answer, Interruption, openAnswer } from "./http.ts";
import { beginningOf, completePartial, recordOrigin, removePartial, sizeOf } from "./partial.ts";

/** Bounds of a download and what to tell while it runs. */
export interface DownloadOptions {
  /** Most bytes the file may have. */
  readonly maxBytes: number;
  /** Longest wait for an answer to begin; default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Longest wait for the next bytes; default 15,000. */
  readonly stallTimeoutMs?: number;
  /** Longest time for all attempts together; default 30 minutes. */
  readonly totalTimeoutMs?: number;
  /** Attempts in all, each resuming where the last one ended; default 4. */
  readonly attempts?: number;
  /** Wait before the second attempt, doubled before each further one; default 500. */
  readonly retryDelayMs?: number;
  /** Redirects followed before giving up; default 5. */
  readonly maxRedirects?: number;
  /** Whether `http:` is accepted too, of this machine itself; default false. */
  readonly allowLoopbackHttp?: boolean;
  /** Stops the download; what has arrived is kept for the next one. */
  readonly signal?: AbortSignal;
  /** Called as bytes arrive; the total is undefined where the server does not say it. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
}

/** What a finished download was. */
export interface DownloadResult {
  /** Size of the file. */
  readonly byteLength: number;
  /** Whether its beginning was already there, from an earlier and unverified download. */
  readonly resumed: boolean;
}

type Limits =
  & Required<Omit<DownloadOptions, "signal" | "onProgress">>
  & Pick<DownloadOptions, "onProgress">;

/** Downloads a file to `path`, by way of `path.part`, which outlives an interruption.
 *
 * Only `https:` is accepted, and a redirect may not leave it. A partial file is continued while the
 * server has the same content, by its entity tag or date; where it gives neither, on trust.
 * The content is not checked; a caller that knows its digest checks it, the more so when the
 * result was resumed.
 *
 * @throws {DownloadError} If the server cannot be reached, refuses, answers with something that
 * is not the file, or is interrupted more often than is worth retrying.
 * @throws {Error} What the file system says when the file cannot be written, or the reason of
 * `signal`.
 */
export async function download(
  url: string | URL,
  path: string,
  options: DownloadOptions,
): Promise<DownloadResult> {
  const { signal, ...rest } = options;
  const limits: Limits = {
    connectTimeoutMs: 5_000,
    stallTimeoutMs: 15_000,
    totalTimeoutMs: 30 * 60_000,
    attempts: 4,
    retryDelayMs: 500,
    maxRedirects: 5,
    allowLoopbackHttp: false,
    ...rest,
  };
  const source = new URL(url);
  const part = `${path}.part`;
  const resumed = await sizeOf(part) > 0;
  const tooLong = new AbortController();
  const timer = setTimeout(
    () => tooLong.abort(new DownloadError(describe(source, "it took too long in all"))),
    limits.totalTimeoutMs,
  );
  const stop = signal ? AbortSignal.any([tooLong.signal, signal]) : tooLong.signal;
  try {
    const byteLength = await attemptAll(source, part, limits, stop);
    await completePartial(part, path);
    return { byteLength, resumed };
  } finally {
    clearTimeout(timer);
  }
}

async function attemptAll(source: URL, part: string, limits: Limits, stop: AbortSignal) {
  let interruption: Interruption | undefined;
  for (let attempt = 0; attempt < limits.attempts; attempt++) {
    if (attempt > 0) await pause(limits.retryDelayMs * 2 ** (attempt - 1), stop);
    try {
      return await attemptOnce(source, part, limits, stop);
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      interruption = error;
      // Where nobody answers, another home is the better next try.
      if (attempt === 0 && error.unreachable) break;
    }
  }
  throw new DownloadError(describe(source, interruption!.message), { cause: interruption });
}

/** One request for what is missing. Resolves with the size of the complete file. */
async function attemptOnce(source: URL, part: string, limits: Limits, stop: AbortSignal) {
  let beginning = await beginningOf(part, source);
  if (beginning.offset > limits.maxBytes) {
    await removePartial(part);
    beginning = { offset: 0 };
  }
  await using answer = await openAnswer(source, beginning, { ...limits, signal: stop });
  if (answer.kind === "complete") return beginning.offset;
  if (answer.kind === "restart") {
    await removePartial(part);
    throw new Interruption("it could not be resumed");
  }
  if (answer.total !== undefined && answer.total > limits.maxBytes) {
    throw tooLarge(source, limits.maxBytes, `${bytesText(answer.total)} announced`);
  }
  try {
    return await save(answer, part, source, limits);
  } catch (error) {
    // What cannot be written, or is too large, is of no use to a later attempt.
    const reusable = error instanceof Interruption || error === stop.reason;
    if (!reusable) await removePartial(part).catch(() => {});
    throw error;
  }
}

async function save(
  answer: Extract<Answer, { kind: "body" }>,
  part: string,
  source: URL,
  limits: Limits,
): Promise<number> {
  if (answer.offset === 0) await recordOrigin(part, source, answer.validator);
  using file = await Deno.open(part, {
    write: true,
    create: true,
    append: answer.offset > 0,
    truncate: answer.offset === 0,
  });
  let received = answer.offset;
  limits.onProgress?.(received, answer.total);
  for await (const chunk of answer.chunks()) {
    received += chunk.length;
    const most = Math.min(answer.total ?? limits.maxBytes, limits.maxBytes);
    if (received > most) throw tooLarge(source, most, "more");
    for (let written = 0; written < chunk.length;) {
      written += await file.write(chunk.subarray(written));
    }
    limits.onProgress?.(received, answer.total);
  }
  if (answer.total !== undefined && received < answer.total) {
    throw new Interruption(
      `the answer ended after ${bytesText(received)} of ${bytesText(answer.total)}`,
    );
  }
  await file.sync();
  return received;
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

function tooLarge(source: URL, most: number, found: string): DownloadError {
  return new DownloadError(describe(source, `expected at most ${bytesText(most)}, found ${found}`));
}

function describe(source: URL, reason: string): string {
  return `Cannot download ${addressText(source)}: ${reason}`;
}

function bytesText(bytes: number): string {
  return `${bytes.toLocaleString("en-US")} bytes`;
}
