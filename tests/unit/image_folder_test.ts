/** Datasets of pictures in folders, on real small files. */
import fc from "fast-check";
import { encode } from "fast-png";
import { readPicture } from "../../src/cli/predict_inputs.ts";
import { type Dataset, type LabeledImages, sliceImages } from "../../src/data/dataset.ts";
import { DatasetError } from "../../src/data/errors.ts";
import { loadDataset } from "../../src/data/load.ts";
import { MAX_PICTURE_BYTES } from "../../src/data/picture_file.ts";
import { selectImages, splitByContent, splitValidation } from "../../src/data/split.ts";
import { printable } from "../../src/quote.ts";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "../assert.ts";
import { canRunCommands, runDeno } from "../cli/command.ts";
import { classOf, drawing, jpegOf, pixelsOf, writeFiles } from "../picture_folder.ts";
import { canUseTemp, withTempDir } from "../temp.ts";

const ignore = !canUseTemp();

/** All images of both parts with their class names, in an order of their own. */
function contentOf({ train, test, classNames }: Awaited<ReturnType<typeof loadDataset>>): string[] {
  return [train, test].flatMap((part) =>
    Array.from(part.labels, (label, n) => `${classNames[label]} ${pixelsOf(part, n)}`)
  ).sort();
}

Deno.test({
  name: "a folder a class is loaded: PNG and JPEG of any size, each as predict makes it",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const files = {
        "owls/b.PNG": drawing(1, [40, 30]),
        "owls/a.jpeg": jpegOf(new Uint8Array(33 * 9).map((_, n) => n % 256), [33, 9]),
        "cats/one.png": drawing(2, [28, 28]),
        "cats/two.jpg": jpegOf(new Uint8Array(64 * 64).map((_, n) => n % 97), [64, 64]),
      };
      await writeFiles(folder, {
        ...files,
        "owls/notes.txt": "no picture",
        "owls/.hidden.png": "no picture either",
        ".cache/x.png": "nor this",
        "loose.png": "of no class",
      });
      for (const invert of [false, true]) {
        const size = { width: 20, height: 16 };
        const dataset = await loadDataset(folder, { pictures: { size, invert } });
        assertEquals(dataset.classNames, ["cats", "owls"]);
        assertEquals([dataset.train.count, dataset.test.count], [2, 2]);
        assertEquals([...dataset.train.shape], [1, 16, 20]);
        const expected = await Promise.all(
          Object.keys(files).map(async (name) => {
            const input = await readPicture(`${folder}/${name}`, {
              size,
              pictures: { invert, darkOnLight: invert },
            });
            assert("picture" in input);
            return `${name.split("/")[0]} ${input.picture.pixels}`;
          }),
        );
        assertEquals(contentOf(dataset), expected.sort());
        assertEquals(dataset.pictures, { testSplit: 0.2, invert, darkOnLight: invert });
      }
      const plain = await loadDataset(folder);
      assertEquals([...plain.train.shape], [1, 28, 28]);
    }),
});

