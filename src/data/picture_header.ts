/** What a picture file says of itself, checked before a decoder believes it. */

import { exifOrientation, type Orientation } from "./exif.ts";
import { PictureFault, type PictureKind } from "./picture_kind.ts";
import { concat, neededChunks } from "./png_chunks.ts";

/** What decoding a file needs to know beforehand. */
export interface PictureHeader {
  readonly kind: PictureKind;
  /** In pixels, as stored: before it is turned upright. */
  readonly width: number;
  readonly height: number;
  readonly orientation: Orientation;
  /** Whether it holds more pictures than the one that is taken, its first. */
  readonly isAnimated: boolean;
  /** Whether its pixels have one channel, beside opacity. */
  readonly isGrey: boolean;
  /** Makes what the decoder gets: the file, checked, without what a decoder might stumble over. */
  readonly content: () => Uint8Array;
  /** Samples whose coefficients a decoder of JPEG holds all at once. */
  readonly bufferedSamples?: number;
}

/** JPEG's frames that are decoded: baseline, extended and progressive, each by Huffman's code. */
const [BASELINE, EXTENDED, PROGRESSIVE] = [0xc0, 0xc1, 0xc2];
const JPEG_SCAN = 0xda;
const [APP1, END_OF_JPEG] = [0xe1, 0xd9];
/** A progressive file has about ten. */
const USUAL_SCANS = 32;
const MAX_SCANNED_PIXELS = USUAL_SCANS * 32 * 2 ** 20;
/** Every block of 8 x 8 takes a bit or more. */
const MAX_JPEG_PIXELS_A_BYTE = 512;

/** Reads what a file says of itself.
 *
 * @throws {PictureFault} If it is cut off, damaged, or of a kind that is not decoded.
 */
export function pictureHeader(bytes: Uint8Array, kind: PictureKind): PictureHeader {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const header = { kind, ...STILL, content: () => bytes, ...READERS[kind](bytes, view) };
    if (header.width > 0 && header.height > 0) return header;
    throw new PictureFault(`it has ${header.width}x${header.height} pixels`);
  } catch (error) {
    // What a view says of an offset beyond the file's end.
    if (error instanceof RangeError) throw new PictureFault("the file is cut off");
    throw error;
  }
}

type Found = Partial<PictureHeader> & Pick<PictureHeader, "width" | "height">;

const READERS: {
  readonly [Kind in PictureKind]: (bytes: Uint8Array, view: DataView) => Found;
} = { bmp: readBmp, gif: readGif, jpeg: readJpeg, png: readPng, webp: readWebp };

/** Colour types of PNG that are grey, without and with opacity. */
const GREY_PNG = [0, 4];

/** What a block of a GIF begins with. */
const [EXTENSION, IMAGE, END_OF_GIF] = [0x21, 0x2c, 0x3b];

const STILL = { orientation: 1, isAnimated: false, isGrey: false } as const;

