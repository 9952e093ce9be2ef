/** Reading the pictures of a folder: on all cores, from a cache, within memory. */

import { deflateSync } from "node:zlib";
import {
  fittedPictures,
  type ReadOptions,
  type ReadPicture,
} from "../../src/data/fitted_pictures.ts";
import type { Channels } from "../../src/data/picture.ts";
import { fitFile, type FittedPicture } from "../../src/data/picture_file.ts";
import { PicturePool } from "../../src/data/picture_pool.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { canRunCommands, ROOT, runDeno } from "../cli/command.ts";
import { chunkBytes } from "../fuzz/pictures.ts";
import { concat } from "../fuzz/mutate.ts";
import { granted } from "../permissions.ts";
import { canUseTemp, withTempDir } from "../temp.ts";

const FIXTURES = new URL("../fixtures/pictures/", import.meta.url);
const SIZE = { width: 9, height: 7 };

function tasks() {
  return Array.from(Deno.readDirSync(FIXTURES), ({ name }) => name).sort()
    .filter((name) => /\.(bmp|gif|jpg|png|webp)$/.test(name))
    .map((name) => {
      const bytes = Deno.readFileSync(new URL(name, FIXTURES));
      const channels: Channels = name.endsWith("webp") ? 1 : 3;
      const findColor = channels === 1;
      return { bytes, label: name, size: SIZE, channels, invert: name.endsWith("gif"), findColor };
    });
}

for (const threads of [0, 2]) {
  Deno.test(
    `pictures decoded by ${threads} other threads are those of this one, and so are errors`,
    { ignore: !granted({ name: "read" }) },
    async () => {
      using pool = new PicturePool(threads);
      await Promise.all(
        tasks().map(async (task) => {
          let expected: FittedPicture;
          try {
            expected = fitFile(task);
          } catch (error) {
            await assertRejects(() => pool.fit(task), SyntaxError, (error as Error).message);
            return;
          }
          assertEquals(await pool.fit(task), expected);
        }),
      );
    },
  );
}

/** A BMP of noise, large enough for a cache. */
function largeBmp(seed: number): Uint8Array<ArrayBuffer> {
  const [width, height] = [1200, 800];
  const bytes = new Uint8Array(54 + 3 * width * height);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  for (const [at, value] of [[2, bytes.length], [10, 54], [14, 40], [18, width], [22, height]]) {
    view.setUint32(at, value, true);
  }
  [bytes[26], bytes[28]] = [1, 24];
  const random = createRandom(seed, "bmp");
  for (let n = 54; n < bytes.length; n += 97) bytes[n] = random.below(256);
  return bytes;
}

Deno.test(
  "pictures are decoded once: what a cache holds is the same, and a damaged one is made anew",
  { ignore: !canUseTemp() },
  () =>
    withTempDir(async (folder) => {
      const paths = [1, 2].map((n) => `${folder}/${n}.bmp`);
      for (const [n, path] of paths.entries()) await Deno.writeFile(path, largeBmp(n));
      await Deno.writeTextFile(`${folder}/3.png`, "no picture");
      const cacheDir = `${folder}/cache/below`;
      const read = async (width = SIZE.width, other: Partial<ReadOptions> = {}) => {
        const size = { ...SIZE, width };
        const options = {
          folder,
          cacheDir,
          label: "it",
          size,
          channels: 1,
          invert: false,
        } as const;
        const all = await Array.fromAsync(fittedPictures([...paths, `${folder}/3.png`], {
          ...options,
          ...other,
        }));
        assert("error" in all[2] && all[2].error instanceof SyntaxError);
        return all.slice(0, 2) as Extract<ReadPicture, { digest: string }>[];
      };
      const cachePath = async () =>
        `${cacheDir}/${(await Array.fromAsync(Deno.readDir(cacheDir)))[0].name}`;
      const first = await read();
      const second = await read();
      assertEquals(first.map(({ isCached }) => isCached), [false, false]);
      assertEquals(second, first.map((each) => ({ ...each, isCached: true })));
      const content = await Deno.readFile(await cachePath());
      for (
        const [at, length] of [[content.length - 1, content.length], [0, content.length], [0, 50]]
      ) {
        const damaged = content.slice(0, length);
        damaged[at] ^= 1;
        await Deno.writeFile(await cachePath(), damaged);
        assertEquals(await read(), first);
        assertEquals(await Deno.readFile(await cachePath()), content);
      }
      // Another picture, another size.
      await Deno.writeFile(paths[1], largeBmp(3));
      assertEquals((await read()).map(({ isCached }) => isCached), [true, false]);
      // Whether there is colour is looked for once; colours are kept beside.
      const sought = await read(SIZE.width, { findColor: true });
      const isCached = async (other: Partial<ReadOptions>) =>
        (await read(SIZE.width, other)).map((each) => [each.isCached, each.picture.hasColor]);
      assertEquals(sought.map((each) => each.isCached), [false, false]);
      assertEquals(await isCached({ findColor: true }), [[true, false], [true, false]]);
      assertEquals(await isCached({ channels: 3 }), [[false, false], [false, false]]);
      assertEquals(await isCached({ channels: 3 }), [[true, false], [true, false]]);
      for (let width = 10; width < 20; width++) {
        assertEquals((await read(width))[0].isCached, false);
      }
      assertEquals((await Array.fromAsync(Deno.readDir(cacheDir))).length, 8);
    }),
);

