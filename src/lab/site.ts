/** The lab as files that any web server can give: page, scripts and images. */

import { DatasetError } from "../data/errors.ts";
import { folderOf } from "../data/fetch.ts";
import { locate } from "../data/verified.ts";
import { DATASETS, PARTS } from "../data/registry.ts";
import { SERVED_NAMES } from "./experiment.ts";

/** A file of the site. */
export interface SiteFile {
  /** Media type. */
  readonly type: string;
  /** Reads or makes the content. */
  readonly read: () => Promise<Uint8Array<ArrayBuffer>>;
}

/** Name of a set of images that a site may hold. */
export type ServedName = typeof SERVED_NAMES[number];

/** What a page of the lab may do: run its own scripts and fetch its own files, and nothing else. */
export const CONTENT_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; " +
  "worker-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
  "base-uri 'none'; form-action 'none'";

/** What gives a page threads, and keeps it to itself. */
export const HEADERS: Readonly<Record<string, string>> = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Content-Security-Policy": `${CONTENT_POLICY}; frame-ancestors 'none'`,
  "Permissions-Policy": "camera=(self)",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  json: "application/json",
  gz: "application/gzip",
};

const INDEX = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${CONTENT_POLICY}">
<title>LeNet lab</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<script type="module" src="lab.js"></script>
</head>
<body>
<noscript>The lab trains a network in JavaScript, which is switched off.</noscript>
<div id="lab"></div>
</body>
</html>
`;

/** The files of a site, by their path.
 *
 * @param names Sets of images to offer.
 */
export async function labSite(names: readonly ServedName[]): Promise<Map<string, SiteFile>> {
  const files = new Map<string, SiteFile>();
  const add = (path: string, read: SiteFile["read"]) =>
    files.set(path, { type: TYPES[path.split(".").at(-1)!], read });
  const text = (content: string) => () => Promise.resolve(new TextEncoder().encode(content));
  const { LAB_FILES } = await import("./site_generated.ts");
  add("index.html", text(INDEX));
  for (const [name, content] of Object.entries(LAB_FILES)) add(name, text(content));
  add("page_script.js", async () => {
    const { PAGE_SCRIPT } = await import("../page/script_generated.ts");
    return await text(`export const PAGE_SCRIPT = ${JSON.stringify(PAGE_SCRIPT)};\n`)();
  });
  add("data/index.json", text(JSON.stringify(names)));
  for (const name of names) {
    const entry = DATASETS.find((one) => one.name === name)!;
    const paths = await findFiles(name);
    for (const part of PARTS) {
      add(`data/${name}/${entry.files[part].name}.gz`, () => gzipped(paths[PARTS.indexOf(part)]));
    }
  }
  return files;
}

/** The sets of images that are on this machine. */
export async function servableNames(): Promise<ServedName[]> {
  const found: ServedName[] = [];
  for (const name of SERVED_NAMES) {
    const isThere = await findFiles(name).then(() => true, (error) => {
      if (error instanceof DatasetError) return false;
      throw error;
    });
    if (isThere) found.push(name);
  }
  return found;
}

/** Paths of a set's four files, gzipped or not; the page checks what is in them.
 *
 * @throws {DatasetError} If one is missing.
 */
async function findFiles(name: ServedName): Promise<string[]> {
  const entry = DATASETS.find((one) => one.name === name)!;
  let failure: unknown;
  for (const folder of [folderOf(entry), ...entry.systemFolders]) {
    try {
      return await Promise.all(PARTS.map((part) => locate(folder, entry.files[part])));
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

async function gzipped(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await Deno.readFile(path);
  if (path.endsWith(".gz")) return bytes;
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
