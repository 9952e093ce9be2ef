/** `deno task build:kernels`: compiles the `wasm` engine's AssemblyScript kernels. */

// deno-lint-ignore no-import-prefix -- named here, so that only who builds kernels gets the compiler
import asc from "npm:assemblyscript@0.28.20/asc";
import { MEMORY_PAGES } from "../src/backends/wasm/memory_pages.ts";
import { runGenerator } from "./generated_file.ts";

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
  try {
    return await Deno.readTextFile(new URL(name, SOURCES));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
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
`;
}

await runGenerator({
  usage: "deno task build:kernels",
  summary: "Compile the wasm engine's AssemblyScript kernels.",
  path: "src/backends/wasm/kernels_generated.ts",
  generate,
});
