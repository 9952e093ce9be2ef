// deno-lint-ignore-file no-console
/** Makes `data/sample`: a part of Fashion-MNIST, balanced by class, small enough to be tracked.
 *
 * The first 500 training and 100 test images of each class, in the order of the original files.
 * Deterministic: run again, it writes the same bytes.
 *
 * @example
 * deno run --allow-read --allow-write=data/sample scripts/make_sample.ts
 */
import { gzipSync } from "node:zlib";
import type { LabeledImages } from "../src/data/dataset.ts";
import { folderOf } from "../src/data/fetch.ts";
import { sha256Hex } from "../src/sha256.ts";
import { writeAtomic } from "../src/write_atomic.ts";
import { encodeIdx } from "../src/data/idx.ts";
import { loadDataset } from "../src/data/load.ts";
import { datasetEntry, FILE_NAMES, type Part, SAMPLE } from "../src/data/registry.ts";

const TRAIN_PER_CLASS = 500;
const TEST_PER_CLASS = 100;

async function makeSample(): Promise<void> {
  const { train, test, classNames } = await loadDataset("fashion-mnist");
  const trainSample = firstOfEachClass(train, classNames.length, TRAIN_PER_CLASS);
  const testSample = firstOfEachClass(test, classNames.length, TEST_PER_CLASS);
  await write("trainImages", imagesOf(trainSample));
  await write("trainLabels", labelsOf(trainSample));
  await write("testImages", imagesOf(testSample));
  await write("testLabels", labelsOf(testSample));
}

function firstOfEachClass(set: LabeledImages, classCount: number, perClass: number): LabeledImages {
  const taken = new Array<number>(classCount).fill(0);
  const chosen = [...set.labels.keys()].filter((index) => taken[set.labels[index]!]++ < perClass);
  const imageBytes = set.images.length / set.count;
  const images = new Uint8Array(chosen.length * imageBytes);
  chosen.forEach((index, row) => {
    images.set(set.images.subarray(index * imageBytes, (index + 1) * imageBytes), row * imageBytes);
  });
  const labels = Uint8Array.from(chosen, (index) => set.labels[index]!);
  return { images, labels, count: chosen.length, shape: set.shape };
}

function imagesOf({ images, count, shape: [, height, width] }: LabeledImages): Uint8Array {
  return encodeIdx({ dimensions: [count, height, width], data: images });
}

function labelsOf({ labels, count }: LabeledImages): Uint8Array {
  return encodeIdx({ dimensions: [count], data: labels });
}

async function write(part: Part, bytes: Uint8Array): Promise<void> {
  const name = FILE_NAMES[part];
  // zlib leaves name and time out of the header, so that the bytes depend on nothing else.
  await writeAtomic(`${folderOf(datasetEntry(SAMPLE))}/${name}.gz`, gzipSync(bytes, { level: 9 }));
  console.log(`${sha256Hex(bytes)}  ${name}`);
}

if (import.meta.main) await makeSample();
