/** The real module graph against what ARCHITECTURE.md and CONTRIBUTING.md say. */

import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { assert, assertEquals } from "../assert.ts";
import { canRunCommands, ROOT, runDeno } from "../cli/command.ts";
import { withTempDir } from "../temp.ts";

const ignore = !canRunCommands();

/** Imports go to a place further down only; places on one line do not import each other. */
const ORDER: readonly (readonly string[])[] = [
  ["mod.ts", "scripts", "packages/lenet"],
  ["data.ts", "web.ts"],
  ["src/cli"],
  ["src/lab"],
  ["src/compare", "src/page"],
  ["src/report"],
  ["src/run"],
  ["src/train"],
  ["src/distributed"],
  ["src/backends/choose.ts"],
  ["src/backends/registry.ts"],
  ["src/backends/reference", "src/backends/tfjs", "src/backends/wasm", "src/backends/webgpu"],
  ["src/backends"],
  ["src/formats"],
  ["src/nn"],
  ["src/data"],
  ["src", "packages"],
];

interface Import {
  readonly from: string;
  readonly to: string;
}

/** All imports of the project's own modules, types included, as paths from its root. */
async function readImports(): Promise<Import[]> {
  const paths = ["mod.ts", "data.ts", "web.ts"];
  for (const folder of ["scripts", "src", "packages"]) {
    for await (const path of modulesIn(join(ROOT, folder))) paths.push(path);
  }
  let imports: Import[] = [];
  await withTempDir(async (folder) => {
    // A worker is no import of anybody: a root that imports every file leaves none out.
    const root = join(folder, "all.ts");
    const lines = paths.map((path) => `import ${JSON.stringify(pathToFileURL(join(ROOT, path)))};`);
    await Deno.writeTextFile(root, lines.join("\n"));
    const args = ["info", "--json", "--config", join(ROOT, "deno.json"), root];
    const { code, stdout, stderr } = await runDeno(args);
    assertEquals(code, 0, stderr);
    imports = importsOf(JSON.parse(stdout).modules);
  });
  const seen = new Set(imports.map(({ from }) => from));
  assert(paths.filter((path) => seen.has(path)).length > 100, "expected the graph of all modules");
  return imports;
}

interface Resolution {
  readonly specifier?: string;
}

interface GraphModule {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly isDynamic?: boolean;
    readonly code?: Resolution;
    readonly type?: Resolution;
  }[];
}

function importsOf(modules: readonly GraphModule[]): Import[] {
  return modules.flatMap(({ specifier, dependencies = [] }) => {
    const from = pathOf(specifier);
    if (from === undefined) return [];
    return dependencies.map((dependency) => {
      const target = (dependency.code ?? dependency.type)?.specifier ?? dependency.specifier;
      return { from, to: pathOf(target) ?? dependency.specifier };
    });
  });
}

/** A module's path from the project's root; undefined for packages and other places. */
function pathOf(specifier: string): string | undefined {
  const root = pathToFileURL(ROOT).href;
  const path = specifier.startsWith(root) ? specifier.slice(root.length) : undefined;
  return path?.startsWith("node_modules/") ? undefined : path;
}

async function* modulesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    // AssemblyScript is another language, with modules of its own.
    if (isDirectory && name !== "assembly") yield* modulesIn(path);
    else if (/(?<!\.d)\.ts$/.test(name)) yield relative(ROOT, path);
  }
}

/** The most precise place of the order that holds a path. */
function placeOf(path: string): { readonly name: string; readonly rank: number } | undefined {
  return ORDER
    .flatMap((names, rank) => names.map((name) => ({ name, rank })))
    .filter(({ name }) => path === name || path.startsWith(`${name}/`))
    .sort((a, b) => b.name.length - a.name.length)
    .at(0);
}

/** Why an import goes against the order; undefined if it does not. */
function objection({ from, to }: Import): string | undefined {
  const [source, target] = [placeOf(from), placeOf(to)];
  if (source === undefined || target === undefined || source.name === target.name) return undefined;
  return source.rank < target.rank ? undefined : `${from} -> ${to}`;
}