Deno.test({
  name:
    "channels and size follow from the pictures: colour anywhere, and what most are as large as",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const auto = { pictures: { channels: "auto", size: "auto" } } as const;
      const tinted = (side: number, blue: number) =>
        encode({
          width: side,
          height: side,
          data: Uint8Array.from({ length: 3 * side * side }, (_, n) => n % 3 < 2 ? 90 : blue),
          channels: 3,
        });
      const files = { ...classOf("a", 3), ...classOf("b", 3, 9) };
      await writeFiles(folder, {
        ...files,
        "a/grey.jpg": jpegOf(new Uint8Array(64 * 64).map((_, n) => n % 97), [64, 64]),
        "b/tint.png": tinted(70, 106),
      });
      // Nothing but tints: as if grey had been asked for.
      const grey = await loadDataset(folder, auto);
      const asked = await loadDataset(folder, { pictures: { channels: 1 } });
      assertEquals([grey.train.shape, grey.digest], [[1, 28, 28], asked.digest]);
      assertEquals(grey.notes, [
        "pictures become 1x28x28: none has colour, most are smaller than 64",
      ]);
      assertEquals(asked.notes, ["made 2 pictures of three channels grey"]);

      // The last picture of all decides the channels, the median decides the size.
      await writeFiles(folder, { "b/z.png": tinted(70, 140) });
      const color = await loadDataset(folder, auto);
      assertEquals([color.train.shape, color.pictures?.hasGrey], [[3, 28, 28], true]);
      assertEquals(color.notes, [
        "6 pictures of one channel have it three times",
        'pictures become 3x28x28: 1 of 9 have colour, such as "b/z.png", most are smaller than 64',
      ]);
      const z = [color.train, color.test].flatMap((set) =>
        (set.names ?? []).map((name, n) => ({ name, image: sliceImages(set, n, n + 1).images }))
      ).find(({ name }) => name === "b/z.png");
      assertEquals([0, 784, 1568].map((at) => z?.image[at]), [90, 90, 140]);
      const threefold = await loadDataset(folder, { pictures: { channels: 3 } });
      assertEquals(threefold.digest, color.digest);
      for (let n = 0; n < 9; n++) await writeFiles(folder, { [`a/large${n}.png`]: tinted(64, n) });
      assertEquals((await loadDataset(folder, auto)).train.shape, [3, 64, 64]);
      const wrong = { channels: 2 as 1, size: "auto" } as const;
      await assertRejects(
        () => loadDataset(folder, { pictures: wrong }),
        RangeError,
        'Invalid channels 2: expected 1, 3 or "auto"',
      );
    }),
});

Deno.test({
  name: "the split depends on content alone: names do not matter, and a new picture shows",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const renamed = Object.entries(classOf("a", 10)).map((
        [, bytes],
        n,
      ) => [`a/${90 - n}.png`, bytes]);
      await writeFiles(`${folder}/one`, { ...classOf("a", 10), ...classOf("b", 10, 20) });
      await writeFiles(`${folder}/two`, {
        ...Object.fromEntries(renamed),
        ...classOf("b", 10, 20),
      });
      await writeFiles(`${folder}/more`, { ...classOf("a", 12), ...classOf("b", 10, 20) });
      const pictures = { testSplit: 0.3 };
      const one = await loadDataset(`${folder}/one`, { pictures });
      const two = await loadDataset(`${folder}/two`, { pictures });
      assertEquals([one.train.count, one.test.count], [14, 6]);
      const nameless = ({ digest, train, test }: Dataset) => [
        digest,
        ...[train, test].map((part) => ({ ...part, names: undefined })),
      ];
      assertEquals(nameless(two), nameless(one));
      assertEquals([...one.train.names!, ...one.test.names!].sort(), [
        ...Object.keys({ ...classOf("a", 10), ...classOf("b", 10) }),
      ]);
      for (const [n, name] of two.test.names!.entries()) {
        const again = await readPicture(`${folder}/two/${name}`, {
          size: { width: 28, height: 28 },
          pictures: one.pictures,
        });
        assert("picture" in again);
        assertEquals(pixelsOf(two.test, n), again.picture.pixels);
      }
      const more = await loadDataset(`${folder}/more`, { pictures });
      assert(more.digest !== one.digest);
      const other = await loadDataset(`${folder}/one`, { pictures: { testSplit: 0.5 } });
      assertEquals([other.test.count, contentOf(other)], [10, contentOf(one)]);
      assert(other.digest !== one.digest);
      const all = await loadDataset(`${folder}/one`, { pictures: { testSplit: 1 } });
      assertEquals([all.train.count, all.test.count, contentOf(all)], [0, 20, contentOf(one)]);
    }),
});

