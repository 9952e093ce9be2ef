// deno-lint-ignore-file no-console
/** `deno task build:packages`: builds the npm packages below dist/npm/. */

// Named here, so that only who builds packages gets the bundler
import * as esbuild from "npm:esbuild@0.28.2";
import { gzipSync } from "node:zlib";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import configuration from "../deno.json" with { type: "json" };
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** An npm package that is built from a folder of `packages/`. */
interface Package {
  readonly folder: string;
  readonly name: string;
  readonly description: string;
  readonly keywords: readonly string[];
  /** What whoever installs it has already. */
  readonly peerDependencies: Readonly<Record<string, string>>;
}

const PACKAGES: readonly Package[] = [{
  folder: "tfjs-wasm-training",
  name: "@lenet/tfjs-wasm-training",
  description: "Kernels that make TensorFlow.js's wasm backend train, and right where it is wrong",
  keywords: ["tensorflow.js", "tfjs", "wasm", "webassembly", "training", "gradient", "kernel"],
  peerDependencies: {
    "@tensorflow/tfjs-backend-wasm": "~4.22.0",
    "@tensorflow/tfjs-core": "~4.22.0",
  },
}];

/** One file each for `import` and `require`; whatever is installed already stays an import. */
const MODULES = [["esm", "index.js"], ["cjs", "index.cjs"]] as const;

function manifest({ name, description, keywords, peerDependencies }: Package): object {
  const conditions = ([types, main]: string[]) => ({ types: `./${types}`, default: `./${main}` });
  return {
    name,
    version: configuration.version,
    description,
    keywords,
    license: configuration.license,
    type: "module",
    main: "./index.cjs",
    module: "./index.js",
    types: "./index.d.ts",
    exports: {
      ".": {
        import: conditions(["index.d.ts", "index.js"]),
        require: conditions(["index.d.cts", "index.cjs"]),
      },
    },
    files: ["index.js", "index.cjs", "index.d.ts", "index.d.cts"],
    sideEffects: false,
    peerDependencies,
    publishConfig: { access: "public" },
  };
}

/** The declarations of an entry's functions, with their documentation. */
function declarations(entry: string): string {
  const functions = /(\/\*\*(?:[^*]|\*(?!\/))*\*\/\n)export (function [^{]+?) \{\n/g;
  const found = [...entry.matchAll(functions)].map(([, doc, head]) =>
    `${doc}export declare ${head};`
  );
  if (found.length === 0) throw new Error("Cannot declare types: expected an exported function");
  return found.join("\n\n") + "\n";
}

async function build(one: Package, out: string): Promise<void> {
  const source = join(ROOT, "packages", one.folder);
  const target = join(out, one.folder);
  await Deno.remove(target, { recursive: true }).catch(() => {});
  await Deno.mkdir(target, { recursive: true });
  for (const [format, file] of MODULES) {
    await esbuild.build({
      absWorkingDir: ROOT,
      entryPoints: [join(source, "mod.ts")],
      outfile: join(target, file),
      bundle: true,
      minify: true,
      format,
      platform: "neutral",
      target: "es2022",
      external: Object.keys(one.peerDependencies),
      legalComments: "none",
    });
  }
  // The name under which npm knows what the documentation imports.
  const entry = (await Deno.readTextFile(join(source, "mod.ts")))
    .replaceAll(`${configuration.name}/tfjs`, one.name);
  for (const types of ["index.d.ts", "index.d.cts"]) {
    await Deno.writeTextFile(join(target, types), declarations(entry));
  }
  const json = JSON.stringify(manifest(one), null, 2);
  await Deno.writeTextFile(join(target, "package.json"), json + "\n");
  await Deno.copyFile(join(source, "README.md"), join(target, "README.md"));
  await Deno.copyFile(join(ROOT, "LICENSE"), join(target, "LICENSE"));
  const size = gzipSync(await Deno.readFile(join(target, "index.js"))).length;
  console.log(`${target}: ${one.name} ${configuration.version}, ${size} bytes compressed`);
}

const command = defineCommand({
  usage: "deno task build:packages",
  summary: "Build the npm packages, each a folder that npm can pack and publish.",
  examples: [["", "all of them, below dist/npm/"]],
  flags: {
    out: { type: "string", placeholder: "FOLDER", help: "where to build, dist/npm by default" },
  },
});

await runCommand(async (args) => {
  const { flags } = parseFlags(command, args);
  try {
    for (const one of PACKAGES) await build(one, flags.out ?? join(ROOT, "dist/npm"));
  } finally {
    await esbuild.stop();
  }
  return EXIT.ok;
});
