// deno-lint-ignore-file no-console -- only who runs the specs gets these packages
/** `deno task specs`: TensorFlow.js's own specs of its operations, on its wasm backend with the kernels.
 *
 * They are published with `@tensorflow/tfjs-core`. Whatever fails must be in `known_failures.txt`, and
 * whatever is there must fail.
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "npm:esbuild@0.28.2";
import jasmineCore from "npm:jasmine-core@7.0.2";
import { npmSpecifiers } from "../../scripts/npm_specifiers.ts";
import { EXIT, runCommand } from "../../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../../src/cli/flags.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const KNOWN_FAILURES = join(ROOT, "tests/tfjs_specs/known_failures.txt");

/** How many ran and failed, and the names and messages of those: several have one name. */
interface Outcome {
  readonly count: number;
  readonly failed: number;
  readonly failures: ReadonlyMap<string, string>;
}

/** Bundles TensorFlow.js's sources and specs with one backend to a CommonJS module that declares them. */
async function bundle(backend: string, withKernels: boolean, outfile: string): Promise<void> {
  const folder = (name: string) =>
    Deno.realPath(join(ROOT, `node_modules/@tensorflow/tfjs-${name}`));
  const [core, cpu, wasm] = await Promise.all(["core", "backend-cpu", "backend-wasm"].map(folder));
  const kernels = JSON.stringify(join(ROOT, "packages/tfjs-wasm-training/mod.ts"));
  await esbuild.build({
    plugins: [npmSpecifiers],
    stdin: {
      contents: `
        import "@tensorflow/tfjs-core/dist/index.js";
        import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
        import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
        import "@tensorflow/tfjs-backend-cpu";
        import "@tensorflow/tfjs-backend-wasm";
        import { setTestEnvs } from "@tensorflow/tfjs-core/dist/jasmine_util.js";
        ${withKernels ? `import { registerWasmTrainingKernels } from ${kernels};` : ""}
        ${withKernels ? "registerWasmTrainingKernels();" : ""}
        setTestEnvs([{ name: "${backend}", backendName: "${backend}", isDataSync: true }]);
        require("@tensorflow/tfjs-core/dist/tests.js");`,
      resolveDir: ROOT,
    },
    outfile,
    bundle: true,
    format: "cjs",
    platform: "node",
    mainFields: ["module", "main"],
    // Core says that its specs have no side effects.
    ignoreAnnotations: true,
    alias: {
      "@tensorflow/tfjs-core": core,
      "@tensorflow/tfjs-backend-cpu": cpu,
      "@tensorflow/tfjs-backend-wasm": wasm,
      // The specs take only their time limit from it: they run in the one below.
      "jasmine-core/lib/jasmine-core/jasmine.js": join(ROOT, "tests/tfjs_specs/jasmine_stub.cjs"),
    },
    // Where the backend looks for its binary.
    define: { __dirname: JSON.stringify(join(wasm, "dist")), __filename: `""` },
    logLevel: "error",
  });
}

async function runSpecs(backend: string, withKernels: boolean): Promise<Outcome> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "lenet-specs-" });
  try {
    const module = join(folder, "specs.cjs");
    await bundle(backend, withKernels, module);
    jasmineCore.installGlobals(globalThis);
    const environment = jasmineCore.jasmine.getEnv();
    environment.configure({
      random: false,
      forbidDuplicateNames: false,
      failSpecWithNoExpectations: false,
      autoCleanClosures: false,
    });
    let [count, failed] = [0, 0];
    const failures = new Map<string, string>();
    environment.addReporter({
      specDone({ status, fullName, failedExpectations }: SpecResult) {
        if (status === "passed" || status === "failed") count++;
        if (status !== "failed") return;
        failed++;
        failures.set(fullName, failedExpectations[0]?.message ?? "");
      },
    });
    createRequire(import.meta.url)(module);
    await environment.execute();
    return { count, failed, failures };
  } finally {
    await esbuild.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

interface SpecResult {
  readonly status: string;
  readonly fullName: string;
  readonly failedExpectations: readonly { readonly message: string }[];
}

async function readKnownFailures(): Promise<Set<string>> {
  const lines = (await Deno.readTextFile(KNOWN_FAILURES)).split("\n");
  return new Set(lines.filter((line) => line !== "" && !line.startsWith("#")));
}

const command = defineCommand({
  usage: "deno task specs",
  summary: "Run TensorFlow.js's own specs on its wasm backend with the kernels.",
  examples: [["--published", "what fails without the kernels"]],
  flags: {
    published: { type: "boolean", help: "without the kernels; compare with no list" },
    backend: { type: "choice", choices: ["wasm", "cpu"], default: "wasm", help: "backend to test" },
    verbose: { type: "boolean", help: "print the message of every failure" },
  },
});

await runCommand(async (args) => {
  const { flags } = parseFlags(command, args);
  const { count, failed, failures } = await runSpecs(flags.backend, !flags.published);
  if (flags.verbose) {
    for (const [name, message] of failures) console.log(`${name}: ${message.split("\n")[0]}`);
  }
  console.log(`${count} specs, ${failed} failed`);
  if (flags.published || flags.backend === "cpu") return EXIT.ok;
  const known = await readKnownFailures();
  const added = [...failures.keys()].filter((name) => !known.has(name));
  const mended = [...known].filter((name) => !failures.has(name));
  for (const name of added) {
    console.log(`fails, and is not known to: ${name}: ${failures.get(name)}`);
  }
  for (const name of mended) console.log(`is known to fail, and does not: ${name}`);
  return added.length + mended.length === 0 ? EXIT.ok : EXIT.failure;
});
