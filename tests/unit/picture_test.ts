import { crc32, deflateSync } from "node:zlib";
import { encode } from "fast-png";
import jpeg from "jpeg-js";
import { upright } from "../../src/data/exif.ts";
import {
  channelsOf,
  fitPicture,
  greyOf,
  hasColor,
  hasLightBorder,
  invertPicture,
  padPicture,
  type Picture,
  pictureOf,
} from "../../src/data/picture.ts";
import { decodePicture } from "../../src/data/picture_file.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "../assert.ts";
import { granted } from "../permissions.ts";

const FIXTURES = new URL("../fixtures/pictures/", import.meta.url);
const ignore = !granted({ name: "read", path: FIXTURES });

/** What a viewer shows of each, as grey and in colours unless they are grey; see make.py beside them. */
const EXPECTED: Record<string, Expected> = JSON.parse(
  ignore ? "{}" : await Deno.readTextFile(new URL("expected.json", FIXTURES)),
);

interface Expected {
  readonly width: number;
  readonly height: number;
  readonly grey: string;
  readonly rgb?: string;
}

function fixture(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(name, FIXTURES));
}

/** Largest and mean difference to what is expected of a fixture. */
function differences(name: string, { width, height, pixels }: Picture) {
  const { grey, rgb, ...size } = EXPECTED[name];
  assertEquals({ width, height }, size, name);
  const area = width * height;
  const isColored = pixels.length > area && rgb !== undefined;
  const expected = Uint8Array.fromBase64(isColored ? rgb : grey);
  const distances = Array.from(
    pixels,
    (value, n) => Math.abs(value - expected[isColored ? n : n % area]),
  );
  return {
    largest: Math.max(...distances),
    mean: distances.reduce((sum, distance) => sum + distance, 0) / distances.length,
  };
}

function faultOf(bytes: Uint8Array): string {
  return assertThrows(() => decodePicture(bytes, "x"), SyntaxError).message
    .replace("Cannot read x as a picture: ", "");
}

Deno.test(
  "pictures of every kind are as another decoder has them, turned upright",
  { ignore },
  () => {
    for (const name of Object.keys(EXPECTED).filter((name) => name !== "runs.bmp")) {
      const picture = decodePicture(fixture(name), name);
      const { largest, mean } = differences(name, picture);
      // A JPEG stores brightness itself, which the other decoder takes from colours cut to 0..255; some
      // viewers fill the low bits of 16-bit colours, some leave them.
      const isColorJpeg = name.endsWith(".jpg") && !/^(rgb|grey|cmyk|ycck)/.test(name);
      const [most, average] = isColorJpeg ? [9, 0.2] : name === "bits16.bmp" ? [4, 2] : [1, 0.25];
      assert(largest <= most && mean <= average, `${name}: ${largest}, ${mean}`);
      assertEquals(picture.isAnimated, name.startsWith("animated"));
    }
  },
);

Deno.test(
  "colours of pictures of every kind are as another decoder has them, turned upright",
  { ignore },
  () => {
    for (const name of Object.keys(EXPECTED).filter((name) => name !== "runs.bmp")) {
      const picture = decodePicture(fixture(name), name, { channels: 3 });
      const { largest, mean } = differences(name, picture);
      // Other decoders mix inks and enlarge halved colours with other roundings.
      const [most, average] = name === "bits16.bmp" ? [7, 3] : [2, 0.3];
      assert(largest <= most && mean <= average, `${name}: ${largest}, ${mean}`);
      assertEquals(channelsOf(picture), 3, name);
      assertEquals(hasColor(picture), EXPECTED[name].rgb !== undefined, name);
      assertEquals(picture.isGrey, /^(grey|deep\.|interlaced_bits)/.test(name), name);
      const grey = greyOf(picture);
      assertEquals(grey.pixels.length, grey.width * grey.height);
    }
  },
);

