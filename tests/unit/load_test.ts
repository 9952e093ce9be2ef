/** Loading and fetching of datasets on real small files. */
import { gzipSync } from "node:zlib";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../assert.ts";
import { DatasetError } from "../../src/data/errors.ts";
import { fetchEntry, type FetchEvent } from "../../src/data/fetch.ts";
import { sha256Hex } from "../../src/sha256.ts";
import { encodeIdx } from "../../src/data/idx.ts";
import { loadDataset, obtainDataset } from "../../src/data/load.ts";
import {
  type DatasetEntry,
  datasetEntry,
  DATASETS,
  FILE_NAMES,
  type Part,
  PARTS,
} from "../../src/data/registry.ts";
import { granted } from "../permissions.ts";
import { canUseTemp, namesIn, withTempDir } from "../temp.ts";

const ignore = !canUseTemp();
const SAMPLE_URL = new URL("../../data/sample/", import.meta.url);

type Contents = Record<Part, Uint8Array>;

/** Four training and two test images of 2 x 3 pixels, in three classes. */
function smallContents(): Contents {
  return {
    trainImages: encodeIdx({ dimensions: [4, 2, 3], data: new Uint8Array(24).fill(7) }),
    trainLabels: encodeIdx({ dimensions: [4], data: Uint8Array.of(0, 1, 2, 0) }),
    testImages: encodeIdx({ dimensions: [2, 2, 3], data: new Uint8Array(12).fill(9) }),
    testLabels: encodeIdx({ dimensions: [2], data: Uint8Array.of(2, 1) }),
  };
}

async function writeContents(folder: string, contents: Partial<Contents>, gzipped = false) {
  await Deno.mkdir(folder, { recursive: true });
  for (const [part, bytes] of Object.entries(contents)) {
    const path = `${folder}/${FILE_NAMES[part as Part]}`;
    await (gzipped ? Deno.writeFile(`${path}.gz`, gzipSync(bytes)) : Deno.writeFile(path, bytes));
  }
}

/** A registry entry for the small files, without any source. */
function smallEntry(contents = smallContents()): DatasetEntry {
  const fileOf = (part: Part) => ({
    name: FILE_NAMES[part],
    byteLength: contents[part].length,
    sha256: sha256Hex(contents[part]),
  });
  return {
    ...datasetEntry("mnist"),
    name: "small",
    homes: [],
    package: undefined,
    files: {
      trainImages: fileOf("trainImages"),
      trainLabels: fileOf("trainLabels"),
      testImages: fileOf("testImages"),
      testLabels: fileOf("testLabels"),
    },
  };
}

Deno.test({
  name: "the sample is whole, balanced by class and in the shape of Fashion-MNIST",
  ignore: !granted({ name: "read", path: SAMPLE_URL }),
  fn: async () => {
    const { name, train, test, classNames, digest } = await loadDataset("sample");
    assertEquals(name, "sample");
    assertEquals([train.count, test.count], [5_000, 1_000]);
    assertEquals([...train.shape], [1, 28, 28]);
    assertEquals(train.images.length, 5_000 * 784);
    assertEquals([classNames.length, classNames[9]], [10, "Ankle boot"]);
    assertEquals(digest.length, 64);
    const perClass = (labels: Uint8Array) =>
      classNames.map((_, label) => labels.filter((other) => other === label).length);
    assertEquals(perClass(train.labels), Array(10).fill(500));
    assertEquals(perClass(test.labels), Array(10).fill(100));
  },
});

Deno.test("the registry knows every file of every dataset by a full digest, or its archive", () => {
  const isDigest = (digest?: string) => /^[0-9a-f]{64}$/.test(digest ?? "");
  for (const { name, files, archive, classNames, ...entry } of DATASETS) {
    for (const { sha256, gzSha256 } of Object.values(files)) {
      assert(isDigest(sha256 ?? gzSha256 ?? archive?.sha256), name);
    }
    assertEquals(new Set(classNames).size, classNames.length, name);
    if (!entry.isCifar) {
      assertEquals(files.trainImages.byteLength, 16 + entry.trainCount * 784);
      assertEquals(files.testLabels.byteLength, 8 + entry.testCount);
    }
    for (const home of entry.homes) assert(/^https:\/\/.*\/$/.test(home));
  }
  const classCounts = DATASETS.filter(({ name }) => name.startsWith("emnist"))
    .map(({ name, classNames }) => [name.slice("emnist-".length), classNames.length]);
  assertEquals(Object.fromEntries(classCounts), {
    ...{ balanced: 47, byclass: 62, bymerge: 47, digits: 10, letters: 26, mnist: 10 },
  });
});

