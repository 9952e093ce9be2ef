/** IDX files under the names, labels and orders of pixels that they come with. */

import { gzipSync } from "node:zlib";
import { findRecorded, recordedDataset } from "../../src/cli/recorded_path.ts";
import { DatasetError } from "../../src/data/errors.ts";
import { encodeIdx } from "../../src/data/idx.ts";
import { isDatasetFolder } from "../../src/data/idx_folder.ts";
import { loadDataset } from "../../src/data/load.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../assert.ts";
import { writeFiles } from "../picture_folder.ts";
import { canUseTemp, withTempDir } from "../temp.ts";

const ignore = !canUseTemp();

/** Images of 2 x 3 pixels, numbered through. */
function imagesOf(count: number): Uint8Array {
  const data = Uint8Array.from({ length: 6 * count }, (_, n) => n);
  return encodeIdx({ dimensions: [count, 2, 3], data });
}

function labelsOf(...labels: number[]): Uint8Array {
  return encodeIdx({ dimensions: [labels.length], data: Uint8Array.from(labels) });
}

/** A set of 4 training and 2 test images, by names that a pattern makes of part, kind and rank. */
function filesOf(
  nameOf: (part: string, kind: string, rank: number) => string,
  { train = [0, 1, 2, 0], test = [2, 1] } = {},
): Record<string, Uint8Array> {
  return Object.fromEntries([["train", train], ["test", test]].flatMap(([part, labels]) => [
    [nameOf(`${part}`, "images", 3), imagesOf(labels.length)],
    [nameOf(`${part}`, "labels", 1), labelsOf(...labels as number[])],
  ]));
}

function gzipped(files: Record<string, Uint8Array>): Record<string, Uint8Array> {
  return Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [`${name}.gz`, new Uint8Array(gzipSync(bytes))]),
  );
}

Deno.test({
  name: "IDX files are known by dots, prefixes, other names of parts, and in folders of their name",
  ignore,
  fn: () =>
    withTempDir(async (root) => {
      const usual = filesOf((part, kind, rank) =>
        `${part === "test" ? "t10k" : part}-${kind}-idx${rank}-ubyte`
      );
      const layouts = [
        usual,
        filesOf((part, kind, rank) => `${part}-${kind}.idx${rank}-ubyte`),
        gzipped(filesOf((part, kind, rank) => `qmnist-${part}-${kind}-idx${rank}-ubyte`)),
        filesOf((part, kind, rank) => `Training_set.${part}_${kind}.idx${rank}`),
        filesOf((part, kind, rank) => {
          const name = `${part}-${kind}-idx${rank}-ubyte`;
          return `${name}/${name}`;
        }),
      ];
      const digests = new Set<string>();
      for (const [n, files] of layouts.entries()) {
        await writeFiles(`${root}/${n}`, { ...files, "._train-images-idx3-ubyte": "stray" });
        const { digest, train, notes } = await loadDataset(`${root}/${n}`);
        digests.add(digest);
        assertEquals([[...train.labels], notes], [[0, 1, 2, 0], undefined]);
      }
      assertEquals(digests.size, 1);
      const { message } = await assertRejects(() => loadDataset(root), DatasetError);
      assertEquals(
        message,
        `Cannot use "${root}" as a dataset: its IDX files are in a folder of it; try ${root}/0`,
      );
      // A part for choosing, and one part twice.
      await writeFiles(`${root}/0`, {
        "val-images-idx3-ubyte": imagesOf(3),
        "val-labels-idx1-ubyte": labelsOf(2, 2, 0),
        "train-images.idx3-ubyte": imagesOf(4),
      });
      const { validation, notes, digest } = await loadDataset(`${root}/0`);
      assertEquals([...validation!.labels], [2, 2, 0]);
      assert(!digests.has(digest));
      assertEquals(notes, [
        'read "train-images-idx3-ubyte", not "train-images.idx3-ubyte", which is of the same part',
      ]);
    }),
});

