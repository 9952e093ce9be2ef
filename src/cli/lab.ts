// deno-lint-ignore-file no-console
/** The lab command: serves a page that trains in the browser, or writes it as files. */

import { dirname, join } from "node:path";
import { SERVED_NAMES } from "../lab/experiment.ts";
import { HEADERS, labSite, servableNames, type ServedName, type SiteFile } from "../lab/site.ts";
import { countOf, invocation, printable } from "../quote.ts";
import { formatBytes } from "../report/std.ts";
import { writeAtomic } from "../write_atomic.ts";
import { EXIT, withInterrupt } from "./errors.ts";
import { defineCommand, JSON_FLAG, parseFlags } from "./flags.ts";
import { requireWritePermission } from "./permissions.ts";

const HOST = "127.0.0.1";

export const command = defineCommand({
  usage: invocation("lab"),
  summary: "Serve a page that trains networks in the browser and shows their inside.",
  examples: [
    ["", "serve it on this machine; Ctrl-C ends it"],
    ["--port 9000", "at another port"],
    ["--out site", "write it as files for any web server"],
  ],
  flags: {
    port: {
      type: "integer",
      min: 0,
      max: 65_535,
      default: 8420,
      help: "where; 0 for any free port",
    },
    data: {
      type: "list",
      choices: SERVED_NAMES,
      defaultText: "all that are on this machine; with --out the sample",
      help: "sets of images that the page offers",
    },
    out: {
      type: "string",
      placeholder: "DIR",
      help: "write files to this folder, and serve nothing",
    },
    json: JSON_FLAG,
  },
});

export async function run(args: string[]): Promise<number> {
  const { flags } = parseFlags(command, args);
  const names = flags.data as readonly ServedName[] | undefined;
  if (flags.out !== undefined) return await writeSite(flags.out, names ?? ["sample"], flags.json);
  const data = names ?? await servableNames();
  return await serve(await labSite(data), { port: flags.port, data, json: flags.json });
}

async function writeSite(out: string, names: readonly ServedName[], json: boolean) {
  await requireWritePermission(out);
  const files = await labSite(names);
  let bytes = 0;
  for (const [path, { read }] of files) {
    const content = await read();
    await Deno.mkdir(dirname(join(out, path)), { recursive: true });
    await writeAtomic(join(out, path), content);
    bytes += content.length;
  }
  const lines = Object.entries(HEADERS).map(([name, value]) => `  ${name}: ${value}\n`);
  await writeAtomic(join(out, "_headers"), `/*\n${lines.join("")}`);
  if (json) console.log(JSON.stringify({ out, files: files.size + 1, bytes }));
  else {
    console.log(
      printable(`${out}: ${countOf(files.size + 1, "file")}, ${formatBytes(bytes)}; `) +
        `serve them with the headers in _headers: without these, wasm has one thread`,
    );
  }
  return EXIT.ok;
}

async function serve(
  files: ReadonlyMap<string, SiteFile>,
  { port, data, json }: {
    readonly port: number;
    readonly data: readonly ServedName[];
    readonly json: boolean;
  },
): Promise<number> {
  return await withInterrupt(async (signal) => {
    const onListen = ({ port }: Deno.NetAddr) => {
      const address = `http://${HOST}:${port}/`;
      if (json) console.log(JSON.stringify({ address, data }));
      else console.log(`The lab is at ${address} (images: ${data.join(", ")}); Ctrl-C ends it`);
    };
    try {
      const handler = (request: Request) => answer(files, request);
      await Deno.serve({ port, hostname: HOST, signal, onListen }, handler).finished;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      throw new TypeError(
        `Cannot serve at port ${port}: another program uses it; choose one by --port, 0 for any`,
        { cause: error },
      );
    }
    return EXIT.ok;
  });
}

/** Answers a request of a browser of this machine: another site's name for its address gets nothing. */
async function answer(files: ReadonlyMap<string, SiteFile>, request: Request): Promise<Response> {
  const { pathname, hostname } = new URL(request.url);
  if (hostname !== HOST && hostname !== "localhost") return failure(403, "Forbidden");
  if (request.method !== "GET" && request.method !== "HEAD") return failure(405, "Not allowed");
  const file = files.get(pathname === "/" ? "index.html" : pathname.slice(1));
  if (file === undefined) return failure(404, "Not found");
  const content = await file.read();
  return new Response(request.method === "HEAD" ? null : content, {
    headers: {
      ...HEADERS,
      "Content-Type": file.type,
      "Content-Length": String(content.length),
      "Cache-Control": "no-cache",
    },
  });
}

function failure(status: number, text: string): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { ...HEADERS, "Content-Type": "text/plain" },
  });
}
