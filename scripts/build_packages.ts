// deno-lint-ignore-file no-console
/** `deno task build:packages`: builds the npm packages below dist/npm/. */

// Named here, so that only who builds packages gets the bundler
import * as esbuild from "npm:esbuild@0.28.2";
import { npmSpecifiers } from "./npm_specifiers.ts";
import { gzipSync } from "node:zlib";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import configuration from "../deno.json" with { type: "json" };
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { declareTypes } from "./package_types.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** An npm package that is built from a folder of `packages/`. */
interface Package {
  readonly folder: string;
  readonly name: string;
  readonly description: string;
  readonly keywords: readonly string[];
  /** What whoever installs it has already. */
  readonly peerDependencies: Readonly<Record<string, string>>;
  /** Writes all but the manifest and the texts. */
  readonly build: (one: Package, target: string) => Promise<void>;
  /** Fields of its own of its package.json. */
  readonly manifest: object;
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
  build: buildKernels,
  manifest: {
    main: "./index.cjs",
    exports: {
      ".": {
        import: conditions("index.d.ts", "index.js"),
        require: conditions("index.d.cts", "index.cjs"),
      },
    },
    files: ["index.js", "index.cjs", "index.d.ts", "index.d.cts"],
  },
}, {
  folder: "lenet",
  name: configuration.name,
  description:
    "Train small convolutional networks in Node, Bun and browsers, on all cores or the GPU",
  keywords: [
    "cnn",
    "lenet",
    "neural network",
    "training",
    "webgpu",
    "wasm",
    "onnx",
    "machine learning",
  ],
  peerDependencies: {},
  build: buildLibrary,
  manifest: {
    types: "./types/web.d.ts",
    main: "./index.js",
    exports: {
      ".": conditions("types/web.d.ts", "index.js"),
      "./data": conditions("types/data.d.ts", "data.js"),
    },
    files: ["*.js", "types", "sample", "THIRD_PARTY.md"],
    engines: { node: ">=22" },
  },
}];

/** One file each for `import` and `require`; whatever is installed already stays an import. */
const MODULES = [["esm", "index.js"], ["cjs", "index.cjs"]] as const;

/** What a file is for whom. */
function conditions(types: string, main: string) {
  return { types: `./${types}`, default: `./${main}` };
}

