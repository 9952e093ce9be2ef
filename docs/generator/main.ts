// deno-lint-ignore-file no-console
/** Makes every figure, table and measured number of README.md and docs/ that is the product's.
 *
 *     deno task docs:figures                       from what is recorded in docs/measurements/
 *     deno task docs:figures --train               after training again; about 20 minutes
 *     deno task docs:figures --bench FILE          FILE as deno task bench --json FILE wrote it
 *     deno task docs:figures --bench-webgpu FILE   FILE as deno task bench:webgpu --json FILE did
 *     deno task docs:figures --check               writes nothing; 1 if a file is not up to date
 */

import { parseArgs } from "@std/cli/parse-args";
import {
  differencesIn,
  formatText,
  MEASUREMENTS,
  readMeasurements,
  readText,
  writeFiles,
} from "./files.ts";
import { generate } from "./pages.ts";
import { readBench, readWebgpuBench } from "./speed.ts";
import { runTrainings } from "./trainings.ts";

const flags = parseArgs(Deno.args, {
  string: ["bench", "bench-webgpu"],
  boolean: ["train", "check"],
  unknown: (argument: string) => {
    console.error(`error: Unknown argument ${argument}: see docs/generator/main.ts`);
    Deno.exit(2);
  },
});

try {
  const measured = {
    ...await readMeasurements(),
    ...(flags.train && { trainings: await runTrainings((line) => console.error(line)) }),
    ...(flags.bench && { bench: readBench(await readText(flags.bench), flags.bench) }),
    ...(flags["bench-webgpu"] && {
      webgpuBench: readWebgpuBench(await readText(flags["bench-webgpu"]), flags["bench-webgpu"]),
    }),
  };
  const files = await generate(measured, { read: readText, format: formatText });
  if (!flags.check) {
    for (const [key, path] of Object.entries(MEASUREMENTS)) {
      const value = measured[key as keyof typeof measured];
      if (value !== undefined) files.set(path, JSON.stringify(value, undefined, 2) + "\n");
    }
  }
  const different = await differencesIn(files);
  if (flags.check) {
    for (const path of different) {
      console.error(`error: ${path} is not up to date: run deno task docs:figures`);
    }
    if (different.length > 0) Deno.exit(1);
  } else {
    await writeFiles(files, different);
    for (const path of different) console.log(path);
  }
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
