/** Datasets known by name in the forms that their homes have them: archives, .gz, CIFAR-10's batches. */

import { dirname } from "node:path";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { DatasetError } from "../../src/data/errors.ts";
import { fetchEntry } from "../../src/data/fetch.ts";
import { encodeIdx } from "../../src/data/idx.ts";
import { loadDataset, loadEntry } from "../../src/data/load.ts";
import { concat } from "../../src/data/png_chunks.ts";
import {
  type DatasetEntry,
  datasetEntry,
  FILE_NAMES,
  type Part,
  PARTS,
} from "../../src/data/registry.ts";
import { sha256Hex } from "../../src/sha256.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { granted } from "../permissions.ts";
import { tarOf } from "../tar.ts";
import { canUseTemp, namesIn, withTempDir } from "../temp.ts";

const ignore = !canUseTemp();
const ignoreNet = ignore || !granted({ name: "net", host: "127.0.0.1" });

/** Four training and two test images of 2 x 3 pixels, in two classes from 1. */
function smallContents(): Record<Part, Uint8Array> {
  const images = (count: number) =>
    encodeIdx({
      dimensions: [count, 2, 3],
      data: Uint8Array.from({ length: 6 * count }, (_, n) => n),
    });
  const labels = (...data: number[]) =>
    encodeIdx({ dimensions: [data.length], data: Uint8Array.from(data) });
  return {
    trainImages: images(4),
    trainLabels: labels(1, 2, 1, 2),
    testImages: images(2),
    testLabels: labels(2, 1),
  };
}

async function writeContents(folder: string, contents: Record<Part, Uint8Array>, gzipped = false) {
  await Deno.mkdir(folder, { recursive: true });
  for (const [part, bytes] of Object.entries(contents)) {
    const path = `${folder}/${FILE_NAMES[part as Part]}`;
    await (gzipped ? Deno.writeFile(`${path}.gz`, gzipSync(bytes)) : Deno.writeFile(path, bytes));
  }
}

/** The files, of whose content no digest is known. */
function filesOf(contents: Record<Part, Uint8Array>): DatasetEntry["files"] {
  const files = PARTS.map((part) => [part, {
    name: FILE_NAMES[part],
    byteLength: contents[part].length,
  }]);
  return Object.fromEntries(files);
}

/** A registry entry for the small files, whose digests nobody knows: that of their archive alone. */
function archivedEntry(name: string, content: Uint8Array): DatasetEntry {
  return {
    ...datasetEntry("mnist"),
    name: "small",
    homes: [],
    package: undefined,
    classNames: ["a", "b"],
    isTransposed: true,
    firstLabel: 1,
    files: filesOf(smallContents()),
    archive: { name, byteLength: content.length, sha256: sha256Hex(content) },
  };
}

