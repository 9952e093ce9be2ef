import { crc32, deflateSync } from "node:zlib";
import { encode } from "fast-png";
import jpeg from "jpeg-js";
import {
  decodePicture,
  fitPicture,
  type GreyPicture,
  hasLightBorder,
  invertPicture,
} from "../../src/data/picture.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";

function decodeEncoded(image: Parameters<typeof encode>[0], background?: number): number[] {
  return [...decodePicture(encode(image), "test", background).pixels];
}

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

for (const depth of [1, 2, 4] as const) {
  Deno.test(`a grey PNG of ${depth} bit a sample spreads over black to white, rows on whole bytes`, () => {
    const [width, height, largest] = [5, 3, 2 ** depth - 1];
    const samples = Array.from({ length: width * height }, (_, n) => n % (largest + 1));
    const rowBytes = Math.ceil(width * depth / 8);
    const data = new Uint8Array(height * rowBytes);
    samples.forEach((sample, n) => {
      const bit = n % width * depth;
      data[Math.floor(n / width) * rowBytes + (bit >> 3)] |= sample << (8 - depth - bit % 8);
    });
    const pixels = decodeEncoded({ width, height, data, depth, channels: 1 });
    assertEquals(pixels, samples.map((sample) => Math.round(sample * 255 / largest)));
  });
}

Deno.test("a PNG of 8 and of 16 bit has its grey, its luma and what shows through it", () => {
  const size = { width: 2, height: 1 };
  const wide = Uint16Array.of(0, 65_535);
  assertEquals(decodeEncoded({ ...size, data: Uint8Array.of(7, 200), channels: 1 }), [7, 200]);
  assertEquals(decodeEncoded({ ...size, data: wide, depth: 16, channels: 1 }), [0, 255]);
  const color = Uint8Array.of(255, 0, 0, 0, 0, 255);
  assertEquals(decodeEncoded({ ...size, data: color, channels: 3 }), [76, 29]);
  const color16 = Uint16Array.from(color, (value) => value * 257);
  assertEquals(decodeEncoded({ ...size, data: color16, depth: 16, channels: 3 }), [76, 29]);
  const grey = { ...size, data: Uint8Array.of(100, 51, 200, 0), channels: 2 };
  assertEquals([decodeEncoded(grey), decodeEncoded(grey, 255)], [[20, 0], [224, 255]]);
  const rgba = { ...size, data: Uint8Array.of(255, 255, 255, 128, 9, 9, 9, 0), channels: 4 };
  assertEquals([decodeEncoded(rgba), decodeEncoded(rgba, 255)], [[128, 0], [255, 255]]);
});

Deno.test("a PNG with a palette takes its colours, and their opacity", () => {
  const image = { width: 4, height: 1, data: Uint8Array.of(0b00_01_10_01), depth: 2, channels: 1 };
  const opaque = [[0, 0, 0], [255, 255, 255], [255, 0, 0]];
  assertEquals(decodeEncoded({ ...image, depth: 2, palette: opaque }), [0, 255, 76, 255]);
  // The encoder writes no opacities: their chunk goes between palette and data.
  const bytes = encode({ ...image, depth: 2, palette: opaque });
  const at = indexOfChunk(bytes, "IDAT");
  const clear = Uint8Array.of(
    ...bytes.slice(0, at),
    ...chunk("tRNS", [255, 0]),
    ...bytes.slice(at),
  );
  assertEquals([...decodePicture(clear, "test").pixels], [0, 0, 76, 0]);
  assertEquals([...decodePicture(clear, "test", 255).pixels], [0, 255, 76, 255]);
});

/** Files made byte by byte, as the encoder writes neither. */
Deno.test("a PNG that the decoder would get wrong is refused: interlaced bits, places in no palette", () => {
  const picture = ({ depth, type, interlaced }: {
    readonly depth: number;
    readonly type: number;
    readonly interlaced: boolean;
  }) => {
    // A picture of 2 x 1 pixels: interlaced, each is a pass and a row of its own.
    const rows = interlaced ? [0, 0x50, 0, 0xa0] : [0, 0x50, 0xa0];
    return Uint8Array.of(
      ...encode({ width: 1, height: 1, data: Uint8Array.of(0), channels: 1 }).slice(0, 8),
      ...chunk("IHDR", [0, 0, 0, 2, 0, 0, 0, 1, depth, type, 0, 0, Number(interlaced)]),
      ...chunk("IDAT", [...deflateSync(Uint8Array.from(rows))]),
      ...chunk("IEND", []),
    );
  };
  for (const interlaced of [false, true]) {
    const grey = picture({ depth: 8, type: 0, interlaced });
    assertEquals([...decodePicture(grey, "test").pixels], [0x50, 0xa0]);
    const places = picture({ depth: 8, type: 3, interlaced });
    assertThrows(() => decodePicture(places, "x"), SyntaxError, "its palette is missing");
  }
  for (const depth of [1, 2, 4]) {
    const bits = picture({ depth, type: 0, interlaced: true });
    const expected = `it is interlaced with ${depth} bits a sample; save it without interlacing`;
    assertThrows(() => decodePicture(bits, "x"), SyntaxError, expected);
  }
});

