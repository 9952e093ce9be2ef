/** `deno task build:kernels`: compiles the `wasm` engine's AssemblyScript kernels. */

// Named here, so that only who builds kernels gets the compiler
import asc from "npm:assemblyscript@0.28.20/asc";
import { MEMORY_PAGES } from "../src/backends/wasm/memory_pages.ts";
import { allRules } from "../src/nn/optimizers.ts";
import { runGenerator } from "./generated_file.ts";
import { optimizerKernels } from "./optimizer_kernels.ts";

const SOURCES = new URL("../src/backends/wasm/assembly/", import.meta.url);

// Not above -O1: from -O2 on Binaryen moves loads and multiply-adds together, until accumulators
// wait for one another and registers run out, which costs a third of the speed.
const OPTIONS = [
  "index.ts",
  "-O1",
  "--runtime=stub",
  "--noAssert",
  "--importMemory",
  "--sharedMemory",
  `--initialMemory=${MEMORY_PAGES}`,
  `--maximumMemory=${MEMORY_PAGES}`,
  "--memoryBase=64",
  "--outFile=kernels.wasm",
];

async function compile(features: string): Promise<Uint8Array> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main([...OPTIONS, `--enable=${features}`], {
    readFile: (name) => readSource(name),
    writeFile: (_name, contents) => {
      if (contents instanceof Uint8Array) binary = contents;
    },
    listFiles: () => [],
  });
  if (error || !binary) throw new Error(`Cannot compile the kernels: ${stderr.toString()}`);
  return binary;
}

async function readSource(name: string): Promise<string | null> {
  if (name === "optimizers.ts") return optimizerKernels(allRules());
  try {
    return repeat(await include(await Deno.readTextFile(new URL(name, SOURCES))));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Writes out what stands between `//@ for i in 1..5` and `//@ end i` for each number in place of `#i`, or
 * `//@ for i in 2, 4` for these; `#(16 * i + 8)` is a number too. AssemblyScript knows no other way to make
 * one function for each width of a tile, whose every sum is a variable of its own.
 */
function repeat(source: string): string {
  const loop = /^ *\/\/@ for (\w) in (\d)(\.\.|, )(\d)\n([^]*?)^ *\/\/@ end \1\n/m;
  return source.search(loop) < 0 ? source : repeat(
    source.replace(
      loop,
      (_, name: string, first: string, to: string, last: string, body: string) => {
        const product = new RegExp(`#\\((\\d+) \\* ${name}(?: \\+ (\\d+))?\\)`, "g");
        const step = to === ".." ? 1 : Number(last) - Number(first);
        let text = "";
        for (let number = Number(first); number <= Number(last); number += step) {
          text += body.replaceAll(`#${name}`, String(number)).replace(
            product,
            (_, factor, added = 0) => String(number * Number(factor) + Number(added)),
          );
        }
        return text;
      },
    ),
  );
}

/** Puts a file in place of `//@ include file k=1 x=input`, with `1` and `input` in place of `#k` and `#x`. */
async function include(source: string): Promise<string> {
  const line = /^ *\/\/@ include (\w+)(.*)\n/m.exec(source);
  if (line === null) return source;
  const [, name, values] = line;
  let text = await Deno.readTextFile(new URL(`${name}.ts`, SOURCES));
  for (const [, key, value] of values.matchAll(/(\w+)=(\w+)/g)) {
    text = text.replaceAll(`#${key}`, value);
  }
  return await include(source.replace(line[0], () => text));
}

/** The exported kernels' types, as TypeScript sees them: addresses and numbers are one to it. */
async function typesOf(): Promise<string> {
  const index = await readSource("index.ts") ?? "";
  const kernels: string[] = [];
  for (const [, names, path] of index.matchAll(/export (?:\{([^}]+)\}|\*) from "\.\/(\w+)"/g)) {
    const source = await readSource(`${path}.ts`) ?? "";
    const listed = names === undefined
      ? source.match(/(?<=^export function )\w+/gm)
      : names.match(/\w+/g);
    for (const name of listed ?? []) {
      const head = new RegExp(`^export function ${name}\\(([^)]*)\\): (\\w+)`, "m").exec(source);
      if (!head) throw new Error(`Cannot find the kernel ${name} in ${path}.ts`);
      const parameters = [...head[1].matchAll(/(\w+): (\w+)/g)]
        .map(([, parameter, type]) =>
          `    ${parameter}: ${type === "bool" ? "boolean" : "number"},\n`
        );
      const result = head[2] === "void" ? "void" : "number";
      kernels.push(`  ${name}(\n${parameters.join("")}  ): ${result};\n`);
    }
  }
  return `/** Exports of the kernels; each is documented where it is written, in \`assembly/\`. */
export interface Kernels {
${kernels.join("")}}
`;
}

async function generate(): Promise<string> {
  const relaxed = await compile("simd,threads,relaxed-simd");
  const plain = await compile("simd,threads");
  return `/** Made by \`deno task build:kernels\` from \`assembly/\`; do not edit. */

/** The build with relaxed SIMD, as base64. */
export const RELAXED_BASE64 =
  "${relaxed.toBase64()}";

/** The build with plain SIMD, as base64. */
export const PLAIN_BASE64 =
  "${plain.toBase64()}";

${await typesOf()}`;
}

await runGenerator({
  usage: "deno task build:kernels",
  summary: "Compile the wasm engine's AssemblyScript kernels.",
  paths: ["src/backends/wasm/kernels_generated.ts"],
  generate: async () => [await generate()],
});