Deno.test("a share set apart for validation keeps every image once, its class and its name", () => {
  const labels = Uint8Array.from({ length: 50 }, (_, n) => n < 30 ? 0 : n < 49 ? 1 : 2);
  const images = Uint8Array.from(labels.keys());
  const names = Array.from(labels.keys(), (n) => `${n}.png`);
  const train: LabeledImages = { images, labels, count: 50, shape: [1, 1, 1], names };
  const test = sliceImages(train, 0, 5);
  const whole: Dataset = { name: "set", classNames: ["a", "b", "c"], train, test, digest: "" };
  const split = splitValidation(whole, 0.2, 7);
  assertEquals(split, splitValidation(whole, 0.2, 7));
  assert(`${split.validation!.images}` !== `${splitValidation(whole, 0.2, 8).validation!.images}`);
  assertEquals(split.test, test);
  assertEquals([split.train.count, split.validation!.count], [40, 10]);
  const isClass = (part: LabeledImages, label: number) =>
    part.labels.filter((other) => other === label).length;
  assertEquals([0, 1, 2].map((label) => isClass(split.validation!, label)), [6, 4, 0]);
  for (const part of [split.train, split.validation!]) {
    assertEquals([...part.images], [...part.images].sort((a, b) => a - b));
    assertEquals(part.names, Array.from(part.images, (n) => names[n]));
    assertEquals(part.labels, part.images.map((n) => labels[n]));
  }
  const all = [...split.train.images, ...split.validation!.images].sort((a, b) => a - b);
  assertEquals(all, [...images]);
  assertThrows(() => splitValidation(split, 0.2, 7), DatasetError, "it has 10 images for that");
  for (const share of [0, 1, NaN]) {
    assertThrows(() => splitValidation(whole, share, 7), RangeError, "above 0 and below 1");
  }
  const single = { ...whole, train: selectImages(train, [0, 30, 49]) };
  assertThrows(() => splitValidation(single, 0.2, 7), DatasetError, "2 training images or more");
});

Deno.test("a split keeps every image once, and gives both parts of a class at least one", () => {
  const images = fc.array(fc.record({ label: fc.nat(5), digest: fc.string({ maxLength: 3 }) }), {
    minLength: 1,
  });
  const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
  fc.assert(fc.property(images, share, (images, share) => {
    const labels = Uint8Array.from(images, ({ label }) => label);
    const { train, test } = splitByContent(labels, images.map(({ digest }) => digest), share);
    const all = [...train, ...test].sort((a, b) => a - b);
    assertEquals(all, [...labels.keys()]);
    for (const label of new Set(labels)) {
      const countIn = (part: readonly number[]) => part.filter((n) => labels[n] === label).length;
      const [kept, tested] = [countIn(train), countIn(test)];
      assert(kept >= 1);
      assert(kept + tested < 2 || tested >= 1);
      const exact = (kept + tested) * share;
      assert(tested < 2 || kept < 2 || Math.abs(tested - exact) <= 0.5);
    }
  }));
});

Deno.test({
  name: "train and test folders beside each other are taken as they are",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      for (const testName of ["test", "val"]) {
        const place = `${folder}/${testName}`;
        await writeFiles(place, {
          ...classOf("train/x", 3),
          ...classOf("train/y", 1, 10),
          ...classOf(`${testName}/y`, 2, 20),
        });
        const { train, test, classNames, pictures } = await loadDataset(place);
        assertEquals(classNames, ["x", "y"]);
        assertEquals([train.labels.toSorted(), test.labels], [
          Uint8Array.of(0, 0, 0, 1),
          Uint8Array.of(1, 1),
        ]);
        assertEquals(pictures, { invert: false, darkOnLight: false });
      }
      const vehicles = `${folder}/vehicles`;
      await writeFiles(vehicles, { ...classOf("train", 2), ...classOf("tram", 2, 10) });
      assertEquals((await loadDataset(vehicles)).classNames, ["train", "tram"]);
    }),
});

