/** Download of one file over HTTPS: bounded in size and time, continued after an interruption. */
import { setTimeout as delay } from "node:timers/promises";
import { removeIfThere, writeAll } from "../write_atomic.ts";
import { DownloadError } from "./errors.ts";

/** Bounds of a download, unless told otherwise. */
const BOUNDS = {
  /** Longest wait for an answer to begin. */
  connectTimeoutMs: 5_000,
  /** Longest wait for the next bytes. */
  stallTimeoutMs: 15_000,
  /** Time after which no more bytes are taken and nothing is asked again. */
  totalTimeoutMs: 30 * 60_000,
  /** Attempts in all, each continuing where the last one ended. */
  attempts: 4,
  /** Wait before the second attempt, doubled before each further one. */
  retryDelayMs: 500,
};

const MAX_REDIRECTS = 5;

/** Other bounds of a download than the usual, and what to tell while it runs. */
export interface DownloadOptions extends Readonly<Partial<typeof BOUNDS>> {
  /** Most bytes the file may have. */
  readonly maxBytes: number;
  /** Stops the download; what has arrived is kept for the next one. */
  readonly signal?: AbortSignal;
  /** Called as bytes arrive; the total is undefined where the server does not say it. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
}

/** What one attempt goes by; its signal also closes the connection when it is over. */
type Limits = typeof BOUNDS & DownloadOptions & {
  readonly signal: AbortSignal;
  /** When to give up, as `performance.now()` has it. */
  readonly deadlineMs: number;
};

/** A failure that another attempt may get past. */
class Interruption extends Error {}

/** No server answered: where this is so from the start, another server is the better next try. */
class Unreachable extends Interruption {}

/** Downloads a file to `path`; what is there already is taken for its beginning and continued.
 *
 * Only `https:` is accepted, or `http:` of this machine, and a redirect may not leave it. The content
 * is not checked: a caller that knows its digest checks it, and starts anew where the result is wrong
 * and was put together from several answers.
 *
 * @returns Whether it was put together so.
 * @throws {DownloadError} If the server cannot be reached, refuses, answers with something that
 * is not the file, or is interrupted more often than is worth retrying.
 * @throws {Error} What the file system says when the file cannot be written, or the reason of
 * `signal`.
 */
export async function download(
  url: string | URL,
  path: string,
  options: DownloadOptions,
): Promise<boolean> {
  const bounds = { ...BOUNDS, ...options };
  const source = new URL(url);
  const deadlineMs = performance.now() + bounds.totalTimeoutMs;
  for (let count = 1;; count++) {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, options.signal ?? []].flat());
    try {
      return await attempt(source, path, { ...bounds, signal, deadlineMs });
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof Interruption)) throw error;
      const isLast = count === bounds.attempts || performance.now() > deadlineMs ||
        count === 1 && error instanceof Unreachable;
      if (isLast) throw failure(source, error.message, { cause: error });
    } finally {
      over.abort();
    }
    // Where it is stopped while it waits, the next attempt ends at once.
    const waitMs = bounds.retryDelayMs * 2 ** (count - 1);
    await delay(waitMs, undefined, { signal: options.signal }).catch(() => {});
  }
}

/** An address for people to read, without what may be secret: user, password and query. */
export function addressText(url: URL): string {
  const shown = new URL(url);
  shown.username = shown.password = shown.search = "";
  return shown.href;
}

/** Whether an address is `http:` of this machine itself. */
export function isLoopbackHttp(url: URL): boolean {
  return url.protocol === "http:" &&
    (["localhost", "[::1]"].includes(url.hostname) || /^127(\.\d+){3}$/.test(url.hostname));
}

/** Checks an address that is about to be asked: the source itself, or where it redirects to.
 *
 * @throws {DownloadError} If it is not HTTPS, nor HTTP of this machine all the way.
 */
export function requireAccepted(url: URL, source: URL): void {
  if (url.protocol === "https:" || isLoopbackHttp(url) && isLoopbackHttp(source)) return;
  throw failure(
    source,
    url === source
      ? `expected an https:// address, found ${url.protocol}//`
      : `it redirects to ${addressText(url)}, which is not https://`,
  );
}

