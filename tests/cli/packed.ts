/** The npm packages as their users have them: built, packed and installed. */

import { join } from "node:path";
import { assertEquals } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { type Browser, runProgram } from "./browser.ts";
import { canRunCommands, ROOT, runTask } from "./command.ts";

/** Whether packages can be built, packed and installed here. */
export const hasNode = canRunCommands() && (await runProgram("npm", ["--version"])).code === 0;

/** Runs a test body in a folder into which npm has installed a packed package.
 *
 * @param body Gets the folder, and the paths of the files in the tarball.
 */
export async function withPackage(
  name: string,
  body: (folder: string, packed: string[]) => Promise<void>,
): Promise<void> {
  await withTempDir(async (folder) => {
    const built = await runTask("build:packages", ["--out", join(folder, "npm"), "--only", name]);
    assertEquals(built.code, 0, built.stderr);
    const pack = ["pack", join(folder, "npm", name), "--json", "--pack-destination", folder];
    const packing = await runProgram("npm", pack);
    assertEquals(packing.code, 0, packing.stderr);
    const [{ filename, files }] = JSON.parse(packing.stdout);
    await Deno.writeTextFile(join(folder, "package.json"), `{ "private": true }`);
    // What the package builds on is linked by the test, so that nothing is downloaded.
    const install = ["install", "--offline", "--legacy-peer-deps", "--no-audit", "--no-fund"];
    const tarball = join(folder, filename);
    const installing = await runProgram("npm", [...install, "--prefix", folder, tarball]);
    assertEquals(installing.code, 0, installing.stderr);
    await body(folder, files.map(({ path }: { path: string }) => path));
  });
}

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript",
  wasm: "application/wasm",
  html: "text/html",
};

/** Bundles a program by esbuild for a page, which a browser opens.
 *
 * @param binaries Folder of all other files that the page asks for.
 * @param headers Of every answer.
 * @returns What `trained` of the page resolves to.
 */
export async function inBrowser<Result>(
  browser: Browser,
  folder: string,
  { code, binaries = folder, headers = {} }: {
    readonly code: string;
    readonly binaries?: string;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Promise<Result> {
  const program = join(folder, "page.mjs");
  const bundle = join(folder, "page.js");
  await Deno.writeTextFile(program, code);
  const bundling = await runProgram(join(ROOT, "node_modules/.bin/esbuild"), [
    program,
    ...["--bundle", "--format=esm", "--log-level=warning", `--outfile=${bundle}`],
  ]);
  assertEquals([bundling.code, bundling.stderr], [0, ""]);
  const page =
    `<!DOCTYPE html><link rel="icon" href="data:,"><script type="module" src="page.js"></script>`;
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async ({ url }) => {
      const { pathname } = new URL(url);
      const type = TYPES[pathname === "/" ? "html" : pathname.split(".").at(-1)!];
      const content = pathname === "/"
        ? page
        : await Deno.readFile(pathname === "/page.js" ? bundle : binaries + pathname);
      return new Response(content, { headers: { "content-type": type, ...headers } });
    },
  );
  const opened = await browser.open(`http://127.0.0.1:${server.addr.port}/`);
  const result = await opened.evaluate<Result>("trained");
  assertEquals(opened.errors, []);
  return result;
}