Deno.test({
  name:
    "an archive is checked and unpacked, of a folder or an address: tar.gz and zip of .gz files",
  ignore: ignoreNet,
  fn: () =>
    withTempDir(async (folder) => {
      const contents = smallContents();
      const members = Object.fromEntries(
        Object.entries(contents).map(([part, bytes]) => [FILE_NAMES[part as Part], bytes]),
      );
      const within = (ending: string, make: (bytes: Uint8Array) => Uint8Array) =>
        Object.fromEntries(
          Object.entries(members).map(([name, bytes]) => [`in/${name}${ending}`, make(bytes)]),
        );
      const archives = {
        "set.tar.gz": gzipSync(
          tarOf({ "in/readme": new Uint8Array(700), ...within("", (b) => b) }),
        ),
        "gzip.zip": zipSync({ ...within(".gz", gzipSync), "in/more": new Uint8Array(9) }),
      };
      await using server = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        ({ url }) => {
          const content = archives[new URL(url).pathname.slice(1) as keyof typeof archives];
          return new Response(content && new Uint8Array(content), { status: content ? 200 : 404 });
        },
      );
      for (const [name, content] of Object.entries(archives)) {
        const entry = archivedEntry(name, content);
        await Deno.writeFile(`${folder}/${name}`, content);
        const address = `http://127.0.0.1:${server.addr.port}/`;
        for (const [n, from] of [folder, address].entries()) {
          const dataDir = `${folder}/${name}-${n}`;
          const options = { dataDir, from, allowLoopbackHttp: true };
          const { unchecked } = await fetchEntry(entry, options);
          assertEquals(unchecked, []);
          assertEquals(
            await namesIn(`${dataDir}/small`),
            [
              ".lock",
              ...Object.keys(members).flatMap((file) => [file, `${file}.sha256`]),
            ].sort(),
          );
          const { train, transposed } = await loadEntry(entry, dataDir);
          assertEquals([[...train.labels], train.shape, transposed], [
            [0, 1, 0, 1],
            [1, 3, 2],
            true,
          ]);
          assertEquals([...train.images.subarray(0, 6)], [0, 3, 1, 4, 2, 5]);
          assertEquals((await fetchEntry(entry, options)).sources, []);
          // What has changed on disk since it was stored is found, though nobody publishes a digest.
          const path = `${dataDir}/small/${FILE_NAMES.trainImages}`;
          const damaged = await Deno.readFile(path);
          damaged[20] ^= 1;
          await Deno.writeFile(path, damaged);
          await assertRejects(
            () => loadEntry(entry, dataDir),
            DatasetError,
            "is damaged or another",
          );
          assertEquals((await fetchEntry(entry, options)).sources.length, 1);
        }
        const other = { ...entry, archive: { ...entry.archive!, sha256: "0".repeat(64) } };
        for (const from of [folder, address]) {
          const options = { dataDir: `${folder}/other`, from, allowLoopbackHttp: true };
          await assertRejects(
            () => fetchEntry(other, options),
            DatasetError,
            `expected SHA-256 0000000000000000... of ${name}, found`,
          );
          assertEquals(await namesIn(`${folder}/other/small`), [".lock"]);
        }
      }
      // The files by themselves: their length is all that can be checked, and that is said.
      await writeContents(`${folder}/plain`, contents);
      const entry = archivedEntry("set.tar.gz", archives["set.tar.gz"]);
      const plain = { dataDir: `${folder}/data`, from: `${folder}/plain` };
      assertEquals(
        (await fetchEntry(entry, plain)).unchecked,
        PARTS.map((part) => FILE_NAMES[part]),
      );
    }),
});

Deno.test({
  name: "a file of which only the .gz is published is checked packed, and unpacked by its length",
  ignore: ignoreNet,
  fn: () =>
    withTempDir(async (folder) => {
      const contents = smallContents();
      await writeContents(`${folder}/packed`, contents, true);
      const packed = Object.entries(filesOf(contents)).map(([part, file]) => {
        const bytes = Deno.readFileSync(`${folder}/packed/${file.name}.gz`);
        return [part, { ...file, gzSha256: sha256Hex(bytes) }];
      });
      const { archive: _, ...entry } = archivedEntry("", new Uint8Array());
      const known = { ...entry, files: Object.fromEntries(packed) };
      const options = { dataDir: `${folder}/data`, from: `${folder}/packed` };
      assertEquals((await fetchEntry(known, options)).unchecked, []);
      assertEquals((await loadEntry(known, `${folder}/data`)).train.count, 4);
      await Deno.writeFile(
        `${folder}/packed/${FILE_NAMES.testLabels}.gz`,
        gzipSync(contents.testLabels, { level: 0 }),
      );
      await assertRejects(
        () => fetchEntry(known, { ...options, force: true }),
        DatasetError,
        `of ${FILE_NAMES.testLabels}.gz, found`,
      );
      // A server is not believed by a length.
      await using server = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        ({ url }) => {
          const part = PARTS.find((part) => url.endsWith(`/${FILE_NAMES[part]}.gz`))!;
          return new Response(new Uint8Array(contents[part]));
        },
      );
      const from = `http://127.0.0.1:${server.addr.port}/`;
      await assertRejects(
        () => fetchEntry(known, { ...options, from, allowLoopbackHttp: true, force: true }),
        DatasetError,
        "expected a .gz, of which alone a digest is known",
      );
    }),
});