Deno.test({
  name: "a folder that cannot be used is refused in one line that names the place and what to do",
  ignore,
  fn: () =>
    withTempDir(async (root) => {
      const two = { ...classOf("a", 2), ...classOf("b", 2, 10) };
      const many = Array.from({ length: 257 }, (_, n) => [`${n}/x.png`, drawing(n)]);
      const cases: [Record<string, Uint8Array | string>, string][] = [
        [{ "readme.txt": "" }, "expected a folder of pictures for each class, or four IDX files"],
        [
          classOf("a", 2),
          'expected a folder of pictures for each of 2 to 256 classes, found only "a"',
        ],
        [Object.fromEntries(many), "for each of 2 to 256 classes, found 257 folders"],
        [
          { ...two, "c/.hidden.png": "" },
          '/c": expected .png, .jpg, .webp, .gif or .bmp files, found nothing; add',
        ],
        [
          { ...two, "c/x.heic": "", "c/y.HEIC": "", "c/notes": "" },
          ".gif or .bmp files, found only 2 .heic, 1 without an ending; add pictures",
        ],
        [
          { ...two, "a/bad.png": "text", "b/in/cut.png": drawing(1).slice(0, 50) },
          "Cannot read 2 of the 6 pictures of ",
        ],
        [
          Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`${"ab"[n % 2]}/${n}.gif`, ""])),
          ") and 2 more; replace or remove them, or leave them out with --skip-unreadable",
        ],
        [{ "a/1.png": drawing(1), "b/1.png": drawing(2) }, "found 1 in each; add pictures"],
        [
          { ...classOf("train/a", 1), ...classOf("other/b/c", 1) },
          'one named test is expected; found "other"',
        ],
        [
          { ...classOf("train", 3), ...classOf("test", 2) },
          'in its folders "test", "train", found 3 pictures directly in "train", such as "0.png"',
        ],
        [
          { ...classOf("train/a", 1), ...classOf("train/b", 1), ...classOf("test", 2) },
          '/test": expected a folder of pictures for each class, found 2 pictures that are in none',
        ],
        [
          { ...classOf("test/a", 1), ...classOf("VAL/a", 1) },
          'expected a folder named train beside "VAL", "test", found none',
        ],
        [
          { ...classOf("train/a", 1), ...classOf("val/a", 1), ...classOf("Valid/a", 1) },
          '"Valid", "val" mean the same part; keep one of them',
        ],
        [
          { ...two, ...classOf("flowers/a", 1, 20), ...classOf("flowers/b", 1, 30) },
          'the folder "flowers/a" within a class is named as another class: a copy',
        ],
        [
          { ...classOf("a/Train", 2), ...classOf("a/Test", 2, 10), ...classOf("b/Train", 2, 20) },
          'the folder "a/Test" within a class is named as a part: put it above classes',
        ],
        [
          { ...classOf("photos/a", 1), ...classOf("photos/b", 1) },
          'found only "photos", which holds folders: try ',
        ],
        [
          { ...classOf("train/a", 1), ...classOf("train/b", 1), "test/c/1.png": drawing(1) },
          '/train" only, found "c"; add pictures there, or remove the folder',
        ],
        [
          { ...classOf("train/a", 1), ...classOf("train/b", 1), "test/a/1.txt": "" },
          '/test": expected a folder of pictures for each class, found none; add pictures',
        ],
      ];
      for (const [n, [files, expected]] of cases.entries()) {
        const folder = `${root}/${n}`;
        await writeFiles(folder, files);
        const { message } = await assertRejects(() => loadDataset(folder), DatasetError);
        assertStringIncludes(message, expected);
        assertEquals(message.split("\n").length, 1);
        assert(message.startsWith("Cannot ") && message.includes(folder), message);
      }
      for (const part of ["test", "val"]) {
        const folder = `${root}/${part}`;
        const trained = { ...classOf("train/a", 2), ...classOf("train/b", 2, 10) };
        const damaged = { [`${part}/a/1.png`]: "text", [`${part}/b/1.png`]: "text" };
        await writeFiles(folder, {
          ...trained,
          ...damaged,
          ...(part === "val" && classOf("test/a", 2)),
        });
        const pictures = { skipUnreadable: true };
        const { message } = await assertRejects(
          () => loadDataset(folder, { pictures }),
          DatasetError,
        );
        assertStringIncludes(message, `pictures of "${folder}": none of them can be read; replace`);
      }
      const wrong = { pictures: { testSplit: 1.5 } };
      await assertRejects(
        () => loadDataset(`${root}/6`, wrong),
        RangeError,
        "at most 1: found 1.5",
      );
      const stopped = { signal: AbortSignal.abort(new Error("stop")) };
      await assertRejects(() => loadDataset(`${root}/6`, stopped), Error, "stop");
    }),
});

