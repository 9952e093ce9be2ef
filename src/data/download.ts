/** Download of one file over HTTPS: bounded in size and time, continued after an interruption. */
import { setTimeout as delay } from "node:timers/promises";
import { removeIfThere, writeAll } from "../write_atomic.ts";
import { DownloadError } from "./errors.ts";

/** Bounds of a download and what to tell while it runs. */
export interface DownloadOptions {
  /** Most bytes the file may have. */
  readonly maxBytes: number;
  /** Longest wait for an answer to begin; default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Longest wait for the next bytes; default 15,000. */
  readonly stallTimeoutMs?: number;
  /** Time after which no more bytes are taken and nothing is asked again; default 30 minutes. */
  readonly totalTimeoutMs?: number;
  /** Attempts in all, each continuing where the last one ended; default 4. */
  readonly attempts?: number;
  /** Wait before the second attempt, doubled before each further one; default 500. */
  readonly retryDelayMs?: number;
  /** Stops the download; what has arrived is kept for the next one. */
  readonly signal?: AbortSignal;
  /** Called as bytes arrive; the total is undefined where the server does not say it. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
}

const DEFAULTS = {
  connectTimeoutMs: 5_000,
  stallTimeoutMs: 15_000,
  totalTimeoutMs: 30 * 60_000,
  attempts: 4,
  retryDelayMs: 500,
};

const MAX_REDIRECTS = 5;

/** A failure that another attempt may get past. */
class Interruption extends Error {}

/** No server answered: where this is so from the start, another server is the better next try. */
class Unreachable extends Interruption {}

/** One attempt: what it is to do, and how it is stopped. */
interface Attempt {
  readonly source: URL;
  readonly path: string;
  readonly limits: DownloadOptions & typeof DEFAULTS;
  /** When the download as a whole must be over, as `performance.now()` has it. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Ends the attempt with an error unless this is called again in time. */
  readonly expect: (withinMs: number, error: Interruption) => void;
}

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
  const limits = { ...DEFAULTS, ...options };
  const source = new URL(url);
  const deadlineMs = performance.now() + limits.totalTimeoutMs;
  for (let count = 1;; count++) {
    try {
      return await attempt({ source, path, limits, deadlineMs });
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof Interruption)) throw error;
      const isLast = count === limits.attempts || performance.now() > deadlineMs ||
        count === 1 && error instanceof Unreachable;
      if (isLast) throw failure(source, error.message, { cause: error });
    }
    // Where it is stopped while it waits, the next attempt ends at once.
    const waitMs = limits.retryDelayMs * 2 ** (count - 1);
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
async function attempt(
  { limits, ...given }: Omit<Attempt, "signal" | "expect">,
): Promise<boolean> {
  const controller = new AbortController();
  const signals = [controller.signal, ...(limits.signal ? [limits.signal] : [])];
  const signal = AbortSignal.any(signals);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expect: Attempt["expect"] = (withinMs, error) => {
    clearTimeout(timer);
    timer = setTimeout(() => controller.abort(error), withinMs);
  };
  try {
    return await receive({ ...given, limits, signal, expect });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    clearTimeout(timer);
    controller.abort(); // closes the connection of an answer that was not read to its end
  }
}

async function receive(work: Attempt): Promise<boolean> {
  const { source, path, limits: { maxBytes } } = work;
  const size = (await Deno.stat(path).catch(() => undefined))?.size ?? 0;
  const offset = size > maxBytes ? 0 : size;
  const response = await follow(work, offset);
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
    await writeAll(file, bounded(work, response, { start, total }));
  } catch (error) {
    // What cannot be written, or is too large, is of no use to a later attempt.
    if (!(error instanceof Interruption || work.signal.aborted)) await removeIfThere(path);
    throw error;
  }
  return start > 0;
}

/** Asks for the bytes from an offset on, wherever that redirects to. */
async function follow(work: Attempt, offset: number): Promise<Response> {
  const { source, limits: { connectTimeoutMs }, signal } = work;
  // "identity": a transparent Content-Encoding would change the bytes that ranges count.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (offset > 0) headers.range = `bytes=${offset}-`;
  let url = source;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    requireAccepted(url, source);
    work.expect(
      connectTimeoutMs,
      new Unreachable(`no answer within ${connectTimeoutMs / 1000} seconds`),
    );
    const response = await fetch(url, { headers, redirect: "manual", signal })
      .catch((error: unknown) => {
        throw networkError(url, error);
      });
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
async function* bounded(
  { source, limits, deadlineMs, expect }: Attempt,
  response: Response,
  { start, total }: { readonly start: number; readonly total: number | undefined },
): AsyncGenerator<Uint8Array> {
  const { stallTimeoutMs, maxBytes, onProgress } = limits;
  const stalled = new Interruption(`no data within ${stallTimeoutMs / 1000} seconds`);
  let received = start;
  onProgress?.(received, total);
  expect(stallTimeoutMs, stalled);
  for await (const chunk of connected(response)) {
    received += chunk.length;
    if (received > maxBytes) throw tooLarge(source, maxBytes, "more");
    yield chunk;
    onProgress?.(received, total);
    if (performance.now() > deadlineMs) throw new Interruption("it took too long in all");
    expect(stallTimeoutMs, stalled);
  }
}

async function* connected({ body }: Response): AsyncGenerator<Uint8Array> {
  try {
    if (body !== null) yield* body;
  } catch (error) {
    throw new Interruption("the connection was lost", { cause: error });
  }
}

/** Deno's message holds a chain of reasons with the URL in front; the last ones say what is wrong. */
function networkError(url: URL, error: unknown): Error {
  if (error instanceof Deno.errors.NotCapable) {
    const advice = Deno.build.standalone
      ? "the compiled program may only use the homes of datasets: get the files, name their folder"
      : `run again with --allow-net=${url.host}`;
    return failure(url, `no permission to reach ${url.host}; ${advice}`, { cause: error });
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = cause instanceof Error ? cause.message : String(cause);
  const reason = message.replace(/^error sending request.*?\): /, "");
  const connect = /^client error \(Connect\): (.*)$/s.exec(reason);
  return connect
    ? new Unreachable(`cannot reach the server (${connect[1]})`, { cause: error })
    : new Interruption(reason, { cause: error });
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
