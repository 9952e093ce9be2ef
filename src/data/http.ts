/** One HTTPS request for a file or the rest of one: redirects, timeouts, and what came back. */
import { DownloadError } from "./errors.ts";

/** A failure that another attempt may get past. */
export class Interruption extends Error {
  /** Whether no server answered at all. */
  readonly unreachable: boolean;

  /** Makes the error; `unreachable` if no server answered at all. */
  constructor(message: string, options: ErrorOptions & { unreachable?: boolean } = {}) {
    super(message, options);
    this.unreachable = options.unreachable ?? false;
  }
}

/** What a server answered to a request for the bytes from an offset on.
 *
 * - `body`: the bytes from `offset` on (0 where the server ignores ranges, or has other content by
 *   now), `total` if known, and the `validator` by which to ask for the rest of the same content;
 * - `complete`: nothing is missing after the offset;
 * - `restart`: the offset makes no sense to the server.
 */
export type Answer =
  & AsyncDisposable
  & (
    | {
      readonly kind: "body";
      readonly offset: number;
      readonly total: number | undefined;
      readonly validator: string | undefined;
      chunks(): AsyncGenerator<Uint8Array>;
    }
    | { readonly kind: "complete" }
    | { readonly kind: "restart" }
  );

/** What is there already of a file, and of which content it is the beginning. */
export interface Beginning {
  /** Bytes that are there. */
  readonly offset: number;
  /** What the server said of the content then: a strong entity tag, or a date. */
  readonly validator?: string;
}

/** Bounds of one request. */
export interface RequestLimits {
  /** Whether `http:` is accepted too, of this machine itself. */
  readonly allowLoopbackHttp: boolean;
  /** Longest wait for an answer to begin. */
  readonly connectTimeoutMs: number;
  /** Longest wait for the next bytes. */
  readonly stallTimeoutMs: number;
  /** Redirects followed before giving up. */
  readonly maxRedirects: number;
  /** Stops the request. */
  readonly signal: AbortSignal;
}

/** Asks for the rest of a file; for all of it where its content has changed.
 *
 * @throws {DownloadError} If asking again cannot help: refused, not a file, wrong scheme.
 * @throws {Interruption} If it may.
 */
export async function openAnswer(
  source: URL,
  beginning: Beginning,
  limits: RequestLimits,
): Promise<Answer> {
  const watch = new Watchdog(limits.signal);
  try {
    const response = await follow(source, beginning, limits, watch);
    const dispose = async () => {
      watch.stop();
      await response.body?.cancel().catch(() => {});
    };
    try {
      return {
        ...classify(response, source, beginning, limits, watch),
        [Symbol.asyncDispose]: dispose,
      };
    } catch (error) {
      await dispose();
      throw error;
    }
  } catch (error) {
    watch.stop();
    throw error;
  }
}

/** Says whether a URL is one that downloads accept: HTTPS, or HTTP to this machine where allowed. */
export function isAcceptedUrl(url: URL, allowLoopbackHttp = false): boolean {
  return url.protocol === "https:" || allowLoopbackHttp && isLoopbackHttp(url);
}

/** An address for people to read, without what may be secret: user, password and query. */
export function addressText(url: URL): string {
  const shown = new URL(url);
  shown.username = shown.password = shown.search = "";
  return shown.href;
}

/** Checks an address that is about to be asked: the source itself, or where it redirects to.
 *
 * @throws {DownloadError} If it is not HTTPS, or leads from elsewhere to this machine.
 */
export function requireAccepted(url: URL, source: URL, allowLoopbackHttp: boolean): void {
  const isFromElsewhere = isLoopbackHttp(url) && !isLoopbackHttp(source);
  if (isAcceptedUrl(url, allowLoopbackHttp) && !isFromElsewhere) return;
  throw new DownloadError(
    url === source
      ? `Cannot download ${addressText(url)}: expected an https:// address, found ${url.protocol}//`
      : `Cannot download ${addressText(source)}: it redirects to ${
        addressText(url)
      }, which is not https://`,
  );
}

