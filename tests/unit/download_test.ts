/** Downloads from real servers on this machine that behave as servers should, and as they do. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "../assert.ts";
import { download, type DownloadOptions, requireAccepted } from "../../src/data/download.ts";
import { DownloadError } from "../../src/data/errors.ts";
import { granted } from "../permissions.ts";
import { canUseTemp, namesIn, withTempDir } from "../temp.ts";

const ignore = !canUseTemp() || !granted({ name: "net", host: "127.0.0.1" });

const CONTENT = Uint8Array.from({ length: 300_000 }, (_, index) => index * 7 % 253);
const HALF = 150_000;

const OPTIONS: DownloadOptions = {
  maxBytes: 1_000_000,
  totalTimeoutMs: 20_000, // so that a download without end fails its test
  retryDelayMs: 0,
  attempts: 3,
};

type Handler = (request: Request, count: number) => Response | Promise<Response>;

interface Site {
  readonly url: string;
  readonly folder: string;
  readonly path: string;
  readonly requests: Request[];
}

/** Runs a body with a server and a folder to download to. */
async function withSite(handler: Handler, body: (site: Site) => Promise<void>): Promise<void> {
  const requests: Request[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {}, onError: () => new Response(null) },
    (request) => {
      requests.push(request);
      return handler(request, requests.length);
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}/file.gz`;
  await withTempDir((folder) => body({ url, folder, path: `${folder}/file.gz`, requests }));
}

/** As {@linkcode withSite}, for answers no HTTP library would give: `answer` is sent as it is. */
async function withRawSite(
  answer: (connection: Deno.Conn, request: string, count: number) => Promise<void>,
  body: (site: Pick<Site, "url" | "path" | "folder">) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      const buffer = new Uint8Array(4096);
      const length = await connection.read(buffer) ?? 0;
      await answer(
        connection,
        new TextDecoder().decode(buffer.subarray(0, length)),
        connections.length,
      )
        .catch(() => {});
    }
  })();
  const url = `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}/file.gz`;
  try {
    await withTempDir((folder) => body({ url, folder, path: `${folder}/file.gz` }));
  } finally {
    listener.close();
    await serving.catch(() => {});
    for (const connection of connections) closeQuietly(connection);
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch { /* The answer has closed it. */ }
}

async function send(connection: Deno.Conn, head: string[], body: Uint8Array): Promise<void> {
  const bytes = new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`);
  const whole = Uint8Array.from([...bytes, ...body]);
  for (let sent = 0; sent < whole.length;) sent += await connection.write(whole.subarray(sent));
}

function offsetOf(request: Request): number {
  return Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
}

/** Answers with what was asked for, as a good server does. */
function serveRange(request: Request): Response {
  const offset = offsetOf(request);
  if (offset === 0) return new Response(CONTENT);
  if (offset >= CONTENT.length) {
    return new Response(null, {
      status: 416,
      headers: { "content-range": `bytes */${CONTENT.length}` },
    });
  }
  return new Response(CONTENT.subarray(offset), {
    status: 206,
    headers: { "content-range": `bytes ${offset}-${CONTENT.length - 1}/${CONTENT.length}` },
  });
}

Deno.test({
  name: "download stores the whole file and tells its progress",
  ignore,
  fn: () =>
    withSite(serveRange, async ({ url, folder, path, requests }) => {
      const progress: [number, number | undefined][] = [];
      const onProgress = (bytes: number, total: number | undefined) => {
        progress.push([bytes, total]);
      };
      assertEquals(await download(url, path, { ...OPTIONS, onProgress }), false);
      assertEquals(await Deno.readFile(path), CONTENT);
      assertEquals(await namesIn(folder), ["file.gz"]);
      assertEquals(progress[0], [0, CONTENT.length]);
      assertEquals(progress.at(-1), [CONTENT.length, CONTENT.length]);
      assertEquals(requests.length, 1);
    }),
});