Deno.test({
  name: "a folder is loaded whether its files are gzipped or not, whatever their shape",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const contents = smallContents();
      for (const gzipped of [false, true]) {
        const place = `${folder}/${gzipped}`;
        await writeContents(place, contents, gzipped);
        const { name, train, test, classNames, digest } = await loadDataset(place);
        assertEquals(name, place);
        assertEquals([...train.shape, train.count, test.count], [1, 2, 3, 4, 2]);
        assertEquals([...train.labels], [0, 1, 2, 0]);
        assertEquals(test.images, new Uint8Array(12).fill(9));
        assertEquals([...classNames], ["0", "1", "2"]);
        assertEquals(digest, sha256Hex(...PARTS.map((part) => contents[part])));
      }
    }),
});

Deno.test({
  name: "a folder whose files are not as they must be is refused, and the file named",
  ignore,
  fn: async () => {
    const good = smallContents();
    const labelsOf = (...labels: number[]) =>
      encodeIdx({ dimensions: [labels.length], data: Uint8Array.from(labels) });
    const bomb = gzipSync(Uint8Array.from([...good.testLabels, ...new Uint8Array(100_000)]));
    const cases: [Partial<Contents>, string, string][] = [
      [{ trainImages: good.trainImages.subarray(0, 30) }, "train-images", "expected 40 bytes"],
      [{ testImages: good.trainLabels }, "t10k-images", "found unsigned bytes in 1 dimension (4)"],
      [{ trainLabels: labelsOf(0, 1) }, "train-labels", "expected 4 labels"],
      [
        { trainLabels: labelsOf(0, 1, 2, 129) },
        "train-labels",
        "found 129 as the largest of only 4",
      ],
      [{ testLabels: labelsOf(0, 3) }, "t10k-labels", "expected labels from 0 to 2 as in training"],
      [{ testLabels: bomb }, "t10k-labels", "expected at most 10 bytes of uncompressed data"],
      [
        { testLabels: gzipSync(good.testLabels).subarray(0, 20) },
        "t10k-labels",
        "cut short or corrupt",
      ],
      [{ testLabels: new Uint8Array(0) }, "t10k-labels", "found 0 bytes"],
      [
        { testImages: encodeIdx({ dimensions: [2, 3, 2], data: new Uint8Array(12) }) },
        "t10k-images",
        "expected images of 2 x 3 as in training, found 3 x 2",
      ],
    ];
    for (const [damage, file, reason] of cases) {
      await withTempDir(async (folder) => {
        await writeContents(folder, { ...good, ...damage });
        const error = await assertRejects(() => loadDataset(folder), DatasetError);
        assertStringIncludes(error.message, `Cannot read "${folder}/${file}`);
        assertStringIncludes(error.message, reason);
      });
    }
  },
});

Deno.test({
  name: "a missing file, a folder in place of a file and a missing folder are told apart",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const { testLabels: _, ...three } = smallContents();
      await writeContents(folder, three);
      const missing = await assertRejects(() => loadDataset(folder), DatasetError);
      assertEquals(
        missing.message,
        `Cannot find the labels of the test set in "${folder}": expected a file such as ` +
          `t10k-labels-idx1-ubyte, found "t10k-images-idx3-ubyte", "train-images-idx3-ubyte", ` +
          `"train-labels-idx1-ubyte"`,
      );
      await Deno.mkdir(`${folder}/t10k-labels-idx1-ubyte`);
      const wrong = await assertRejects(() => loadDataset(folder), DatasetError);
      assertEquals(wrong.message, missing.message);
      const unknown = await assertRejects(() => loadDataset(`${folder}/no`), DatasetError);
      assertStringIncludes(
        unknown.message,
        "expected one of fashion-mnist, mnist, kmnist, ",
      );
    }),
});

Deno.test({
  name: "a known dataset is refused where it is not there or not itself, with what to do",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const absent = await assertRejects(
        () => loadDataset("mnist", { dataDir: folder }),
        DatasetError,
      );
      assertStringIncludes(absent.message, "run deno task fetch mnist");
      await writeContents(`${folder}/mnist`, smallContents());
      const other = await assertRejects(
        () => loadDataset("mnist", { dataDir: folder }),
        DatasetError,
      );
      assertStringIncludes(other.message, "expected 47,040,016 bytes");
    }),
});

Deno.test({
  name: "fetch copies from a folder, unpacks, and does nothing when all is there",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeContents(`${folder}/source`, smallContents(), true);
      const options = { dataDir: `${folder}/data`, from: `${folder}/source` };
      const first = await fetchEntry(smallEntry(), options);
      assertEquals([...first.sources], [`folder ${folder}/source`]);
      assertEquals(await namesIn(first.folder), [".lock", ...Object.values(FILE_NAMES).sort()]);
      await Deno.remove(`${folder}/source`, { recursive: true });
      const second = await fetchEntry(smallEntry(), options);
      assertEquals([...second.sources], []);
    }),
});