Deno.test({
  name: "a class or folder whose name could steer a terminal is refused, an emoji is not",
  ignore,
  fn: () =>
    withTempDir(async (root) => {
      for (const [n, character] of ["\n", "\u001b[2J", "\u202e"].entries()) {
        const folders = [`${root}/${n}`, `${root}/${character}`];
        await writeFiles(folders[0], { ...classOf("a", 2), ...classOf(`b${character}`, 2, 10) });
        await writeFiles(folders[1], { ...classOf("a", 2), ...classOf("b", 2, 10) });
        for (const folder of folders) {
          const { message } = await assertRejects(() => loadDataset(folder), DatasetError);
          assertStringIncludes(message, "expected a name without line breaks and control");
          assertEquals(printable(message), message);
        }
      }
      const name = "\u{1f469}\u200d\u{1f680}";
      await writeFiles(`${root}/${name}`, { ...classOf("a", 2), ...classOf(name, 2, 10) });
      assertEquals((await loadDataset(`${root}/${name}`)).classNames, ["a", name]);
    }),
});

Deno.test({
  name: "a picture too large to be one is not read, and what refuses it is shown without controls",
  ignore,
  fn: () =>
    withTempDir(async (root) => {
      await writeFiles(root, { ...classOf("a", 2), ...classOf("b", 2, 10), "b/\u001b[2J.png": "" });
      await Deno.truncate(`${root}/b/\u001b[2J.png`, MAX_PICTURE_BYTES + 1); // sparse: no room
      const { message } = await assertRejects(() => loadDataset(root), DatasetError);
      const reason = `it has ${MAX_PICTURE_BYTES + 1} bytes, more than ${MAX_PICTURE_BYTES}`;
      assertEquals(
        message,
        `Cannot read 1 of the 5 pictures of "${root}": "b/\\u001b[2J.png" (${reason}); replace or ` +
          `remove them, or leave them out with --skip-unreadable`,
      );
    }),
});

Deno.test({
  name: "links are followed within the folder, never out of it",
  ignore: ignore || !canRunCommands(),
  fn: () =>
    withTempDir(async (root) => {
      const place = `${root}/set`;
      await writeFiles(root, { "out.png": drawing(9), ...classOf("out", 1) });
      await writeFiles(place, { ...classOf("a", 2), ...classOf("b", 1, 10) });
      // Making a link takes permission for all files, which tests have not.
      const link = (from: string, to: string) =>
        runDeno(["eval", `Deno.symlinkSync(...Deno.args)`, "--", from, to]);
      await link(`${place}/a/1.png`, `${place}/b/linked.png`);
      const { train, test } = await loadDataset(place);
      assertEquals(train.count + test.count, 4);
      const outside: [string, string][] = [["out.png", "b/x.png"], ["out", "c"], [
        "none",
        "b/y.png",
      ]];
      for (const [from, to] of outside) {
        await link(`${root}/${from}`, `${place}/${to}`);
        const { message } = await assertRejects(() => loadDataset(place), DatasetError);
        assertStringIncludes(message, to.includes(".") ? `"${to}" (it is a link that` : `/${to}"`);
        assertStringIncludes(message, ": it is a link that leads".slice(2));
        await Deno.remove(`${place}/${to}`);
      }
    }),
});