Deno.test({
  name: "download asks only for what a partial file lacks, and says that it did",
  ignore,
  fn: () =>
    withSite(serveRange, async ({ url, path, requests }) => {
      await Deno.writeFile(path, CONTENT.subarray(0, HALF));
      assertEquals(await download(url, path, OPTIONS), true);
      assertEquals(await Deno.readFile(path), CONTENT);
      assertEquals(requests.map(offsetOf), [HALF]);
    }),
});

Deno.test({
  name: "download takes a partial file that lacks nothing",
  ignore,
  fn: () =>
    withSite(serveRange, async ({ url, path }) => {
      await Deno.writeFile(path, CONTENT);
      await download(url, path, OPTIONS);
      assertEquals(await Deno.readFile(path), CONTENT);
    }),
});

Deno.test({
  name: "download begins again where a partial file is longer than the file",
  ignore,
  fn: () =>
    withSite(serveRange, async ({ url, path, requests }) => {
      await Deno.writeFile(path, new Uint8Array(CONTENT.length + 1));
      await download(url, path, OPTIONS);
      assertEquals(await Deno.readFile(path), CONTENT);
      assertEquals(requests.map(offsetOf), [CONTENT.length + 1, 0]);
    }),
});

Deno.test({
  name: "download begins again where the server ignores ranges or answers another one",
  ignore,
  fn: async () => {
    const ignoring: Handler = () => new Response(CONTENT);
    const confused: Handler = (request) =>
      offsetOf(request) === 0 ? new Response(CONTENT) : new Response(CONTENT.subarray(10), {
        status: 206,
        headers: { "content-range": `bytes 10-${CONTENT.length - 1}/${CONTENT.length}` },
      });
    for (const handler of [ignoring, confused]) {
      await withSite(handler, async ({ url, path }) => {
        await Deno.writeFile(path, CONTENT.subarray(0, HALF));
        await download(url, path, OPTIONS);
        assertEquals(await Deno.readFile(path), CONTENT);
      });
    }
  },
});

Deno.test({
  name: "download resumes by itself after the connection broke in the middle",
  ignore,
  fn: () => {
    const requests: string[] = [];
    return withRawSite(async (connection, request, count) => {
      requests.push(/range: (.*)\r\n/i.exec(request)?.[1] ?? "none");
      const length = `content-length: ${count === 1 ? CONTENT.length : CONTENT.length - HALF}`;
      if (count === 1) {
        await send(connection, ["HTTP/1.1 200 OK", length], CONTENT.subarray(0, HALF));
      } else {
        const range = `content-range: bytes ${HALF}-${CONTENT.length - 1}/${CONTENT.length}`;
        const head = ["HTTP/1.1 206 Partial Content", length, range, "connection: close"];
        await send(connection, head, CONTENT.subarray(HALF));
      }
      connection.close();
    }, async ({ url, path }) => {
      assertEquals(await download(url, path, OPTIONS), true);
      assertEquals(await Deno.readFile(path), CONTENT);
      assertEquals(requests, ["none", `bytes=${HALF}-`]);
    });
  },
});

Deno.test({
  name: "download gives up after its attempts and keeps what has arrived",
  ignore,
  fn: () =>
    withRawSite(async (connection) => {
      const head = ["HTTP/1.1 200 OK", `content-length: ${CONTENT.length}`];
      await send(connection, head, CONTENT.subarray(0, HALF));
      connection.close();
    }, async ({ url, folder, path }) => {
      const error = await assertRejects(() => download(url, path, OPTIONS), DownloadError);
      assertEquals(error.message, `Cannot download ${url}: the connection was lost`);
      assertEquals(await namesIn(folder), ["file.gz"]);
      assertEquals(await Deno.readFile(path), CONTENT.slice(0, HALF));
    }),
});

