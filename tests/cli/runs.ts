/** Small runs of `train` for tests that stop them in all kinds of ways. */
import { encodeIdx } from "../../src/data/idx.ts";
import { FILE_NAMES } from "../../src/data/registry.ts";
import { decodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertEquals } from "../assert.ts";
import { namesIn } from "../temp.ts";
import { linesOf, ROOT, startDeno } from "./command.ts";

/** Writes 150 training and 50 test images of noise in four classes, 8 x 8 pixels each. */
export async function writeNoise(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const random = createRandom(1, "noise");
  for (const [part, count] of [["train", 150], ["test", 50]] as const) {
    const pixels = Uint8Array.from({ length: 64 * count }, () => random.below(256));
    const images = encodeIdx({ dimensions: [count, 8, 8], data: pixels });
    const labels = Uint8Array.from({ length: count }, (_, n) => n % 4);
    await Deno.writeFile(`${folder}/${FILE_NAMES[`${part}Images`]}`, images);
    const name = FILE_NAMES[`${part}Labels`];
    await Deno.writeFile(`${folder}/${name}`, encodeIdx({ dimensions: [count], data: labels }));
  }
}

/** Starts `train` with little more than permission to write into a folder. */
export function startTrain(
  args: readonly string[],
  { folder, env }: { readonly folder: string; readonly env?: Record<string, string> },
): Deno.ChildProcess {
  return startDeno([
    ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`],
    ...[`${ROOT}scripts/train.ts`, ...args],
  ], { cwd: folder, env });
}

/** Waits until a stream has shown a text; what came until then is returned. */
export async function seen(
  stream: ReadableStreamDefaultReader<string>,
  text: string,
): Promise<string> {
  let all = "";
  while (!all.includes(text)) {
    const { value, done } = await stream.read();
    if (done) break;
    all += value;
  }
  return all;
}

/** A stream's text, to be read piece by piece. */
export function textOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): ReadableStreamDefaultReader<string> {
  return stream.pipeThrough(new TextDecoderStream()).getReader();
}

/** Lines of a file of JSON lines, without what they say about time. */
export async function untimedLines(path: string): Promise<Record<string, unknown>[]> {
  return linesOf(await Deno.readTextFile(path)).map((line) => {
    const { trainMs: _, evalMs: __, imagesPerSecond: ___, ...rest } = JSON.parse(line);
    return rest;
  });
}

/** Asserts that all files of a run are the same to the last bit, but for time. */
export async function assertSameRun(actual: string, expected: string): Promise<void> {
  const names = await namesIn(expected);
  assertEquals(await namesIn(actual), names);
  for (const name of [...names, "model/model.json", "model/weights.bin"]) {
    if (name === "model" || name === "config.json" || name === "report.html") continue;
    const paths = [`${actual}/${name}`, `${expected}/${name}`];
    if (name.endsWith(".jsonl")) {
      const [found, wanted] = await Promise.all(paths.map(untimedLines));
      assertEquals(found, wanted, name);
    } else if (name.startsWith("checkpoint.")) {
      if (name !== "checkpoint.safetensors") continue; // an earlier moment, not the same in both
      const [found, wanted] = await Promise.all(paths.map(checkpointOf));
      assertEquals(found, wanted, name);
    } else {
      const [found, wanted] = await Promise.all(paths.map((path) => Deno.readFile(path)));
      assert(found.every((byte, n) => byte === wanted[n]), `${name} differs`);
      assertEquals(found.length, wanted.length, name);
    }
  }
}

/** Asserts that nothing in a run's folder was written half, but for what the next start removes. */
export async function assertWhole(out: string): Promise<void> {
  for (const name of await namesIn(out)) {
    if (!name.endsWith(".safetensors")) continue;
    decodeSafetensors(await Deno.readFile(`${out}/${name}`), name);
  }
}

async function checkpointOf(path: string) {
  const { tensors, metadata } = decodeSafetensors(await Deno.readFile(path), path);
  const { sha256: _, progress, ...rest } = metadata;
  const { partial, ...done } = JSON.parse(progress);
  return { tensors, ...rest, ...done, partial: { ...partial, trainMs: 0 } };
}