Deno.test({
  name: "fetch replaces only what is damaged, and removes what a killed fetch left",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const contents = smallContents();
      await writeContents(`${folder}/source`, { trainLabels: contents.trainLabels });
      const damaged = contents.trainLabels.slice();
      damaged[9]! ^= 1;
      await writeContents(`${folder}/data/small`, { ...contents, trainLabels: damaged });
      const leftover = `${folder}/data/small/${FILE_NAMES.trainImages}.tmp-1`;
      await Deno.writeTextFile(leftover, "half");
      await Deno.mkdir(`${folder}/data/small/.unpack-1/lists`, { recursive: true });
      const events: FetchEvent[] = [];
      const { folder: place } = await fetchEntry(smallEntry(), {
        dataDir: `${folder}/data`,
        from: `${folder}/source`,
        onEvent: (event) => events.push(event),
      });
      assertEquals(events.map(({ type }) => type), ["damaged", "source", "stored"]);
      assertEquals(await Deno.readFile(`${place}/${FILE_NAMES.trainLabels}`), contents.trainLabels);
      assertEquals(await namesIn(place), [".lock", ...Object.values(FILE_NAMES).sort()]);
    }),
});

Deno.test({
  name: "a fetch that fails leaves valid data as it was, also with force",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const contents = smallContents();
      const place = `${folder}/data/small`;
      await writeContents(place, contents);
      // The first file is right, the second one is another: only the first may be replaced.
      await writeContents(`${folder}/source`, {
        ...contents,
        trainLabels: contents.testLabels,
      });
      const error = await assertRejects(
        () =>
          fetchEntry(smallEntry(), {
            dataDir: `${folder}/data`,
            from: `${folder}/source`,
            force: true,
          }),
        DatasetError,
      );
      assertStringIncludes(error.message, "Cannot fetch small from");
      for (const part of PARTS) {
        assertEquals(await Deno.readFile(`${place}/${FILE_NAMES[part]}`), contents[part]);
      }
    }),
});

Deno.test({
  name: "fetches into one folder at the same time take turns and both succeed",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeContents(`${folder}/source`, smallContents());
      const options = { dataDir: `${folder}/data`, from: `${folder}/source` };
      const results = await Promise.all(
        Array.from({ length: 4 }, () => fetchEntry(smallEntry(), options)),
      );
      assertEquals(results.filter(({ sources }) => sources.length > 0).length, 1);
    }),
});

Deno.test({
  name: "fetch takes the files of a mirror, packed or not, and redoes what it resumed wrongly",
  ignore: ignore || !granted({ name: "net", host: "127.0.0.1" }),
  fn: async () => {
    const contents = smallContents();
    const served = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const part of PARTS) {
      // Labels lie there unpacked only.
      const name = `/mirror/${FILE_NAMES[part]}`;
      if (part.endsWith("Labels")) served.set(name, contents[part].slice());
      else served.set(`${name}.gz`, Uint8Array.from(gzipSync(contents[part])));
    }
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => {
        const bytes = served.get(new URL(request.url).pathname);
        if (!bytes) return new Response("no", { status: 404 });
        const offset = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? 0);
        if (offset === 0) return new Response(bytes);
        const range = `bytes ${offset}-${bytes.length - 1}/${bytes.length}`;
        return new Response(bytes.subarray(offset), {
          status: 206,
          headers: { "content-range": range },
        });
      },
    );
    await withTempDir(async (folder) => {
      await Deno.mkdir(`${folder}/small`);
      const part = `${folder}/small/${FILE_NAMES.trainImages}.download.part`;
      await Deno.writeTextFile(part, "of another file");
      const from = `http://127.0.0.1:${server.addr.port}/mirror`;
      const options = { dataDir: folder, allowLoopbackHttp: true };
      const result = await fetchEntry(smallEntry(), { ...options, from });
      assertEquals([...result.sources], [`${from}/`]);
      assertEquals(await namesIn(result.folder), [".lock", ...Object.values(FILE_NAMES).sort()]);

      const corrupt = served.get(`/mirror/${FILE_NAMES.testLabels}`)!;
      corrupt[9]! ^= 1;
      const error = await assertRejects(
        () => fetchEntry(smallEntry(), { ...options, from, force: true }),
        DatasetError,
      );
      assertStringIncludes(error.message, `Cannot use "${from}/${FILE_NAMES.testLabels}"`);
      assertStringIncludes(error.message, "the file is damaged or another one");
      assertEquals(await namesIn(result.folder), [".lock", ...Object.values(FILE_NAMES).sort()]);
    });
  },
});

