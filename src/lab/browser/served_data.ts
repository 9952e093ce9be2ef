/** Images that the page's own server has, read with their progress told. */

/// <reference lib="dom" />
import type { LabeledImages } from "../../data/dataset.ts";
import { parseLabeledImages } from "../../data/idx.ts";
import { DATASETS, FILE_NAMES, type Part } from "../../data/registry.ts";

/** Images of a training and a test set. */
export interface LabData {
  readonly name: string;
  readonly classNames: readonly string[];
  readonly train: LabeledImages;
  readonly test: LabeledImages;
}

/** Reads a set of images.
 *
 * @param onBytes Hears how many bytes have arrived, of how many.
 * @throws {Error} If the server has none of this name, or what it has is damaged.
 */
export async function loadServed(
  name: string,
  onBytes: (bytes: number, total: number) => void,
): Promise<LabData> {
  const { classNames, files } = DATASETS.find((entry) => entry.name === name)!;
  const arrived = new Map<Part, { bytes: number; total: number }>();
  const read = async (part: Part) => {
    const path = `data/${name}/${FILE_NAMES[part]}.gz`;
    const response = await fetch(path);
    if (!response.ok || !response.body) throw new Error(`Cannot load ${path}: ${response.status}`);
    const count = { bytes: 0, total: Number(response.headers.get("content-length") ?? 0) };
    arrived.set(part, count);
    const counted = response.body.pipeThrough(
      new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform(chunk, controller) {
          count.bytes += chunk.length;
          const all = [...arrived.values()];
          onBytes(sum(all.map(({ bytes }) => bytes)), sum(all.map(({ total }) => total)));
          controller.enqueue(chunk);
        },
      }),
    );
    const unpacked = counted.pipeThrough(new DecompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
    if (await digestOf(bytes) !== files[part].sha256) {
      throw new Error(`Cannot use ${path}: it is damaged, or another file; obtain it again`);
    }
    return bytes;
  };
  const set = async (images: Part, labels: Part) => {
    const [imageBytes, labelBytes] = await Promise.all([read(images), read(labels)]);
    const names = { imagesName: FILE_NAMES[images], labelsName: FILE_NAMES[labels] };
    return parseLabeledImages(
      { images: imageBytes, labels: labelBytes, ...names },
      classNames.length,
    );
  };
  const [train, test] = await Promise.all([
    set("trainImages", "trainLabels"),
    set("testImages", "testLabels"),
  ]);
  return { name, classNames, train, test };
}

/** SHA-256 in hexadecimal. */
async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
