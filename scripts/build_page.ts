/** Bundles the script of a model's page to src/report/model_page/script_generated.ts.
 *
 *     deno task build:page            write the file
 *     deno task build:page --check    compare with it; exit code 1 if it is out of date
 */

// deno-lint-ignore-file no-console
// deno-lint-ignore no-import-prefix -- named here, so that only who builds the page gets the bundler
import * as esbuild from "npm:esbuild@0.28.2";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../src/report/model_page/", import.meta.url);
const GENERATED = new URL("script_generated.ts", FOLDER);

async function bundle(): Promise<string> {
  const { outputFiles: [{ text }] } = await esbuild.build({
    absWorkingDir: fileURLToPath(new URL("../", import.meta.url)),
    entryPoints: [fileURLToPath(new URL("browser/main.ts", FOLDER))],
    alias: { "node:zlib": fileURLToPath(new URL("browser/zlib.ts", FOLDER)) },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    charset: "ascii",
    legalComments: "none",
    loader: { ".wgsl": "text" },
  });
  // What HTML would take for the end of the script, or for the start of another.
  const trap = /<\/script|<script|<!--/i.exec(text);
  if (trap) throw new Error(`Cannot put the script into a page: it contains "${trap[0]}"`);
  return text.trimEnd();
}

const script = await bundle();
await esbuild.stop();
const generated =
  `/** Made by \`deno task build:page\` from \`browser/\` and all it imports; do not edit. */

// deno-fmt-ignore-file -- which quotes it prefers depends on what stands between them

/** A module that turns the elements of a model's page into a classifier. */
export const PAGE_SCRIPT =
  ${JSON.stringify(script)};
`;

if (Deno.args.includes("--check")) {
  if (await Deno.readTextFile(GENERATED).catch(() => "") !== generated) {
    console.error("The page's script is out of date: run deno task build:page");
    Deno.exit(1);
  }
  console.log("The page's script is up to date");
} else {
  await Deno.writeTextFile(GENERATED, generated);
  console.log(`Bundled the page's script: ${script.length} bytes`);
}
