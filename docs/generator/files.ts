/** The files around the generator: the pages, and what was measured. */

import type { Measurements } from "./pages.ts";

/** Where each measurement is kept. */
export const MEASUREMENTS: Readonly<Record<keyof Measurements, string>> = {
  trainings: "docs/measurements/trainings.json",
  bench: "docs/measurements/bench.json",
  webgpuBench: "docs/measurements/bench_webgpu.json",
  gpuBench: "docs/measurements/bench_gpu.json",
  accuracyBench: "docs/measurements/bench_accuracy.json",
};

/** Reads a file of the project; it is started in the project's folder. */
export function readText(path: string): Promise<string> {
  return Deno.readTextFile(path);
}

/** Reads what was measured; what was not is left out. */
export async function readMeasurements(): Promise<Measurements> {
  const entries = await Promise.all(
    Object.entries(MEASUREMENTS).map(async ([key, path]) => {
      const text = await readIfThere(path);
      return text === undefined ? [] : [[key, JSON.parse(text)]];
    }),
  );
  return { trainings: [], ...Object.fromEntries(entries.flat()) };
}

/** Formats Markdown as `deno fmt` does. */
export async function formatText(markdown: string): Promise<string> {
  const child = new Deno.Command("deno", {
    args: ["fmt", "--quiet", "--ext", "md", "-"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(markdown));
  await input.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("Cannot format a page: deno fmt failed");
  return new TextDecoder().decode(stdout);
}

/** Paths of files whose content is another than the one given. */
export async function differencesIn(files: ReadonlyMap<string, string>): Promise<string[]> {
  const different: string[] = [];
  for (const [path, content] of files) {
    if (await readIfThere(path) !== content) different.push(path);
  }
  return different;
}

/** Writes some of the files. */
export async function writeFiles(
  files: ReadonlyMap<string, string>,
  paths: readonly string[],
): Promise<void> {
  await Deno.mkdir("docs/measurements", { recursive: true });
  for (const path of paths) await Deno.writeTextFile(path, files.get(path)!);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