Deno.test("a JPEG is decoded to grey within its loss", () => {
  const data = new Uint8Array(4 * 16 * 16);
  for (let n = 0; n < 256; n++) data.set(n < 128 ? [250, 250, 250, 255] : [5, 5, 5, 255], 4 * n);
  const bytes = jpeg.encode({ width: 16, height: 16, data }, 95).data;
  const { width, height, pixels } = decodePicture(new Uint8Array(bytes), "test");
  assertEquals([width, height], [16, 16]);
  assert(Math.abs(pixels[0] - 250) < 6 && Math.abs(pixels[255] - 5) < 6, `${pixels}`);
});

Deno.test("a file that is no picture, is damaged or claims too much is named in one line", () => {
  const good = encode({ width: 9, height: 9, data: new Uint8Array(81), channels: 1 });
  const flipped = good.slice();
  flipped[45] ^= 0xff;
  const huge = good.slice();
  huge.set([0, 1, 0, 0], 16);
  const jpegHead = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16, 1);
  for (const bytes of [new Uint8Array(), good.slice(0, 20), good.slice(0, 50), flipped, jpegHead]) {
    const { message } = assertThrows(() => decodePicture(bytes, '"x"'), SyntaxError);
    assertMatch(message, /^Cannot read "x" as a picture: [^\n]+$/);
  }
  assertThrows(() => decodePicture(huge, "x"), SyntaxError, "it has 65536x9 pixels, expected 1x1");
});

Deno.test("pixels that inflate to more than the size says are refused, other chunks not looked at", () => {
  const bomb = chunk("IDAT", [...deflateSync(new Uint8Array(100_000))]);
  const good = encode({ width: 2, height: 2, data: Uint8Array.of(1, 2, 3, 4), channels: 1 });
  const [start, end] = [indexOfChunk(good, "IDAT"), indexOfChunk(good, "IEND")];
  const bytes = Uint8Array.of(...good.slice(0, start), ...bomb, ...good.slice(end));
  assertThrows(() => decodePicture(bytes, "x"), SyntaxError, "it holds more than its size says");
  const profile = chunk("iCCP", [65, 0, 0, 1, 2, 3]);
  const odd = Uint8Array.of(...good.slice(0, start), ...profile, ...good.slice(start));
  assertEquals([...decodePicture(odd, "x").pixels], [1, 2, 3, 4]);
});

Deno.test("every cut of a picture is an error or a picture, never something else", () => {
  const noise = Uint8Array.from({ length: 400 }, (_, n) => (n * n * 7919) & 255);
  const image = { width: 20, height: 20, data: noise, channels: 1 };
  const bytes = encode(image);
  for (let length = 0; length < bytes.length; length += 3) {
    try {
      assertEquals(decodePicture(bytes.slice(0, length), "x").pixels.length, 400);
    } catch (error) {
      assert(error instanceof SyntaxError, `${error}`);
    }
  }
});

Deno.test("fitting keeps the shape, centres, keeps the mean, and leaves a fit picture alone", () => {
  const pixels = Uint8Array.from({ length: 28 * 28 }, (_, n) => n % 251);
  const same: GreyPicture = { width: 28, height: 28, pixels };
  assertEquals(fitPicture(same, { width: 28, height: 28 }), same);
  const wide: GreyPicture = { width: 8, height: 4, pixels: new Uint8Array(32).fill(200) };
  const fit = fitPicture(wide, { width: 4, height: 4 });
  assertEquals([...fit.pixels], [0, 0, 0, 0, ...Array(8).fill(200), 0, 0, 0, 0]);
  const checks: GreyPicture = { width: 2, height: 2, pixels: Uint8Array.of(0, 100, 100, 200) };
  assertEquals([...fitPicture(checks, { width: 1, height: 1 }).pixels], [100]);
  assertEquals(fitPicture(checks, { width: 4, height: 4 }).pixels[15], 200);
  const line: GreyPicture = { width: 1000, height: 1, pixels: new Uint8Array(1000).fill(9) };
  assertEquals(
    fitPicture(line, { width: 4, height: 4 }).pixels.filter((value) => value === 9).length,
    4,
  );
});

Deno.test("inverting twice changes nothing, and the border tells paper from darkness", () => {
  const pixels = new Uint8Array(25).fill(240);
  pixels[12] = 10;
  const paper: GreyPicture = { width: 5, height: 5, pixels };
  assertEquals(invertPicture(invertPicture(paper)), paper);
  assertEquals([hasLightBorder(paper), hasLightBorder(invertPicture(paper))], [true, false]);
  assertEquals(hasLightBorder({ width: 1, height: 1, pixels: Uint8Array.of(255) }), true);
});