/** What all packages have in common: their versions move together. */
function manifest({ name, description, keywords, peerDependencies }: Package): object {
  return {
    name,
    version: configuration.version,
    description,
    keywords,
    license: configuration.license,
    type: "module",
    module: "./index.js",
    types: "./index.d.ts",
    sideEffects: false,
    ...(Object.keys(peerDependencies).length > 0 && { peerDependencies }),
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

const LIBRARY = "packages/lenet";

/** Modules in whose place the package has others. */
const REPLACED: Readonly<Record<string, string>> = {
  "src/backends/tfjs/backend.ts": `${LIBRARY}/no_tfjs.ts`,
  "src/data/decoder_files.ts": `${LIBRARY}/decoder_files.ts`,
};

/** What modules say of the place that they are in. */
const EDITED: Readonly<Record<string, readonly [found: string, replacement: string]>> = {
  "src/backends/wasm/worker_pool.ts": [
    `new Worker(new URL("./engine_worker.ts", import.meta.url), { type: "module" })`,
    "startWorker()",
  ],
  "src/data/picture_pool.ts": [`typeof Worker === "undefined" ?`, "true ?"],
  "src/data/fetch.ts": [`"../../data/sample"`, `"./sample"`],
  // Node's streams keep what they are given for later.
  "src/data/files.ts": ["yield slice.subarray(0, read)", "yield slice.slice(0, read)"],
};

const packaged: esbuild.Plugin = {
  name: "packaged",
  setup({ onLoad }) {
    const paths = [...Object.keys(REPLACED), ...Object.keys(EDITED)].join("|");
    onLoad({ filter: new RegExp(`/(${paths})$`) }, async ({ path }) => {
      const name = relative(ROOT, path);
      const replacement = REPLACED[name];
      const file = join(ROOT, replacement ?? name);
      const text = await Deno.readTextFile(file);
      const resolveDir = dirname(file);
      if (replacement !== undefined) return { contents: text, loader: "ts", resolveDir };
      const [found, instead] = EDITED[name];
      if (text.split(found).length !== 2) throw new Error(`Cannot edit ${name}: expected ${found}`);
      return { contents: text.replace(found, instead), loader: "ts", resolveDir };
    });
  },
};

const DECODERS = ["jpeg-turbo", "lodepng", "nsbmp", "nsgif", "webp"];

/** Builds the library: what needs no files, and an entry for datasets from files. */
async function buildLibrary(_: Package, target: string): Promise<void> {
  const { outputFiles: [worker] } = await esbuild.build({
    ...SHARED,
    entryPoints: [join(ROOT, LIBRARY, "worker.ts")],
    write: false,
    format: "iife",
    platform: "browser",
  });
  const decoders = await Promise.all(DECODERS.map(async (name) => {
    const bytes = await Deno.readFile(join(ROOT, `node_modules/@cwasm/${name}/${name}.wasm`));
    return [name, bytes.toBase64()];
  }));
  await esbuild.build({
    ...SHARED,
    entryPoints: { index: "web.ts", data: "data.ts" },
    outdir: target,
    minify: false, // errors show the lines that they come from
    chunkNames: "[name]-[hash]",
    format: "esm",
    splitting: true,
    platform: "neutral",
    mainFields: ["module", "main"],
    external: ["node:*"],
    inject: [join(ROOT, LIBRARY, "files.ts"), join(ROOT, LIBRARY, "start_worker.ts")],
    define: {
      WORKER_SCRIPT: JSON.stringify(worker.text),
      DECODERS: JSON.stringify(Object.fromEntries(decoders)),
    },
    plugins: [npmSpecifiers, packaged],
  });
  for (const [path, text] of await declareTypes(ROOT, ["web.ts", "data.ts"])) {
    const file = join(target, "types", path);
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, withPackageNames(text));
  }
  const licences = "THIRD_PARTY.md";
  await Deno.copyFile(join(ROOT, LIBRARY, licences), join(target, licences));
  await Deno.mkdir(join(target, "sample"));
  for (const { name } of Deno.readDirSync(join(ROOT, "data/sample"))) {
    await Deno.copyFile(join(ROOT, "data/sample", name), join(target, "sample", name));
  }
}

/** Examples of the documentation: in npm's package, datasets come from an entry of their own. */
function withPackageNames(text: string): string {
  const { name } = configuration;
  const imports = new RegExp(`( \\* )import \\{ ([^}]*) \\} from "${name}(?:/web)?";`, "g");
  return text.replace(imports, (_, start, names: string) => {
    const list = names.split(", ");
    const isData = (one: string) => ["decodePictures", "loadDataset"].includes(one);
    const [data, web] = [list.filter(isData), list.filter((one) => !isData(one))];
    return [[web, name], [data, `${name}/data`]]
      .filter(([some]) => some.length > 0)
      .map(([some, from]) => `${start}import { ${(some as string[]).join(", ")} } from "${from}";`)
      .join("\n");
  });
}

const SHARED = {
  absWorkingDir: ROOT,
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "none",
  plugins: [npmSpecifiers],
} as const satisfies esbuild.BuildOptions;

/** Builds a package of one entry, for `import` and `require`. */
async function buildKernels(one: Package, target: string): Promise<void> {
  const source = join(ROOT, "packages", one.folder);
  for (const [format, file] of MODULES) {
    await esbuild.build({
      ...SHARED,
      entryPoints: [join(source, "mod.ts")],
      outfile: join(target, file),
      format,
      platform: "neutral",
      external: Object.keys(one.peerDependencies),
    });
  }
  // The name under which npm knows what the documentation imports.
  const entry = (await Deno.readTextFile(join(source, "mod.ts")))
    .replaceAll(`${configuration.name}/tfjs`, one.name);
  for (const types of ["index.d.ts", "index.d.cts"]) {
    await Deno.writeTextFile(join(target, types), declarations(entry));
  }
}

async function build(one: Package, out: string): Promise<void> {
  const target = join(out, one.folder);
  await Deno.remove(target, { recursive: true }).catch(() => {});
  await Deno.mkdir(target, { recursive: true });
  await one.build(one, target);
  const json = JSON.stringify({ ...manifest(one), ...one.manifest }, null, 2);
  await Deno.writeTextFile(join(target, "package.json"), json + "\n");
  await Deno.copyFile(join(ROOT, "packages", one.folder, "README.md"), join(target, "README.md"));
  await Deno.copyFile(join(ROOT, "LICENSE"), join(target, "LICENSE"));
  const size = gzipSync(await Deno.readFile(join(target, "index.js"))).length;
  console.log(`${target}: ${one.name} ${configuration.version}, ${size} bytes compressed`);
}

const command = defineCommand({
  usage: "deno task build:packages",
  summary: "Build the npm packages, each a folder that npm can pack and publish.",
  examples: [["", "all of them, below dist/npm/"]],
  flags: {
    only: {
      type: "choice",
      choices: PACKAGES.map(({ folder }) => folder),
      help: "the one package to build, by its folder; default: all",
    },
    out: { type: "string", placeholder: "FOLDER", help: "where to build, dist/npm by default" },
  },
});

await runCommand(async (args) => {
  const { flags } = parseFlags(command, args);
  const wanted = PACKAGES.filter(({ folder }) => folder === (flags.only ?? folder));
  try {
    for (const one of wanted) await build(one, flags.out ?? join(ROOT, "dist/npm"));
  } finally {
    await esbuild.stop();
  }
  return EXIT.ok;
});