/** A grey JPEG of any size in few bytes: each block is two bits, "no difference" and "no more". */
function flatJpeg(width: number, height: number): Uint8Array<ArrayBuffer> {
  const segment = (mark: number, ...data: number[]) => [0xff, mark, 0, data.length + 2, ...data];
  const size = [height >> 8, height & 255, width >> 8, width & 255];
  const code = [1, ...new Array(15).fill(0), 0];
  return concat(
    Uint8Array.of(
      ...[0xff, 0xd8, ...segment(0xdb, 0, ...new Array(64).fill(1))],
      ...segment(0xc0, 8, ...size, 1, 1, 0x11, 0),
      ...[...segment(0xc4, 0x00, ...code), ...segment(0xc4, 0x10, ...code)],
      ...segment(0xda, 1, 1, 0, 0, 63, 0),
    ),
    new Uint8Array(Math.ceil(width / 8) * Math.ceil(height / 8) / 4),
    Uint8Array.of(0xff, 0xd9),
  );
}

/** A grey-green PNG. */
function flatPng(width: number, height: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2], 8);
  const rows = new Uint8Array(height * (1 + 3 * width));
  return concat(
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunkBytes({ type: "IHDR", data: header }),
    chunkBytes({ type: "IDAT", data: deflateSync(rows, { level: 1 }) }),
    chunkBytes({ type: "IEND", data: new Uint8Array() }),
  );
}

Deno.test({
  name: "a photo of 48 or 192 megapixels is decoded in 64 MiB, a PNG of 48 in what its limit says",
  ignore: !canRunCommands() || Deno.build.os !== "linux",
  fn: () =>
    withTempDir(async (folder) => {
      const files = {
        "48.jpg": [flatJpeg(8064, 6048), 64],
        "192.jpg": [flatJpeg(16_128, 12_096), 64],
        "48.png": [flatPng(8064, 6048), 768 + 256], // and the inflated rows that are only counted
      } as const;
      for (const [name, [bytes, most]] of Object.entries(files)) {
        await Deno.writeFile(`${folder}/${name}`, bytes);
        const code = `
          import { fitFile } from "./src/data/picture_file.ts";
          const size = { width: 28, height: 28 };
          const peak = () => Number(/VmHWM:\\s*(\\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))[1]);
          const small = Deno.readFileSync("tests/fixtures/pictures/baseline.jpg");
          fitFile({ bytes: small, label: "it", size, invert: false });
          const before = peak();
          const bytes = Deno.readFileSync(${JSON.stringify(`${folder}/${name}`)});
          const { pixels } = fitFile({ bytes, label: "it", size, invert: false });
          console.log(JSON.stringify({ grown: (peak() - before) / 1024, middle: pixels[28 * 14 + 14] }));
        `;
        const { code: status, stdout, stderr } = await runDeno(["eval", code], { cwd: ROOT });
        assertEquals([status, stderr], [0, ""], name);
        const { grown, middle } = JSON.parse(stdout);
        assertEquals(middle, name.endsWith("jpg") ? 128 : 0, name);
        assert(grown < most, `${name}: ${grown} MiB`);
      }
    }),
});
