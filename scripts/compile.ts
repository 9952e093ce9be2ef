// deno-lint-ignore-file no-console
/** `deno task compile`: the whole program as one file below dist/, for this machine or for others. */

import { fileURLToPath } from "node:url";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { permissionFlags } from "../src/cli/permissions.ts";
import { formatBytes } from "../src/report/std.ts";
import { sha256Hex } from "../src/sha256.ts";
import { writeAtomic } from "../src/write_atomic.ts";
import { COMMANDS } from "./main.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = `${ROOT}dist`;

/** What the program reads from itself; its code, kernels and shaders are one bundle. */
const EMBEDDED = [
  "data/sample",
  "node_modules/@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm",
  // Single files: their folders are links, which would bring all that lies beside them.
  ...["jpeg-turbo", "lodepng", "nsbmp", "nsgif", "webp"].map((name) =>
    `node_modules/@cwasm/${name}/${name}.wasm`
  ),
];

const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
] as const;

const COMMAND = defineCommand({
  usage: "deno task compile",
  summary: "Make the whole program one file below dist/, and list its SHA-256 in dist/SHA256SUMS.",
  examples: [
    ["", "dist/lenet, for this machine"],
    ["--target aarch64-apple-darwin", "dist/lenet-aarch64-apple-darwin, for another"],
  ],
  flags: { target: { type: "list", choices: TARGETS, help: "other machines" } },
});

async function compileCommand(args: string[]): Promise<number> {
  const { flags } = parseFlags(COMMAND, args);
  await Deno.mkdir(DIST, { recursive: true });
  for (const target of flags.target ?? [undefined]) {
    const name = target === undefined ? "lenet" : `lenet-${target}`;
    console.log(`Compiling dist/${name}`);
    await compile(`${DIST}/${name}`, target === undefined ? [] : ["--target", target]);
  }
  await writeSums();
  return EXIT.ok;
}

async function compile(path: string, options: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("deno", {
    args: [
      "compile",
      // Unbundled, all of node_modules would be embedded. The gate checks types.
      ...["--bundle", "--minify", "--no-check", "--frozen"],
      // Faster than reading a code cache, and it leaves no file behind.
      "--no-code-cache",
      "--no-prompt",
      // Else the program tells at every start which of apt-get, npm, ... the machine lacks.
      "--quiet",
      ...permissionFlags(Object.keys(COMMANDS)),
      ...EMBEDDED.flatMap((file) => ["--include", file]),
      ...options,
      ...["--output", path, "scripts/main.ts"],
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(reasonOf(new TextDecoder().decode(stderr)));
}

/** One line of what deno says; the runtime is what most often cannot be had. */
function reasonOf(stderr: string): string {
  const lines = stderr.split("\n");
  const first = lines.find((line) => line.startsWith("error: ")) ?? lines[0]!;
  const download = lines.find((line) =>
    /error sending request.*denort|denort.*not found/.test(line)
  );
  return download === undefined
    ? `Cannot compile: ${first.replace("error: ", "")}`
    : `Cannot compile as deno could not download its runtime; where the network does not reach it, ` +
      `name a file by DENORT_BIN, see docs/compile.md`;
}

/** Lists every program in dist/, so that `sha256sum --check SHA256SUMS` works there. */
async function writeSums(): Promise<void> {
  const names = (await Array.fromAsync(Deno.readDir(DIST)))
    .filter(({ isFile, name }) => isFile && /^lenet[^.]*(\.exe)?$/.test(name))
    .map(({ name }) => name).sort();
  let sums = "";
  for (const name of names) {
    const bytes = await Deno.readFile(`${DIST}/${name}`);
    sums += `${sha256Hex(bytes)}  ${name}\n`;
    console.log(`dist/${name}: ${formatBytes(bytes.length)}`);
  }
  await writeAtomic(`${DIST}/SHA256SUMS`, sums);
}

if (import.meta.main) await runCommand(compileCommand);