Deno.test("what shows through a picture in colour is white, unless it is nearly white itself", () => {
  const shown = (...rgba: number[]) => [...pictureOf({ width: 2, height: 1, rgba }, 3).pixels];
  assertEquals(shown(200, 0, 0, 255, 0, 0, 0, 0), [200, 255, 0, 255, 0, 255]);
  assertEquals(shown(0, 100, 200, 51, 0, 0, 0, 0), [204, 255, 224, 255, 244, 255]);
  assertEquals(shown(255, 255, 250, 255, 9, 9, 9, 0), [255, 0, 255, 0, 250, 0]);
});

Deno.test("a tint is no colour, and one pixel of colour is", () => {
  const picture = (...pixels: number[]) => ({
    width: 2,
    height: 1,
    pixels: Uint8Array.from(pixels),
  });
  assertEquals(hasColor(picture(200, 100)), false);
  assertEquals(hasColor(picture(200, 100, 196, 96, 184, 84)), false);
  assertEquals(hasColor(picture(200, 100, 196, 96, 184, 83)), true);
});

Deno.test("a picture of colours is fitted, padded and turned plane by plane", () => {
  const planes = [[10, 20], [30, 50], [200, 0]];
  const picture = { width: 2, height: 1, pixels: Uint8Array.from(planes.flat()) };
  assertEquals([...fitPicture(picture, { width: 1, height: 1 }).pixels], [15, 40, 100]);
  assertEquals(upright(picture, 6), { width: 1, height: 2, pixels: picture.pixels });
  assertEquals([...upright(picture, 2).pixels], [20, 10, 50, 30, 0, 200]);
  assertEquals([...padPicture(picture, { width: 2, height: 2 }).pixels], [
    ...[10, 20, 10, 10, 30, 50, 30, 30, 200, 0, 0, 0],
  ]);
  assertEquals([...greyOf(picture).pixels], [43, 35]);
});

Deno.test(
  "the eight ways to hold a camera give one picture, from JPEG, PNG and WebP",
  { ignore },
  () => {
    const upright = decodePicture(fixture("turned_1.png"), "x");
    const at = (x: number, y: number) => upright.pixels[y * upright.width + x];
    const turned = decodePicture(fixture("turned_6.png"), "x"); // a quarter to the right
    assertEquals([turned.width, turned.height], [upright.height, upright.width]);
    assertEquals(turned.pixels[0], at(0, upright.height - 1));
    assertEquals(turned.pixels[turned.width - 1], at(0, 0));
    for (const ending of ["png", "jpg"]) {
      const all = [1, 2, 3, 4, 5, 6, 7, 8].map((n) =>
        decodePicture(fixture(`turned_${n}.${ending}`), "x").pixels.join()
      );
      assertEquals(new Set(all).size, 8, "without a symmetry, all differ");
    }
  },
);

Deno.test(
  "what a JPEG cannot be decoded from is named: bits, coding, kind of frame",
  { ignore },
  () => {
    const baseline = fixture("baseline.jpg");
    const frame = baseline.findIndex((byte, n) => byte === 0xff && baseline[n + 1] === 0xc0);
    const changed = (mark: number, depth = 8) => {
      const bytes = baseline.slice();
      [bytes[frame + 1], bytes[frame + 4]] = [mark, depth];
      return faultOf(bytes);
    };
    assertMatch(
      changed(0xc1, 12),
      /^it is a JPEG of 12 bits a sample, expected 8; save it as PNG$/,
    );
    assertMatch(changed(0xc9), /^it is a JPEG of arithmetic coding, which is not read; /);
    assertMatch(changed(0xc3), /^it is a lossless JPEG, which is not read; save it as PNG$/);
    assertMatch(changed(0xc5), /^it is a hierarchical JPEG, which is not read; /);
    assertMatch(changed(0xf7), /^it is JPEG-LS, which is not read; /);
    assertMatch(faultOf(fixture("runs.bmp")), /^it is a compressed BMP, which is not read; /);
  },
);

