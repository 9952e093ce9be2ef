/** Which files of a folder become a dataset, and what is said of the others. */

import { pictureNames } from "../../src/cli/predict_inputs.ts";
import type { Dataset } from "../../src/data/dataset.ts";
import { DatasetError, UnreadablePicturesError } from "../../src/data/errors.ts";
import { loadDataset } from "../../src/data/load.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../assert.ts";
import { canRunCommands } from "../cli/command.ts";
import { classOf, drawing, jpegOf, writeFiles } from "../picture_folder.ts";
import { canUseTemp, withTempDir } from "../temp.ts";

const ignore = !canUseTemp();

/** Names of the files of each part, sorted. */
function partsOf({ train, validation, test }: Dataset): string[][] {
  return [train, ...(validation ? [validation] : []), test].map(({ names }) => names!.toSorted());
}

Deno.test({
  name: "folders for training, validation and test are known by many names, nested ones too",
  ignore,
  fn: () =>
    withTempDir(async (root) => {
      const layouts: [train: string, validation: string, test: string][] = [
        ["train", "valid", "test"],
        ["Training", "validation", "TESTING"],
        ["TRAIN", "dev", "Test"],
        ["training_set", "val_set", "test-set"],
        ["seg_train/seg_train", "seg_dev", "seg_test/seg_test"],
        ["trainset", "Val", "testset"],
      ];
      for (const [n, [train, validation, test]] of layouts.entries()) {
        const folder = `${root}/${n}`;
        await writeFiles(folder, {
          ...classOf(`${train}/x`, 2),
          ...classOf(`${train}/y`, 2, 10),
          ...classOf(`${validation}/x`, 1, 20),
          ...classOf(`${validation}/y`, 1, 30),
          ...classOf(`${test}/y`, 1, 40),
          ...classOf("seg_pred/seg_pred", 3, 50),
          "notes/about.txt": "",
        });
        const dataset = await loadDataset(folder);
        assertEquals(partsOf(dataset), [
          [`${train}/x/0.png`, `${train}/x/1.png`, `${train}/y/0.png`, `${train}/y/1.png`],
          [`${validation}/x/0.png`, `${validation}/y/0.png`],
          [`${test}/y/0.png`],
        ]);
        assertEquals([...dataset.test.labels], [1]);
        assertEquals(dataset.notes, [
          'left out the folders "seg_pred", "notes"',
          `"${test}" has no pictures of "x"`,
        ]);
        // Where nothing else changes, what the model is chosen by is part of what it was made from.
        await writeFiles(folder, classOf(`${validation}/y`, 1, 60));
        assert((await loadDataset(folder)).digest !== dataset.digest);
      }
    }),
});

Deno.test({
  name:
    "without a test folder, the validation folder or a share of training is tested on, and said",
  ignore,
  fn: () =>
    withTempDir(async (root) => {
      const train = { ...classOf("train/x", 5), ...classOf("train/y", 5, 10) };
      await writeFiles(`${root}/val`, { ...train, ...classOf("val/x", 1), ...classOf("val/y", 1) });
      const { validation, test, notes } = await loadDataset(`${root}/val`);
      assertEquals([validation, test.count], [undefined, 2]);
      assertEquals(notes, ['there is no test folder: the pictures of "val" are tested on']);
      await writeFiles(`${root}/alone`, train);
      const alone = await loadDataset(`${root}/alone`);
      assertEquals([alone.train.count, alone.test.count, alone.pictures?.testSplit], [8, 2, 0.2]);
      assertEquals(alone.notes, [
        'there is no test folder: a share of "train" is kept back to test on',
      ]);
    }),
});

Deno.test({
  name: "every file of a class is used or counted by its kind; what systems leave is passed over",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const jpeg = jpegOf(new Uint8Array(64).map((_, n) => n), [8, 8]);
      const used = {
        "a/0.jfif": jpeg,
        "a/1.JPE": jpeg,
        "a/2.Jpeg": jpeg,
        "a/day 1/a/3.png": drawing(1),
        "a/4": drawing(2),
        "b/5.jpg?w=200": jpeg,
        "b/6.png": drawing(3),
        "b/7.webp": drawing(4), // known by its content
      };
      const strays = ["__MACOSX/a/._0.jfif", "a/@eaDir/0.png", "a/.DS_Store", "a/._6.png"]
        .concat("b/Thumbs.db", "b/desktop.ini", ".git/x/1.png", "b/.ipynb_checkpoints/6.png");
      await writeFiles(folder, {
        ...used,
        ...Object.fromEntries(strays.map((name) => [name, drawing(9)])),
        ...{ "a/notes.TXT": "", "b/more.txt": "", "b/x.heic": "", "b/Makefile": "" },
        "loose.png": drawing(5),
        "readme.md": "",
      });
      const { train, test, classNames, notes } = await loadDataset(folder);
      assertEquals(classNames, ["a", "b"]);
      assertEquals([...train.names!, ...test.names!].sort(), Object.keys(used).sort());
      assertEquals(notes, [
        "left out what is no picture: 2 .txt, 1 .heic, 1 without an ending",
        'left out 1 picture in no class\'s folder, such as "loose.png"',
        'took pictures of 2 folders within classes as of the class, such as "a/day 1"',
        "made 4 pictures of three channels grey",
      ]);
      const parted = { ...classOf("in/train/a", 2), ...classOf("in/train/b", 2, 10) };
      await writeFiles(folder, { ...parted, "in/beside.png": drawing(6) });
      const { notes: beside } = await loadDataset(`${folder}/in`);
      assertEquals(beside?.[1], 'left out 1 picture in no class\'s folder, such as "beside.png"');
      await Deno.remove(`${folder}/in`, { recursive: true });
      const lines: string[] = [];
      const named = await Array.fromAsync(pictureNames([folder], (line) => lines.push(line)));
      const expected = [...Object.keys(used), "loose.png"].map((name) => `${folder}/${name}`);
      assertEquals(named, expected.sort());
      assertEquals(lines, [`"${folder}": left out 2 .txt, 1 .heic, 1 .md, 1 without an ending`]);
    }),
});