function readBmp(bytes: Uint8Array, view: DataView): Found {
  const isOld = view.getUint32(14, true) === 12;
  const [width, height] = isOld
    ? [view.getUint16(18, true), view.getUint16(20, true)]
    : [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
  const depth = view.getUint16(isOld ? 24 : 28, true);
  const compression = isOld ? 0 : view.getUint32(30, true);
  if (![0, 3, 6].includes(compression)) {
    throw new PictureFault("it is a compressed BMP, which is not read; save it as PNG");
  }
  const rowBytes = 4 * Math.ceil(width * depth / 32);
  if (view.getUint32(10, true) + rowBytes * height > bytes.length) {
    throw new PictureFault("the file is cut off");
  }
  return { width, height };
}

function readGif(bytes: Uint8Array, view: DataView): Found {
  const [width, height] = [view.getUint16(6, true), view.getUint16(8, true)];
  const tableBytes = (flags: number) => flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
  let at = 13 + tableBytes(view.getUint8(10));
  const skipBlocks = () => {
    for (let length = view.getUint8(at++); length > 0; length = view.getUint8(at++)) at += length;
  };
  let firstEnd = 0;
  for (;;) {
    const mark = firstEnd === 0 ? view.getUint8(at++) : bytes[at++];
    if (mark === IMAGE && firstEnd > 0 || mark !== IMAGE && mark !== EXTENSION) {
      if (firstEnd === 0) throw new PictureFault("it holds no picture");
      // The decoder wants the end that some files lack, and has no need of further frames.
      const content = () => concat([bytes.subarray(0, firstEnd), Uint8Array.of(END_OF_GIF)]);
      return { width, height, isAnimated: mark === IMAGE, content };
    }
    at += mark === EXTENSION ? 1 : 10 + tableBytes(view.getUint8(at + 8));
    skipBlocks();
    if (mark === IMAGE) firstEnd = at;
  }
}

function readPng(bytes: Uint8Array, view: DataView): Found {
  if (bytes.length < 33) throw new PictureFault("the file is cut off");
  const { needed, exif, isAnimated } = neededChunks(bytes);
  return {
    width: view.getUint32(16),
    height: view.getUint32(20),
    orientation: exif === undefined ? 1 : exifOrientation(exif),
    isAnimated,
    isGrey: GREY_PNG.includes(view.getUint8(25)),
    content: needed,
  };
}

function readWebp(bytes: Uint8Array, view: DataView): Found {
  const chunks = riffChunks(bytes, 12, Math.min(bytes.length, 8 + view.getUint32(4, true)));
  if (8 + view.getUint32(4, true) > bytes.length) throw new PictureFault("the file is cut off");
  const find = (name: string) => chunks.find(({ type }) => type === name)?.data;
  const exif = find("EXIF");
  const orientation = exif === undefined ? 1 : exifOrientation(exif);
  const extended = find("VP8X");
  const frame = find("ANMF");
  const uint24 = (data: Uint8Array, at: number) =>
    data[at] | data[at + 1] << 8 | data[at + 2] << 16;
  if (extended === undefined || frame === undefined) {
    return { ...webpSize(chunks), orientation };
  }
  // The decoder takes no animation: the first frame becomes a picture of its own.
  const [x, y] = [uint24(frame, 0), uint24(frame, 3)];
  const [width, height] = [uint24(frame, 6) + 1, uint24(frame, 9) + 1];
  if (x + y > 0 || width !== uint24(extended, 4) + 1 || height !== uint24(extended, 7) + 1) {
    throw new PictureFault("it is animated, its first frame only a part of it");
  }
  const features = extended.slice();
  features[0] &= 0x10; // of all of them, opacity is left
  const name = new TextEncoder().encode("WEBP");
  const still = riffChunk("RIFF", concat([name, riffChunk("VP8X", features), frame.subarray(16)]));
  return { width, height, orientation, isAnimated: true, content: () => still };
}

interface RiffChunk {
  readonly type: string;
  readonly data: Uint8Array;
}

function riffChunks(bytes: Uint8Array, start: number, end: number): RiffChunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: RiffChunk[] = [];
  for (let at = start; at + 8 <= end;) {
    const length = view.getUint32(at + 4, true);
    const type = String.fromCharCode(...bytes.subarray(at, at + 4));
    chunks.push({ type, data: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length + length % 2;
  }
  return chunks;
}

function riffChunk(type: string, data: Uint8Array): Uint8Array {
  const head = new Uint8Array(8);
  head.set(new TextEncoder().encode(type));
  new DataView(head.buffer).setUint32(4, data.length, true);
  return concat([head, data]);
}

function webpSize(chunks: readonly RiffChunk[]): { width: number; height: number } {
  const stream = chunks.find(({ type }) => type === "VP8 " || type === "VP8L");
  if (stream === undefined) throw new PictureFault("it holds no picture");
  const { data, type } = stream;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (type === "VP8 ") {
    return { width: view.getUint16(6, true) & 0x3fff, height: view.getUint16(8, true) & 0x3fff };
  }
  const bits = view.getUint32(1, true);
  return { width: (bits & 0x3fff) + 1, height: (bits >> 14 & 0x3fff) + 1 };
}

function readJpeg(bytes: Uint8Array, view: DataView): Found {
  let [orientation, at]: [Orientation, number] = [1, 2];
  let frame: { mark: number; width: number; height: number; samples: number; parts: number };
  for (;;) {
    while (view.getUint8(at) !== 0xff || view.getUint8(at + 1) === 0xff) at++;
    const mark = view.getUint8(at + 1);
    if (mark === 0 || mark === 1 || mark >= 0xd0 && mark <= 0xd8) {
      at += 2;
      continue;
    }
    if (mark === END_OF_JPEG) throw new PictureFault("it holds no picture");
    const length = view.getUint16(at + 2);
    const segment = bytes.subarray(at + 4, at + 2 + length);
    if (mark === APP1 && orientation === 1) orientation = exifOrientation(segment);
    if (mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark) || mark === 0xf7) {
      frame = jpegFrame(mark, segment);
    }
    at += 2 + length;
    if (mark !== JPEG_SCAN) continue;
    if (frame! === undefined) throw new PictureFault("it says no size before its pixels");
    const isBuffered = frame.mark === PROGRESSIVE || segment[0] < frame.parts;
    const { width, height } = frame;
    checkScans(bytes, width * height);
    return {
      ...{ width, height, orientation, isGrey: frame.parts === 1 },
      ...(isBuffered && { bufferedSamples: frame.samples }),
    };
  }
}

function jpegFrame(mark: number, segment: Uint8Array) {
  const [depth, , , , , parts] = segment;
  const [height, width] = [segment[1] << 8 | segment[2], segment[3] << 8 | segment[4]];
  if (mark === 0xf7) throw new PictureFault("it is JPEG-LS, which is not read; save it as PNG");
  if (mark >= 0xc9) {
    throw new PictureFault(
      "it is a JPEG of arithmetic coding, which is not read; save it as usual",
    );
  }
  if (mark === 0xc3 || mark === 0xc7) {
    throw new PictureFault("it is a lossless JPEG, which is not read; save it as PNG");
  }
  if (![BASELINE, EXTENDED, PROGRESSIVE].includes(mark)) {
    throw new PictureFault("it is a hierarchical JPEG, which is not read; save it as usual");
  }
  if (depth !== 8) {
    throw new PictureFault(`it is a JPEG of ${depth} bits a sample, expected 8; save it as PNG`);
  }
  // Shares of the first component's samples are those of the sampling factors.
  const factors = Array.from({ length: parts }, (_, n) => segment[7 + 3 * n])
    .map((factor) => (factor >> 4) * (factor & 15));
  const largest = Math.max(...factors);
  const samples = width * height * factors.reduce((sum, factor) => sum + factor / largest, 0);
  return { mark, width, height, samples, parts };
}

/** Checks that the scans of a JPEG, each of which visits the whole picture, do not take for ever. */
function checkScans(bytes: Uint8Array, pixels: number): void {
  if (pixels > MAX_JPEG_PIXELS_A_BYTE * bytes.length) {
    throw new PictureFault("the file is too short for its size in pixels: it is cut off");
  }
  let scans = 0;
  for (let n = bytes.indexOf(0xff); n >= 0; n = bytes.indexOf(0xff, n + 1)) {
    if (bytes[n + 1] === JPEG_SCAN) scans++;
  }
  if (scans > USUAL_SCANS && scans * pixels > MAX_SCANNED_PIXELS) {
    throw new PictureFault(`it has ${scans} scans, more than its size calls for`);
  }
}