Deno.test({
  name: "download does not wait for ever for a server that stalls",
  ignore,
  fn: () =>
    withRawSite(async (connection) => {
      const head = ["HTTP/1.1 200 OK", `content-length: ${CONTENT.length}`];
      await send(connection, head, CONTENT.subarray(0, HALF));
    }, async ({ url, path }) => {
      const error = await assertRejects(
        () => download(url, path, { ...OPTIONS, attempts: 2, stallTimeoutMs: 50 }),
        DownloadError,
      );
      assertEquals(error.message, `Cannot download ${url}: no data within 0.05 seconds`);
    }),
});

Deno.test({
  name: "download tries a server that never answers only once",
  ignore,
  fn: () => {
    let connections = 0;
    return withRawSite(() => {
      connections++;
      return Promise.resolve();
    }, async ({ url, path }) => {
      const error = await assertRejects(
        () => download(url, path, { ...OPTIONS, connectTimeoutMs: 50 }),
        DownloadError,
      );
      assertEquals(error.message, `Cannot download ${url}: no answer within 0.05 seconds`);
      assertEquals(connections, 1);
    });
  },
});

Deno.test({
  name: "download ends when its whole time is over, however steadily data drips",
  ignore,
  fn: () => {
    let drops = 2_000; // a hundred times as long as is waited for, and yet an end
    const drip = new ReadableStream({
      pull: async (controller) => {
        if (drops-- === 0) return controller.close();
        await new Promise((resolve) => setTimeout(resolve, 5));
        controller.enqueue(new Uint8Array(1));
      },
    });
    return withSite(() => new Response(drip), async ({ url, path }) => {
      const error = await assertRejects(
        () => download(url, path, { ...OPTIONS, totalTimeoutMs: 100 }),
        DownloadError,
      );
      assertEquals(error.message, `Cannot download ${url}: it took too long in all`);
    });
  },
});

Deno.test({
  name: "download says at once what asking again cannot change",
  ignore,
  fn: async () => {
    const html = { headers: { "content-type": "text/html; charset=utf-8" } };
    const cases: [Handler, string, number][] = [
      [() => new Response("no", { status: 404 }), "the server answered 404 Not Found", 404],
      [() => new Response("no", { status: 403 }), "the server answered 403 Forbidden", 403],
      [
        () => new Response("<html>sign in</html>", html),
        "expected a file, the server answered with a web page (text/html)",
        200,
      ],
      [
        () => new Response(CONTENT, { status: 206 }),
        "expected the whole file, the server answered with a part",
        206,
      ],
    ];
    for (const [handler, reason, status] of cases) {
      await withSite(handler, async ({ url, folder, path, requests }) => {
        const error = await assertRejects(() => download(url, path, OPTIONS), DownloadError);
        assertEquals(error.message, `Cannot download ${url}: ${reason}`);
        assertEquals(error.status, status);
        assertEquals(requests.length, 1);
        assertEquals(await namesIn(folder), []);
      });
    }
  },
});

Deno.test({
  name: "download asks again after a server error, and says so when it stays",
  ignore,
  fn: async () => {
    const broken = () => new Response("no", { status: 500 });
    await withSite(broken, async ({ url, path, requests }) => {
      const error = await assertRejects(() => download(url, path, OPTIONS), DownloadError);
      assertStringIncludes(error.message, "the server answered 500 Internal Server Error");
      assertEquals(requests.length, 3);
    });
    const recovering: Handler = (request, count) => count < 3 ? broken() : serveRange(request);
    await withSite(recovering, async ({ url, path }) => {
      await download(url, path, OPTIONS);
      assertEquals(await Deno.readFile(path), CONTENT);
    });
  },
});

