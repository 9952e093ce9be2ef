/** `deno task build:page`: bundles the scripts of a model's page and of the lab. */

// Named here, so that only who builds pages gets the bundler
import * as esbuild from "npm:esbuild@0.28.2";
import { npmSpecifiers } from "./npm_specifiers.ts";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { runGenerator } from "./generated_file.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  minify: true,
  write: false,
  format: "esm",
  platform: "browser",
  target: "es2022",
  charset: "ascii",
  legalComments: "none",
  loader: { ".wgsl": "text" },
} as const satisfies esbuild.BuildOptions;

async function bundlePage(): Promise<string> {
  const { outputFiles: [{ text }] } = await esbuild.build({
    ...OPTIONS,
    plugins: [npmSpecifiers],
    entryPoints: ["src/page/browser/main.ts"],
  });
  // What HTML would take for the end of the script, or for the start of another.
  const trap = /<\/script|<script|<!--/i.exec(text);
  if (trap) throw new Error(`Cannot put the script into a page: it contains "${trap[0]}"`);
  return `/** Made by \`deno task build:page\` from \`browser/\` and all it imports; do not edit. */

// deno-fmt-ignore-file -- which quotes it prefers depends on what stands between them

/** A module that turns the elements of a model's page into a classifier. */
export const PAGE_SCRIPT =
  ${JSON.stringify(text.trimEnd())};
`;
}

/** The engine's worker is found beside the script that starts it, where servers send it as a script. */
const [WORKER_SOURCE, WORKER_SCRIPT] = ["./engine_worker.ts", "./engine_worker.js"];

async function bundleLab(): Promise<string> {
  const { outputFiles } = await esbuild.build({
    ...OPTIONS,
    entryPoints: {
      lab: "src/lab/browser/main.tsx",
      style: "src/lab/browser/style.css",
      worker: "src/lab/browser/worker.ts",
      engine_worker: "src/backends/wasm/engine_worker.ts",
    },
    outdir: "site",
    splitting: true,
    jsx: "automatic",
    jsxImportSource: "preact",
    plugins: [npmSpecifiers, {
      name: "page script",
      // An exported page's script is there already: the lab's server gives it as it is.
      setup: (build) =>
        build.onResolve(
          { filter: /\/script_generated\.ts$/ },
          () => ({ path: "./page_script.js", external: true }),
        ),
    }],
  });
  const files = outputFiles.map(({ path, text }): [string, string] => [
    basename(path),
    text.replace(WORKER_SOURCE, WORKER_SCRIPT).trimEnd(),
  ]);
  if (!files.some(([, text]) => text.includes(WORKER_SCRIPT))) {
    throw new Error(`Cannot bundle the lab: expected ${WORKER_SOURCE} in the wasm engine`);
  }
  const entries = files.toSorted(([a], [b]) => a < b ? -1 : 1)
    .map(([name, text]) => `  ${JSON.stringify(name)}:\n    ${JSON.stringify(text)},\n`);
  return `/** Made by \`deno task build:page\` from \`browser/\` and all it imports; do not edit. */

// deno-fmt-ignore-file -- which quotes it prefers depends on what stands between them

/** The lab's scripts and style, by their file's name. */
export const LAB_FILES: Readonly<Record<string, string>> = {
${entries.join("")}};
`;
}

await runGenerator({
  usage: "deno task build:page",
  summary: "Bundle the scripts of a model's page and of the lab.",
  paths: ["src/page/script_generated.ts", "src/lab/site_generated.ts"],
  generate: async () => {
    const files = [await bundlePage(), await bundleLab()];
    await esbuild.stop();
    return files;
  },
});