Deno.test({
  name: "of several sets in a folder one is named by its prefix, wherever its path is used",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      for (const name of ["emnist-digits", "emnist-letters"]) {
        const files = filesOf((part, kind, rank) => `${name}-${part}-${kind}-idx${rank}-ubyte`);
        await writeFiles(folder, gzipped(files));
      }
      const { message } = await assertRejects(() => loadDataset(folder), DatasetError);
      assertStringIncludes(
        message,
        `found emnist-digits, emnist-letters; name one, as --dataset ${folder}/emnist-digits`,
      );
      const { name, train } = await loadDataset(`${folder}/emnist-letters`);
      assertEquals([name, train.count], [`${folder}/emnist-letters`, 4]);
      await Deno.mkdir(`${folder}/run`);
      const recorded = { dataset: { name: "./emnist-letters" }, workingDirectory: ".." };
      const found = await findRecorded(recorded, `${folder}/run`);
      assertEquals((await loadDataset(found.name)).train.count, 4);
      assertEquals(recordedDataset(name), ".../emnist-letters");
      assert(await isDatasetFolder(name));
      await assertRejects(() => loadDataset(`${folder}/emnist`), DatasetError, "Unknown dataset");
    }),
});

Deno.test({
  name: "labels from 1 are shifted and said, and named by EMNIST's mapping where it fits",
  ignore,
  fn: () =>
    withTempDir(async (root) => {
      const labels = { train: [1, 2, 3, 1], test: [3, 2] };
      const nameOf = (part: string, kind: string, rank: number) =>
        `emnist-letters-${part}-${kind}-idx${rank}-ubyte`;
      const from1 = filesOf(nameOf, labels);
      const shifted = "labels begin at 1: 1 to 3 are taken as the classes 0 to 2";
      const cases: [mapping: string | undefined, names: string[], note?: string][] = [
        ["1 65 97\r\n2 66 98\r\n3 67 99\r\n", ["A/a", "B/b", "C/c"]],
        [undefined, ["1", "2", "3"]],
        ["0 65\n1 66\n", ["1", "2", "3"], "has no name for label 2"],
        ["1 65\n2 65\n3 66", ["1", "2", "3"], "gives some the same name"],
        ["1 65\n2 10\n3 66", ["1", "2", "3"], "has no name for label 2"],
      ];
      for (const [n, [mapping, names, note]] of cases.entries()) {
        const folder = `${root}/${n}`;
        await writeFiles(folder, from1);
        if (mapping !== undefined) {
          await writeFiles(folder, { "emnist-letters-mapping.txt": mapping });
        }
        const { classNames, train, test, notes } = await loadDataset(folder, { transpose: true });
        assertEquals([classNames, [...train.labels], [...test.labels]], [
          names,
          [0, 1, 2, 0],
          [2, 1],
        ]);
        assertEquals([notes![0], notes!.length], [shifted, note === undefined ? 2 : 3]);
        if (note) assertStringIncludes(notes![1], `"emnist-letters-mapping.txt" ${note}`);
      }
      // What is shifted is another dataset than the same bytes taken as they are.
      const zero = filesOf(nameOf, { train: [1, 2, 3, 1], test: [0, 2] });
      await writeFiles(`${root}/zero`, zero);
      assertEquals((await loadDataset(`${root}/zero`)).classNames, ["0", "1", "2", "3"]);
    }),
});

Deno.test({
  name: "rows and columns are swapped where asked for; where EMNIST is read without, it is said",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeFiles(folder, filesOf((part, kind, rank) => `emnist-${part}-${kind}-idx${rank}`));
      const asStored = await loadDataset(folder);
      assertEquals(asStored.transposed, undefined);
      assertEquals(asStored.notes, [
        "EMNIST stores images with rows and columns swapped: --transpose turns them upright",
      ]);
      const { train, test, digest, transposed } = await loadDataset(folder, { transpose: true });
      assertEquals([transposed, train.shape, test.shape], [true, [1, 3, 2], [1, 3, 2]]);
      assertEquals([...train.images.subarray(0, 12)], [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
      assert(digest !== asStored.digest);
    }),
});
