// deno-lint-ignore-file no-console
/** `deno task docs:figures`: every figure, table and measured number of README.md and docs/. */

import { EXIT, runCommand } from "../../src/cli/errors.ts";
import { defineCommand, parseFlags } from "../../src/cli/flags.ts";
import {
  differencesIn,
  formatText,
  MEASUREMENTS,
  readMeasurements,
  readText,
  writeFiles,
} from "./files.ts";
import { generate } from "./pages.ts";
import { readAccuracyBench } from "./accuracy.ts";
import { readBench, readWebgpuBench } from "./speed.ts";
import { runTrainings } from "./trainings.ts";

const COMMAND = defineCommand({
  usage: "deno task docs:figures",
  summary: "Make every figure, table and measured number of README.md and docs/.",
  examples: [
    ["", "from what is recorded in docs/measurements/"],
    ["--train", "after training again; about 20 minutes"],
    ["--bench FILE", "with what deno task bench --json measured"],
    ["--bench-accuracy FILE", "with what deno task bench:accuracy --json measured"],
    ["--bench-webgpu FILE", "with what deno task bench:webgpu --json measured"],
  ],
  flags: {
    train: { type: "boolean", help: "train the lesson's models again" },
    bench: { type: "string", placeholder: "FILE", help: "a new measurement of the engines" },
    "bench-webgpu": { type: "string", placeholder: "FILE", help: "one of the webgpu engine" },
    "bench-accuracy": { type: "string", placeholder: "FILE", help: "one of the time to accuracy" },
    check: { type: "boolean", help: "write nothing; exit code 1 if a file is not up to date" },
  },
});

async function figuresCommand(args: string[]): Promise<number> {
  const { flags: { train, bench, benchWebgpu, benchAccuracy, check } } = parseFlags(COMMAND, args);
  const onGpu = benchWebgpu && readWebgpuBench(await readText(benchWebgpu), benchWebgpu);
  const measured = {
    ...await readMeasurements(),
    ...(train && { trainings: await runTrainings((line) => console.error(line)) }),
    ...(bench && { bench: readBench(await readText(bench), bench) }),
    ...(onGpu && { [onGpu.adapter.software ? "webgpuBench" : "gpuBench"]: onGpu }),
    ...(benchAccuracy && {
      accuracyBench: readAccuracyBench(await readText(benchAccuracy), benchAccuracy),
    }),
  };
  const files = await generate(measured, { read: readText, format: formatText });
  if (check) {
    const different = await differencesIn(files);
    for (const path of different) {
      console.error(`error: ${path} is not up to date: run deno task docs:figures`);
    }
    return different.length > 0 ? EXIT.failure : EXIT.ok;
  }
  for (const [key, path] of Object.entries(MEASUREMENTS)) {
    const value = measured[key as keyof typeof measured];
    if (value !== undefined) files.set(path, JSON.stringify(value, undefined, 2) + "\n");
  }
  const different = await differencesIn(files);
  await writeFiles(files, different);
  for (const path of different) console.log(path);
  return EXIT.ok;
}

if (import.meta.main) await runCommand(figuresCommand);