Deno.test("a file is what its content is, and what is no picture is named for what it is", {
  ignore,
}, () => {
  const text = (content: string) => new TextEncoder().encode(content);
  const latin = (content: string) => Uint8Array.from(content, (letter) => letter.charCodeAt(0));
  for (
    const [bytes, expected] of [
      [text(""), "empty"],
      [new Uint8Array(500), "nothing but zeros"],
      [text("\n<!DOCTYPE html><title>404</title>"), "an HTML page"],
      [text(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`), "an SVG drawing"],
      [text("<svg/>"), "an SVG drawing"],
      [text("version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer"],
      [text("no picture"), "text"],
      [latin("\0\0\0\x1cftypavif"), "an AVIF picture"],
      [latin("\0\0\0\x18ftypheic"), "a HEIC picture"],
      [latin("\0\0\0\x18ftypmp42"), "a video"],
      [latin("II*\0\x08\0\0\0"), "a TIFF picture"],
      [latin("8BPS\0\x01"), "a Photoshop document (PSD)"],
      [latin("\xff\x0a\0"), "a JPEG XL picture"],
      [latin("\0\0\0\x0cjP  \r\n"), "a JPEG 2000 picture"],
      [latin("PK\x03\x04"), "a ZIP archive"],
      [latin("%PDF-1.7"), "a PDF document"],
      [latin("\x01\x02\x03"), "of no known kind"],
    ] as const
  ) {
    const fault = faultOf(bytes);
    assertStringIncludes(fault, `it is ${expected}`);
    assertStringIncludes(fault, ", expected PNG, JPEG, WebP, GIF or BMP");
  }
});

Deno.test(
  "drawings on nothing differ from each other, dark ones before white, light ones before black",
  { ignore },
  () => {
    const drawing = (grey: number, columns: number) => {
      const data = new Uint8Array(4 * 64);
      for (let n = 0; n < 64; n++) if (n % 8 < columns) data.set([grey, grey, grey, 255], 4 * n);
      return decodePicture(encode({ width: 8, height: 8, data, channels: 4 }), "x").pixels;
    };
    assertEquals([...drawing(0, 3).subarray(0, 8)], [0, 0, 0, 255, 255, 255, 255, 255]);
    assertEquals([...drawing(100, 3).subarray(0, 5)], [100, 100, 100, 255, 255]);
    assertEquals([...drawing(255, 3).subarray(0, 5)], [255, 255, 255, 0, 0]);
    assertEquals([...drawing(255, 0)], new Array(64).fill(255));
  },
);

Deno.test("a large JPEG is decoded smaller where that is enough, and as bright", { ignore }, () => {
  const [width, height] = [400, 304];
  const data = Uint8Array.from({ length: 4 * width * height }, (_, at) => {
    const [x, y] = [(at >> 2) % width, Math.floor((at >> 2) / width)];
    return at % 4 === 3 ? 255 : 128 + 100 * Math.sin(x / 30) * Math.cos(y / 25);
  });
  const bytes = new Uint8Array(jpeg.encode({ width, height, data }, 90).data);
  const whole = decodePicture(bytes, "x");
  for (
    const [side, expected] of [[28, 100], [100, 200], [5, 50], [400, 400], [201, 400], [200, 400]]
  ) {
    const fit = { width: side, height: side };
    const picture = decodePicture(bytes, "x", { fit });
    assertEquals(picture.width, expected);
    const [exact, found] = [whole, picture].map((each) => fitPicture(each, fit).pixels);
    assert(exact.every((pixel, n) => Math.abs(pixel - found[n]) <= 4), `${side}`);
  }
});

Deno.test(
  "every cut of a picture is an error, but for what comes after its pixels",
  { ignore },
  () => {
    for (const name of Object.keys(EXPECTED).filter((name) => !/^(turned|runs)/.test(name))) {
      const bytes = fixture(name);
      for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 60)) {
        try {
          const picture = decodePicture(bytes.slice(0, length), "x");
          const { mean } = differences(name, picture);
          assert(length > bytes.length / 3 && mean <= 2, `${name} cut to ${length}: ${mean}`);
        } catch (error) {
          assert(error instanceof SyntaxError, `${name}: ${error}`);
          assertMatch(error.message, /^Cannot read x as a picture: [^\n]+$/);
        }
      }
    }
  },
);

Deno.test("a picture that would take too much memory is refused by its size, before any is taken", {
  ignore,
}, () => {
  const good = encode({ width: 9, height: 9, data: new Uint8Array(81), channels: 1 });
  good.set([0, 1, 0, 0, 0, 1, 0, 0], 16);
  assertEquals(
    faultOf(good),
    "it has 65536x65536 pixels, which take 49152 MiB to decode, expected at most 768; save it smaller",
  );
});

Deno.test(
  "pixels that inflate to more than the size says are refused, other chunks not looked at",
  { ignore },
  () => {
    const bomb = chunk("IDAT", [...deflateSync(new Uint8Array(100_000))]);
    const good = encode({ width: 2, height: 2, data: Uint8Array.of(1, 2, 3, 4), channels: 1 });
    const [start, end] = [indexOfChunk(good, "IDAT"), indexOfChunk(good, "IEND")];
    const bytes = Uint8Array.of(...good.slice(0, start), ...bomb, ...good.slice(end));
    assertEquals(faultOf(bytes), "it holds more than its size says");
    const profile = chunk("iCCP", [65, 0, 0, 1, 2, 3]);
    const odd = Uint8Array.of(...good.slice(0, start), ...profile, ...good.slice(start));
    assertEquals([...decodePicture(odd, "x").pixels], [1, 2, 3, 4]);
  },
);

/** Where a chunk begins, its length included. */
function indexOfChunk(bytes: Uint8Array, type: string): number {
  return new TextDecoder("latin1").decode(bytes).indexOf(type) - 4;
}

/** A chunk of less than 256 bytes. */
function chunk(type: string, data: readonly number[]): Uint8Array {
  const body = Uint8Array.of(...new TextEncoder().encode(type), ...data);
  const sum = new Uint8Array(4);
  new DataView(sum.buffer).setUint32(0, crc32(body));
  return Uint8Array.of(0, 0, 0, data.length, ...body, ...sum);
}

Deno.test("fitting keeps the shape, centres, keeps the mean, and leaves a fit picture alone", () => {
  const pixels = Uint8Array.from({ length: 28 * 28 }, (_, n) => n % 251);
  const same: Picture = { width: 28, height: 28, pixels };
  assertEquals(fitPicture(same, { width: 28, height: 28 }), same);
  const wide: Picture = { width: 8, height: 4, pixels: new Uint8Array(32).fill(200) };
  const fit = fitPicture(wide, { width: 4, height: 4 });
  assertEquals([...fit.pixels], [0, 0, 0, 0, ...Array(8).fill(200), 0, 0, 0, 0]);
  const checks: Picture = { width: 2, height: 2, pixels: Uint8Array.of(0, 100, 100, 200) };
  assertEquals([...fitPicture(checks, { width: 1, height: 1 }).pixels], [100]);
  assertEquals(fitPicture(checks, { width: 4, height: 4 }).pixels[15], 200);
  const line: Picture = { width: 1000, height: 1, pixels: new Uint8Array(1000).fill(9) };
  assertEquals(
    fitPicture(line, { width: 4, height: 4 }).pixels.filter((value) => value === 9).length,
    4,
  );
});

Deno.test("inverting twice changes nothing, and the border tells paper from darkness", () => {
  const pixels = new Uint8Array(25).fill(240);
  pixels[12] = 10;
  const paper: Picture = { width: 5, height: 5, pixels };
  assertEquals(invertPicture(invertPicture(paper)), paper);
  assertEquals([hasLightBorder(paper), hasLightBorder(invertPicture(paper))], [true, false]);
  assertEquals(hasLightBorder({ width: 1, height: 1, pixels: Uint8Array.of(255) }), true);
});