/** Aborts what waits longer than it was told to. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#controller.signal]);
  }

  expect(what: string, withinMs: number, options: { unreachable?: boolean } = {}): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#controller.abort(
        new Interruption(`no ${what} within ${withinMs / 1000} seconds`, options),
      );
    }, withinMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

async function follow(
  source: URL,
  beginning: Beginning,
  limits: RequestLimits,
  watch: Watchdog,
) {
  let url = source;
  for (let redirects = 0; redirects <= limits.maxRedirects; redirects++) {
    requireAccepted(url, source, limits.allowLoopbackHttp);
    watch.expect("answer", limits.connectTimeoutMs, { unreachable: true });
    const response = await request(url, beginning, watch.signal);
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    const target = URL.parse(location, url);
    if (target === null) {
      throw new DownloadError(
        `Cannot download ${addressText(source)}: it redirects to an address that is none`,
      );
    }
    url = target;
  }
  throw new DownloadError(
    `Cannot download ${addressText(source)}: it redirects more than ${limits.maxRedirects} times`,
  );
}

async function request(
  url: URL,
  { offset, validator }: Beginning,
  signal: AbortSignal,
): Promise<Response> {
  // "identity": a transparent Content-Encoding would change the bytes that ranges count.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (offset > 0) {
    headers.range = `bytes=${offset}-`;
    // The server then sends the whole file if it has another one by now.
    if (validator !== undefined) headers["if-range"] = validator;
  }
  try {
    return await fetch(url, { headers, redirect: "manual", signal });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Deno.errors.NotCapable) {
      throw new DownloadError(
        `Cannot download ${addressText(url)}: no permission to reach ${url.host}; ` +
          (Deno.build.standalone
            ? "the compiled program may only use the homes of datasets: get the files, name their folder"
            : `run again with --allow-net=${url.host}`),
        { cause: error },
      );
    }
    const reason = networkReason(error);
    throw new Interruption(reason, {
      cause: error,
      unreachable: reason.startsWith("cannot reach"),
    });
  }
}

function classify(
  response: Response,
  source: URL,
  { offset, validator: known }: Beginning,
  limits: RequestLimits,
  watch: Watchdog,
) {
  const { status, headers } = response;
  const validator = validatorOf(headers);
  const refuse = (reason: string) =>
    new DownloadError(`Cannot download ${addressText(source)}: ${reason}`, { status });
  if (status === 416 && offset > 0) {
    const total = /^bytes \*\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1];
    return Number(total) === offset ? { kind: "complete" as const } : { kind: "restart" as const };
  }
  if (status === 408 || status === 429 || status >= 500) {
    throw new Interruption(`the server answered ${status} ${response.statusText}`.trimEnd());
  }
  if (status !== 200 && status !== 206) {
    throw refuse(`the server answered ${status} ${response.statusText}`.trimEnd());
  }
  if (headers.get("content-type")?.startsWith("text/html")) {
    throw refuse("expected a file, the server answered with a web page (text/html)");
  }
  const body = (from: number, total: number | undefined) => ({
    kind: "body" as const,
    offset: from,
    total,
    validator,
    chunks: () => chunksOf(response, limits, watch),
  });
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
    if (offset === 0) throw refuse("expected the whole file, the server answered with a part");
    const isChanged = known !== undefined && validator !== undefined && validator !== known;
    if (Number(range?.[1]) !== offset || isChanged) return { kind: "restart" as const };
    return body(offset, range?.[2] === "*" ? undefined : Number(range?.[2]));
  }
  const announced = headers.get("content-length");
  return body(0, announced === null ? undefined : Number(announced));
}

/** A strong entity tag, else the date of the last change; nothing that may not stand in a header. */
function validatorOf(headers: Headers): string | undefined {
  const candidates = [headers.get("etag"), headers.get("last-modified")];
  return candidates.find((value) => value !== null && /^(?!W\/)[\x20-\x7e]{1,200}$/.test(value)) ??
    undefined;
}

async function* chunksOf(
  response: Response,
  limits: RequestLimits,
  watch: Watchdog,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    while (true) {
      watch.expect("data", limits.stallTimeoutMs);
      const { done, value } = await readOrExplain(reader, watch.signal);
      watch.stop();
      if (done) return;
      yield value;
    }
  } finally {
    watch.stop();
    await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

async function readOrExplain(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
) {
  try {
    return await reader.read();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new Interruption("the connection was lost", { cause: error });
  }
}

/** Deno's message holds a chain of reasons with the URL in front; the last ones say what is wrong. */
function networkReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = cause instanceof Error ? cause.message : String(cause);
  const reason = message.replace(/^error sending request.*?\): /, "");
  const connect = /^client error \(Connect\): (.*)$/s.exec(reason);
  return connect ? `cannot reach the server (${connect[1]})` : reason;
}

function isLoopbackHttp(url: URL): boolean {
  return url.protocol === "http:" &&
    (["localhost", "[::1]"].includes(url.hostname) || /^127(\.\d+){3}$/.test(url.hostname));
}