Deno.test({
  name: "download follows redirects, but not for ever and not away from HTTPS",
  ignore,
  fn: async () => {
    const once: Handler = (request) =>
      new URL(request.url).pathname === "/file.gz"
        ? new Response(null, { status: 302, headers: { location: "/other.gz" } })
        : serveRange(request);
    await withSite(once, async ({ url, path }) => {
      await download(url, path, OPTIONS);
      assertEquals(await Deno.readFile(path), CONTENT);
    });
    const loop = () => new Response(null, { status: 301, headers: { location: "/file.gz" } });
    await withSite(loop, async ({ url, path, requests }) => {
      const error = await assertRejects(() => download(url, path, OPTIONS), DownloadError);
      assertEquals(error.message, `Cannot download ${url}: it redirects more than 5 times`);
      assertEquals(requests.length, 6);
    });
    const away = () =>
      new Response(null, { status: 307, headers: { location: "http://example.org/x" } });
    await withSite(away, async ({ url, path }) => {
      const error = await assertRejects(() => download(url, path, OPTIONS), DownloadError);
      assertEquals(
        error.message,
        `Cannot download ${url}: it redirects to http://example.org/x, which is not https://`,
      );
    });
    const nowhere = () => new Response(null, { status: 302, headers: { location: "http://[" } });
    await withSite(nowhere, async ({ url, path, requests }) => {
      const error = await assertRejects(() => download(url, path, OPTIONS), DownloadError);
      assertEquals(
        error.message,
        `Cannot download ${url}: it redirects to an address that is none`,
      );
      assertEquals(requests.length, 1);
    });
  },
});

Deno.test({
  name: "download refuses more bytes than its bound, announced or not",
  ignore,
  fn: async () => {
    const unannounced = () =>
      new Response(
        new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(10_000)) }),
      );
    const cases: [Handler, RegExp][] = [
      [serveRange, /expected at most 200,000 bytes, found [\d,]+ bytes announced$/],
      [unannounced, /expected at most 200,000 bytes, found more$/],
    ];
    for (const [handler, reason] of cases) {
      await withSite(handler, async ({ url, folder, path }) => {
        const error = await assertRejects(
          () => download(url, path, { ...OPTIONS, maxBytes: 200_000 }),
          DownloadError,
        );
        assertMatch(error.message, reason);
        assertEquals(await namesIn(folder), []);
      });
    }
  },
});

Deno.test({
  name: "download takes no more than a server announced",
  ignore,
  fn: () =>
    withRawSite(async (connection) => {
      await send(connection, ["HTTP/1.1 200 OK", "content-length: 1000"], CONTENT);
      connection.close();
    }, async ({ url, path }) => {
      await download(url, path, OPTIONS);
      assertEquals(await Deno.readFile(path), CONTENT.slice(0, 1000));
    }),
});

Deno.test({
  name: "download keeps what has arrived when it is stopped",
  ignore,
  fn: () =>
    withRawSite(async (connection) => {
      const head = ["HTTP/1.1 200 OK", `content-length: ${CONTENT.length}`];
      await send(connection, head, CONTENT.subarray(0, HALF));
    }, async ({ url, path }) => {
      const controller = new AbortController();
      const reason = new Error("stopped");
      const onProgress = (bytes: number) => {
        if (bytes === HALF) controller.abort(reason);
      };
      const options = { ...OPTIONS, signal: controller.signal, onProgress };
      const error = await assertRejects(() => download(url, path, options));
      assert(error === reason);
      assertEquals((await Deno.stat(path)).size, HALF);
    }),
});

Deno.test({
  name: "download accepts only HTTPS, and HTTP of this machine",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      for (const url of ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd"]) {
        const error = await assertRejects(
          () => download(url, `${folder}/x`, OPTIONS),
          DownloadError,
        );
        const reason = `expected an https:// address, found ${new URL(url).protocol}//`;
        assertEquals(error.message, `Cannot download ${url}: ${reason}`);
      }
    }),
});

Deno.test("no redirect leads from HTTPS to HTTP, not even to this machine", () => {
  const source = new URL("https://example.org/x");
  requireAccepted(source, source);
  requireAccepted(new URL("https://example.com/y"), source);
  for (const address of ["http://example.org/x", "http://127.0.0.1/x", "http://localhost/x"]) {
    assertThrows(
      () => requireAccepted(new URL(address), source),
      DownloadError,
      `it redirects to ${address}, which is not https://`,
    );
  }
});