/** Serves the small files as .gz, the first of them in two parts: the connection breaks between. */
function breakingMirror(contents: Contents, first: Uint8Array<ArrayBuffer>) {
  const ranges: (string | null)[] = [];
  const half = first.length >> 1;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {}, onError: () => new Response(null) },
    (request) => {
      const part = PARTS.find((part) => request.url.endsWith(`/${FILE_NAMES[part]}.gz`))!;
      const bytes = Uint8Array.from(gzipSync(contents[part]));
      if (part !== "trainImages") return new Response(bytes);
      const range = request.headers.get("range");
      ranges.push(range);
      if (ranges.length === 1) {
        const headers = { "content-length": `${first.length}` };
        let isSent = false;
        const body = new ReadableStream({
          pull(controller) {
            if (isSent) return controller.error(new Error("gone"));
            isSent = true;
            controller.enqueue(first.subarray(0, half));
          },
        });
        return new Response(body, { headers });
      }
      if (range === null) return new Response(bytes);
      const headers = { "content-range": `bytes ${half}-${bytes.length - 1}/${bytes.length}` };
      return new Response(bytes.subarray(half), { status: 206, headers });
    },
  );
  return { server, ranges, half, url: `http://127.0.0.1:${server.addr.port}/` };
}

Deno.test({
  name: "fetch continues where a mirror broke off, and starts again where its content has changed",
  ignore: ignore || !granted({ name: "net", host: "127.0.0.1" }),
  fn: async () => {
    const contents = smallContents();
    const same = Uint8Array.from(gzipSync(contents.trainImages));
    for (const isSame of [true, false]) {
      const mirror = breakingMirror(contents, isSame ? same : same.map((byte) => byte ^ 0x55));
      await using _server = mirror.server;
      await withTempDir(async (folder) => {
        const { ranges, half, url } = mirror;
        const options = { dataDir: folder, from: url, allowLoopbackHttp: true };
        const { folder: place } = await fetchEntry(smallEntry(), options);
        assertEquals(ranges, [null, `bytes=${half}-`, ...(isSame ? [] : [null])]);
        assertEquals(
          await Deno.readFile(`${place}/${FILE_NAMES.trainImages}`),
          contents.trainImages,
        );
        assertEquals(await namesIn(place), [".lock", ...Object.values(FILE_NAMES).sort()]);
      });
    }
  },
});

Deno.test({
  name: "a mirror continues what another began, unless the digest shows that it was another file",
  ignore: ignore || !granted({ name: "net", host: "127.0.0.1" }),
  fn: () =>
    withTempDir(async (folder) => {
      const contents = smallContents();
      const same = Uint8Array.from(gzipSync(contents.trainImages));
      const path = `${folder}/small/${FILE_NAMES.trainImages}.download.part`;
      for (const isSame of [true, false]) {
        const mirror = breakingMirror(contents, same);
        await using _server = mirror.server;
        mirror.ranges.push("of another mirror");
        await Deno.mkdir(`${folder}/small`, { recursive: true });
        const begun = same.subarray(0, mirror.half);
        await Deno.writeFile(path, isSame ? begun : begun.map((byte) => byte ^ 0x55));
        const options = { dataDir: folder, from: mirror.url, allowLoopbackHttp: true, force: true };
        const { folder: place } = await fetchEntry(smallEntry(), options);
        assertEquals(mirror.ranges.slice(1), [`bytes=${mirror.half}-`, ...(isSame ? [] : [null])]);
        assertEquals(
          await Deno.readFile(`${place}/${FILE_NAMES.trainImages}`),
          contents.trainImages,
        );
      }
    }),
});

Deno.test({
  name: "obtainDataset falls back to the sample only where nothing was asked for by name",
  ignore: ignore || !granted({ name: "read", path: SAMPLE_URL }),
  fn: () =>
    withTempDir(async (folder) => {
      const options = { dataDir: `${folder}/data`, from: `${folder}/nowhere` };
      const { dataset, fallbackReason } = await obtainDataset(undefined, options);
      assertEquals(dataset.name, "sample");
      assertStringIncludes(fallbackReason!.message, `there is no folder ${folder}/nowhere`);
      await assertRejects(() => obtainDataset("fashion-mnist", options), DatasetError);
      const named = await obtainDataset("sample", options);
      assertEquals([named.dataset.name, named.fallbackReason], ["sample", undefined]);
      const reasons: [Error, boolean][] = [
        [new Deno.errors.PermissionDenied("Permission denied (os error 13): open 'x'"), true],
        [Object.assign(new Error("No space left (os error 28)"), { code: "ENOSPC" }), true],
        [new RangeError("Array buffer allocation failed"), false],
        [new TypeError("Cannot read properties of undefined"), false],
      ];
      for (const [error, isReason] of reasons) {
        const onEvent = () => {
          throw error;
        };
        const obtaining = obtainDataset(undefined, { ...options, onEvent });
        if (isReason) assertEquals((await obtaining).fallbackReason, error);
        else assertEquals(await obtaining.catch((thrown) => thrown), error);
      }
    }),
});