/** Asks once for what is missing. Resolves when the file is complete. */
async function attempt(source: URL, path: string, limits: Limits): Promise<boolean> {
  const { maxBytes, signal } = limits;
  const size = (await Deno.stat(path).catch(() => undefined))?.size ?? 0;
  const offset = size > maxBytes ? 0 : size;
  const response = await follow(source, offset, limits);
  const { status, statusText, headers } = response;
  const range = headers.get("content-range") ?? "";
  if (status === 416 && range === `bytes */${offset}`) return true; // there is no more
  if (offset > 0 && (status === 416 || status === 206 && !range.startsWith(`bytes ${offset}-`))) {
    await removeIfThere(path);
    throw new Interruption("it could not be resumed");
  }
  const answer = `the server answered ${status} ${statusText}`.trimEnd();
  if (status === 408 || status === 429 || status >= 500) throw new Interruption(answer);
  const refuse = (reason: string) => failure(source, reason, { status });
  if (status !== 200 && status !== 206) throw refuse(answer);
  if (headers.get("content-type")?.startsWith("text/html")) {
    throw refuse("expected a file, the server answered with a web page (text/html)");
  }
  if (status === 206 && offset === 0) {
    throw refuse("expected the whole file, the server answered with a part");
  }
  const start = status === 206 ? offset : 0;
  const length = headers.get("content-length");
  const total = length === null ? undefined : start + Number(length);
  if (total !== undefined && total > maxBytes) {
    throw tooLarge(source, maxBytes, `${bytesText(total)} announced`);
  }
  try {
    using file = await Deno.open(path, {
      write: true,
      create: true,
      append: start > 0,
      truncate: start === 0,
    });
    await writeAll(file, bodyOf(response, source, { ...limits, start, total }));
  } catch (error) {
    // What cannot be written, or is too large, is of no use to a later attempt.
    if (!(error instanceof Interruption || signal.aborted)) await removeIfThere(path);
    throw error;
  }
  return start > 0;
}

/** Asks for the bytes from an offset on, wherever that redirects to. */
async function follow(source: URL, offset: number, limits: Limits): Promise<Response> {
  const { connectTimeoutMs, signal } = limits;
  // "identity": a transparent Content-Encoding would change the bytes that ranges count.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (offset > 0) headers.range = `bytes=${offset}-`;
  const late = new Unreachable(`no answer within ${connectTimeoutMs / 1000} seconds`);
  let url = source;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    requireAccepted(url, source);
    const answer = fetch(url, { headers, redirect: "manual", signal });
    const response = await inTime(answer.catch(explain(url)), connectTimeoutMs, late);
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    const target = URL.parse(location, url);
    if (target === null) throw failure(source, "it redirects to an address that is none");
    url = target;
  }
  throw failure(source, `it redirects more than ${MAX_REDIRECTS} times`);
}

/** Passes on an answer's bytes as long as they are in time and within their bound. */
async function* bodyOf(
  { body }: Response,
  source: URL,
  { start, total, ...limits }: Limits & { readonly start: number; readonly total?: number },
): AsyncGenerator<Uint8Array> {
  const { maxBytes, stallTimeoutMs, deadlineMs, onProgress } = limits;
  const late = new Interruption(`no data within ${stallTimeoutMs / 1000} seconds`);
  const reader = body?.getReader();
  for (let received = start;;) {
    onProgress?.(received, total);
    const reading = reader?.read().catch((error: unknown) => {
      throw new Interruption("the connection was lost", { cause: error });
    });
    const chunk = (await inTime(reading, stallTimeoutMs, late))?.value;
    if (chunk === undefined) return;
    received += chunk.length;
    if (received > maxBytes) throw tooLarge(source, maxBytes, "more");
    yield chunk;
    if (performance.now() > deadlineMs) throw new Interruption("it took too long in all");
  }
}

/** Waits for what a promise resolves to, but no longer than told. */
async function inTime<T>(promise: T | Promise<T>, withinMs: number, late: Error): Promise<T> {
  const { promise: end, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(reject, withinMs, late);
  try {
    return await Promise.race([promise, end]);
  } finally {
    clearTimeout(timer);
  }
}

/** Deno's message holds a chain of reasons with the URL in front; the last ones say what is wrong. */
function explain(url: URL): (error: unknown) => never {
  return (error) => {
    if (error instanceof Deno.errors.NotCapable) {
      const advice = Deno.build.standalone
        ? "the compiled program may only use the homes of datasets: get the files, name their folder"
        : `run again with --allow-net=${url.host}`;
      throw failure(url, `no permission to reach ${url.host}; ${advice}`, { cause: error });
    }
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const message = cause instanceof Error ? cause.message : String(cause);
    const reason = message.replace(/^error sending request.*?\): /, "");
    const connect = /^client error \(Connect\): (.*)$/s.exec(reason);
    throw connect
      ? new Unreachable(`cannot reach the server (${connect[1]})`, { cause: error })
      : new Interruption(reason, { cause: error });
  };
}

function tooLarge(source: URL, most: number, found: string): DownloadError {
  return failure(source, `expected at most ${bytesText(most)}, found ${found}`);
}

function failure(
  url: URL,
  reason: string,
  options?: ErrorOptions & { readonly status?: number },
): DownloadError {
  return new DownloadError(`Cannot download ${addressText(url)}: ${reason}`, options);
}

function bytesText(bytes: number): string {
  return `${bytes.toLocaleString("en-US")} bytes`;
}