/** A batch of CIFAR-10: a label and 3,072 bytes of its number, for each label. */
function batchOf(...labels: number[]): Uint8Array {
  return concat(labels.map((label) => {
    const record = new Uint8Array(3073).fill(10 * label);
    record.set([label, 1, 2, 3]);
    record.fill(7, 1 + 2048);
    return record;
  }));
}

Deno.test({
  name: "CIFAR-10's batches are loaded from files, gzipped or not, and from the archive",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const files = {
        "data_batch_1.bin": batchOf(2, 0),
        "data_batch_2.bin": batchOf(1),
        "test_batch.bin": batchOf(1, 1),
      };
      const names = new TextEncoder().encode("airplane\nautomobile\nbird\n\n");
      const inner = Object.entries({ ...files, "batches.meta.txt": names })
        .map(([name, bytes]) => [`cifar-10-batches-bin/${name}`, bytes]);
      const write = async (place: string, content: Readonly<Record<string, Uint8Array>>) => {
        for (const [name, bytes] of Object.entries(content)) {
          await Deno.mkdir(dirname(`${folder}/${place}/${name}`), { recursive: true });
          await Deno.writeFile(`${folder}/${place}/${name}`, bytes);
        }
      };
      await write("plain", { ...files, "batches.meta.txt": names });
      await write("inner", Object.fromEntries(inner));
      await write("packed", {
        "cifar-10-binary.tar.gz": gzipSync(tarOf(Object.fromEntries(inner))),
      });
      await write("gz", {
        ...files,
        "data_batch_1.bin.gz": gzipSync(batchOf(0)),
        "test_batch.bin": batchOf(1),
      });
      const sets = await Promise.all(
        ["plain", "inner", "packed"].map((place) => loadDataset(`${folder}/${place}`)),
      );
      for (const { train, test, classNames, digest, notes } of sets) {
        assertEquals([train.shape, train.count, test.count], [[3, 32, 32], 3, 2]);
        assertEquals([[...train.labels], classNames[2], notes], [[2, 0, 1], "bird", undefined]);
        assertEquals([...train.images.subarray(0, 4)], [1, 2, 3, 20]);
        assertEquals([train.images[2047], train.images[2048]], [20, 7]);
        assertEquals(digest, sets[0].digest);
      }
      const unnamed = await loadDataset(`${folder}/gz`);
      assertEquals([unnamed.train.count, unnamed.classNames], [3, ["0", "1", "2"]]);
      assertEquals(unnamed.notes, [
        "classes are called by their numbers: no batches.meta.txt names all",
      ]);

      const refusals: [Record<string, Uint8Array>, string][] = [
        [{ "data_batch_1.bin": batchOf(1) }, "expected data_batch_1.bin, ... and test_batch.bin"],
        [
          { ...files, "data_batch_1.bin": new Uint8Array(3072) },
          "found 3,072 bytes; obtain it again",
        ],
        [{ ...files, "test_batch.bin": new Uint8Array(3074) }, "as CIFAR-100 has with two labels"],
        [{ ...files, "test_batch.bin": new Uint8Array() }, "found 0 bytes"],
        [{ ...files, "test_batch.bin": batchOf(0, 3) }, "expected labels from 0 to 2, found 3 at"],
        [{ ...files, "data_batch_2.bin": batchOf(255) }, "with few gaps, found 255 as the largest"],
      ];
      for (const [n, [content, message]] of refusals.entries()) {
        await write(`bad${n}`, content);
        await assertRejects(() => loadDataset(`${folder}/bad${n}`), DatasetError, message);
      }

      // Under its name, with the digests of these files.
      const known: DatasetEntry = {
        ...datasetEntry("cifar10"),
        name: "small",
        files: Object.fromEntries(
          Object.entries(files).map(([name, bytes]) => [name, {
            ...{ name, byteLength: bytes.length, sha256: sha256Hex(bytes) },
          }]),
        ),
      };
      const options = { dataDir: `${folder}/data`, from: `${folder}/inner/cifar-10-batches-bin` };
      assertEquals((await fetchEntry(known, options)).unchecked, []);
      const { train, classNames } = await loadEntry(known, `${folder}/data`);
      assertEquals([[...train.labels], classNames.length], [[2, 0, 1], 10]);
    }),
});
