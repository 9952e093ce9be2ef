/** `deno task build:page`: bundles the script of a model's page. */

// Named here, so that only who builds the page gets the bundler
import * as esbuild from "npm:esbuild@0.28.2";
import { fileURLToPath } from "node:url";
import { runGenerator } from "./generated_file.ts";

const FOLDER = new URL("../src/page/", import.meta.url);

async function bundle(): Promise<string> {
  const { outputFiles: [{ text }] } = await esbuild.build({
    absWorkingDir: fileURLToPath(new URL("../", import.meta.url)),
    entryPoints: [fileURLToPath(new URL("browser/main.ts", FOLDER))],
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

async function generate(): Promise<string> {
  const script = await bundle();
  await esbuild.stop();
  return `/** Made by \`deno task build:page\` from \`browser/\` and all it imports; do not edit. */

// deno-fmt-ignore-file -- which quotes it prefers depends on what stands between them

/** A module that turns the elements of a model's page into a classifier. */
export const PAGE_SCRIPT =
  ${JSON.stringify(script)};
`;
}

await runGenerator({
  usage: "deno task build:page",
  summary: "Bundle the script of a model's page.",
  path: "src/page/script_generated.ts",
  generate,
});