/** A circle of imports as a list of paths, the first repeated at the end; undefined if none. */
function findCircle(imports: readonly Import[]): string[] | undefined {
  const targets = Map.groupBy(imports, ({ from }) => from);
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const { to } of targets.get(path) ?? []) {
      const circle = visit(to, [...trail, path]);
      if (circle !== undefined) return circle;
    }
    done.add(path);
    return undefined;
  };
  for (const path of targets.keys()) {
    const circle = visit(path, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

Deno.test("what goes against the order of imports is found", () => {
  const wrong: Import[] = [
    { from: "src/train/trainer.ts", to: "src/report/table.ts" },
    { from: "src/backends/wasm/session.ts", to: "src/backends/webgpu/gpu.ts" },
    { from: "src/backends/wasm/session.ts", to: "src/backends/registry.ts" },
    { from: "src/data/load.ts", to: "src/nn/zoo.ts" },
    { from: "src/random.ts", to: "src/nn/zoo.ts" },
  ];
  assertEquals(wrong.filter((one) => objection(one) === undefined), []);
  assertEquals(objection({ from: "src/cli/train.ts", to: "src/nn/zoo.ts" }), undefined);
  const circle = [{ from: "a", to: "b" }, { from: "b", to: "c" }, { from: "c", to: "b" }];
  assertEquals(findCircle(circle), ["b", "c", "b"]);
});

Deno.test({
  name:
    "imports point one way, in no circle, and only the tfjs backends and packages name TensorFlow.js",
  ignore,
  fn: async () => {
    const imports = await readImports();
    assertEquals(imports.map(objection).filter((reason) => reason !== undefined), []);
    assertEquals(findCircle(imports), undefined);
    const tensorflow = imports.filter(({ to }) => to.includes("@tensorflow/"));
    const users = new Set(tensorflow.map(({ from }) => placeOf(from)?.name));
    assertEquals([...users].sort(), ["packages", "src/backends/tfjs"]);
    // The library's own package is made of the project.
    const ofPackages = imports.filter(({ from }) => /^packages\/(?!lenet\/)/.test(from));
    const others = ofPackages.filter(({ to }) => !/^packages\/|^npm:@tensorflow\//.test(to));
    assertEquals(others, [], "what packages import of the project");
  },
});

Deno.test({
  name: "a program that imports mod.ts loads no TensorFlow.js, no engine, no schemas and no loader",
  ignore,
  fn: async () => {
    const loaded = await modulesOf("mod.ts", ({ isDynamic }) => !isDynamic);
    const unwanted = new RegExp(
      "@tensorflow|valibot|markdown|^node:|protobuf@[^/]*(/(?!wire)|$)|" +
        "backends/(tfjs|wasm|webgpu|reference)/|data/(load|sources|fetch)",
    );
    assertEquals([...loaded].filter((specifier) => unwanted.test(specifier)), []);
  },
});

Deno.test({
  name: "what web.ts may ever load, but for TensorFlow.js, names neither Deno nor modules of Node",
  ignore,
  fn: async () => {
    const loaded = await modulesOf("web.ts", ({ specifier }) => !/tfjs/.test(specifier));
    const own = [...loaded].map(pathOf).filter((path) => path !== undefined);
    assert(own.includes("src/backends/wasm/engine.ts"), "expected the engines");
    const users = [];
    for (const path of own.filter((path) => !path.includes("generated"))) {
      const text = (await Deno.readTextFile(join(ROOT, path))).replace(/^\s*(\*|\/[/*]).*$/gm, "");
      if (/(?<!globalThis\.)\bDeno\b|from "node:/.test(text)) users.push(path);
    }
    assertEquals(users, []);
  },
});

/** What a module loads, itself among it, by the imports that are followed. */
async function modulesOf(
  entry: string,
  isFollowed: (dependency: NonNullable<GraphModule["dependencies"]>[number]) => boolean,
): Promise<Set<string>> {
  const { code, stdout, stderr } = await runDeno(["info", "--json", join(ROOT, entry)]);
  assertEquals(code, 0, stderr);
  const modules = new Map<string, GraphModule>(
    JSON.parse(stdout).modules.map((module: GraphModule) => [module.specifier, module]),
  );
  const loaded = new Set([pathToFileURL(join(ROOT, entry)).href]);
  for (const specifier of loaded) {
    for (const dependency of modules.get(specifier)?.dependencies ?? []) {
      const target = dependency.code?.specifier;
      if (target !== undefined && isFollowed(dependency)) loaded.add(target);
    }
  }
  assert(loaded.size > 50, `expected the graph of ${entry}, found ${loaded.size} modules`);
  return loaded;
}

Deno.test({
  name: "the table of folders in CONTRIBUTING.md names the folders that there are",
  ignore,
  fn: async () => {
    const text = await Deno.readTextFile(join(ROOT, "CONTRIBUTING.md"));
    const table = text.split("## Where things live")[1].split("\n##")[0];
    const rows = table.split("\n").filter((line) => /^\| `/.test(line));
    const named = rows.flatMap((row) => row.split("|")[1].match(/[\w/]+(?=\/`)/g) ?? []);
    const there = (await Array.fromAsync(Deno.readDir(join(ROOT, "src"))))
      .filter(({ isDirectory }) => isDirectory)
      .map(({ name }) => `src/${name}`);
    const folders = ["docs/generator", "examples", "packages", "scripts", ...there];
    assertEquals(named.toSorted(), folders.toSorted());
    const ordered = ORDER.flat().filter((name) => /^src\/\w+$/.test(name));
    assertEquals(there.filter((name) => !ordered.includes(name)), []);
  },
});