Deno.test({
  name: "pictures that cannot be read are named all at once, or left out and counted",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeFiles(folder, { ...classOf("a", 9), ...classOf("b", 9, 10) });
      const whole = await loadDataset(folder);
      const bad = {
        "a/cut.png": drawing(1).slice(0, 40),
        "a/x/text.gif": "text",
        "b/none.jpg": "",
      };
      await writeFiles(folder, bad);
      const error = await assertRejects(() => loadDataset(folder), UnreadablePicturesError);
      assertEquals(error.unreadable.map(({ name }) => name), Object.keys(bad));
      assertStringIncludes(
        error.message,
        `Cannot read 3 of the 21 pictures of "${folder}": "a/cut`,
      );
      for (const name of Object.keys(bad)) assertStringIncludes(error.message, `"${name}" (`);
      const skipped = await loadDataset(folder, { pictures: { skipUnreadable: true } });
      assertEquals([skipped.digest, partsOf(skipped)], [whole.digest, partsOf(whole)]);
      assertEquals(skipped.pictures?.unreadable, error.unreadable);
      assertStringIncludes(
        skipped.notes!.at(-1)!,
        "left out 3 of 21 pictures, which cannot be read: ",
      );
      await writeFiles(folder, { "c/only.png": "text" });
      await assertRejects(
        () => loadDataset(folder, { pictures: { skipUnreadable: true } }),
        DatasetError,
        `"c" of "${folder}": none of its pictures can be read`,
      );
    }),
});

Deno.test({
  name: "names of classes compare however their accents are written, once in a part",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [composed, apart] = ["caf\u00e9", "cafe\u0301"];
      await writeFiles(folder, {
        ...classOf(`train/${apart}`, 2),
        ...classOf("train/zoo", 2, 10),
        ...classOf(`test/${composed}`, 1, 20),
        ...classOf("test/zoo", 1, 30),
      });
      const { classNames, test } = await loadDataset(folder);
      assertEquals([classNames, [...test.labels].sort()], [[composed, "zoo"], [0, 1]]);
      await writeFiles(folder, classOf(`train/${composed}`, 1, 40));
      const { message } = await assertRejects(() => loadDataset(folder), DatasetError);
      assertStringIncludes(message, `two of its folders are named "`);
    }),
});

Deno.test({
  name: "a name that is not UTF-8 is said to be that, and a folder behind a link is read",
  ignore: ignore || !canRunCommands() || Deno.build.os !== "linux",
  fn: () =>
    withTempDir(async (root) => {
      const folder = `${root}/set`;
      await writeFiles(folder, { ...classOf("a", 5), ...classOf("b", 5, 10) });
      const bash = async (script: string) => {
        const { success } = await new Deno.Command("bash", { args: ["-c", script] }).output();
        assert(success, script);
      };
      await bash(`ln -s set ${root}/link && ln -s ../a ${folder}/a/loop`);
      await Deno.remove(`${folder}/a/loop`);
      const { digest } = await loadDataset(folder);
      assertEquals((await loadDataset(`${root}/link`)).digest, digest);
      await bash(`ln -s ../a ${folder}/a/loop; cp ${folder}/a/0.png ${folder}/a/$'caf\\xe9.png'`);
      const { unreadable } = await assertRejects(
        () => loadDataset(folder),
        UnreadablePicturesError,
      );
      assertEquals(unreadable, [
        { name: "a/caf\ufffd.png", reason: "its name is not UTF-8; rename it" },
        { name: "a/loop", reason: "it is a link to a folder that it lies in" },
      ]);
      const named = await Array.fromAsync(pictureNames([`${folder}/a`]));
      assertEquals(named.filter((name) => typeof name === "string").length, 5);
      await bash(`mv ${folder}/b ${folder}/$'caf\\xe9'`);
      const { message } = await assertRejects(() => loadDataset(folder), DatasetError);
      assertStringIncludes(message, "its name is not UTF-8; rename it");
    }),
});
