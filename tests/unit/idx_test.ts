import { assertEquals, assertThrows } from "../assert.ts";
import { encodeIdx, idxByteLength, parseIdx, parseLabeledImages } from "../../src/data/idx.ts";

const IMAGES = encodeIdx({ dimensions: [2, 2, 3], data: Uint8Array.from([...Array(12).keys()]) });
const LABELS = encodeIdx({ dimensions: [2], data: Uint8Array.of(9, 0) });

function parsePair(images: Uint8Array, labels: Uint8Array, classCount?: number) {
  return parseLabeledImages(
    { images, labels, imagesName: "images", labelsName: "labels" },
    classCount,
  );
}

function withByte(bytes: Uint8Array, index: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[index] = value;
  return copy;
}

Deno.test("encodeIdx writes magic, dimensions and data as the format says", () => {
  assertEquals([...LABELS], [0, 0, 8, 1, 0, 0, 0, 2, 9, 0]);
});

Deno.test("encodeIdx refuses data that does not fill the dimensions", () => {
  assertThrows(
    () => encodeIdx({ dimensions: [2, 2], data: new Uint8Array(3) }),
    RangeError,
    "expected 4 bytes for 2 x 2, found 3",
  );
});

Deno.test("parseIdx gives back what encodeIdx was given", () => {
  const { dimensions, data } = parseIdx(IMAGES, "images", 3);
  assertEquals(dimensions, [2, 2, 3]);
  assertEquals([...data], [...Array(12).keys()]);
});

Deno.test("parseLabeledImages takes images of any height and width", () => {
  const { count, shape, images, labels } = parsePair(IMAGES, LABELS, 10);
  assertEquals({ count, shape: [...shape] }, { count: 2, shape: [1, 2, 3] });
  assertEquals(images.length, 12);
  assertEquals([...labels], [9, 0]);
});

Deno.test("parseIdx reads a view that does not begin at the start of its buffer", () => {
  const padded = new Uint8Array(LABELS.length + 3);
  padded.set(LABELS, 3);
  assertEquals([...parseIdx(padded.subarray(3), "labels", 1).data], [9, 0]);
});

Deno.test("parseIdx names file, expectation and finding when the file is malformed", () => {
  const cases: [Uint8Array, string][] = [
    [
      IMAGES.subarray(0, 20),
      'Cannot read "images": expected 28 bytes for 2 x 2 x 3, found 20; the file is cut short, ' +
      "obtain it again",
    ],
    [
      Uint8Array.from([...IMAGES, 0]),
      'Cannot read "images": expected 28 bytes for 2 x 2 x 3, found 29; the file is too long, ' +
      "obtain it again",
    ],
    [
      IMAGES.subarray(0, 7),
      'Cannot read "images": expected an IDX header of 16 bytes, found 7 bytes; the file is cut ' +
      "short, obtain it again",
    ],
    [
      new Uint8Array(0),
      'Cannot read "images": expected an IDX header of 16 bytes, found 0 bytes; the file is cut ' +
      "short, obtain it again",
    ],
    [
      withByte(IMAGES, 2, 0x0d),
      'Cannot read "images": expected images (unsigned bytes, 3 dimensions: count, height, width), ' +
      "found float32 in 3 dimensions (2 x 2 x 3); write the elements as unsigned bytes",
    ],
    [
      withByte(withByte(IMAGES, 2, 0x0b), 3, 1),
      'Cannot read "images": expected images (unsigned bytes, 3 dimensions: count, height, width), ' +
      "found int16 in 1 dimension (2); write the elements as unsigned bytes",
    ],
    [
      encodeIdx({ dimensions: [2, 2, 3, 1], data: new Uint8Array(12) }),
      'Cannot read "images": expected images (unsigned bytes, 3 dimensions: count, height, width), ' +
      "found unsigned bytes in 4 dimensions (2 x 2 x 3 x 1); write it in those",
    ],
    [
      withByte(IMAGES.subarray(0, 9), 3, 2),
      'Cannot read "images": expected images (unsigned bytes, 3 dimensions: count, height, width), ' +
      "found unsigned bytes in 2 dimensions (2); write it in those",
    ],
    [
      withByte(IMAGES, 0, 1),
      'Cannot read "images": expected images (unsigned bytes, 3 dimensions: count, height, width), ' +
      "found no IDX file: it begins with 0x01000803; obtain it again",
    ],
    [
      withByte(IMAGES, 7, 0),
      'Cannot read "images": expected dimensions of 1 or more, found 0 x 2 x 3',
    ],
  ];
  for (const [bytes, message] of cases) {
    const error = assertThrows(() => parseIdx(bytes, "images", 3), SyntaxError);
    assertEquals(error.message, message);
  }
});

Deno.test("parseIdx does not take labels for images", () => {
  const labels = encodeIdx({ dimensions: [20], data: new Uint8Array(20) });
  assertThrows(() => parseIdx(labels, "labels", 3), SyntaxError, "is this the file of labels?");
});

Deno.test("idxByteLength refuses dimensions no memory could hold", () => {
  const header = IMAGES.slice(0, 16).fill(0xff, 4);
  assertThrows(
    () => idxByteLength(header, "images", 3),
    SyntaxError,
    "expected at most 2,147,483,648 bytes, found dimensions 4,294,967,295 x",
  );
});

Deno.test("parseLabeledImages refuses a label out of range", () => {
  const error = assertThrows(() => parsePair(IMAGES, withByte(LABELS, 9, 10), 10), SyntaxError);
  assertEquals(
    error.message,
    'Cannot read "labels": expected labels from 0 to 9, found 10 at index 1; ' +
      "obtain the file again",
  );
});

Deno.test("parseLabeledImages refuses unequal counts", () => {
  const labels = encodeIdx({ dimensions: [3], data: new Uint8Array(3) });
  const error = assertThrows(() => parsePair(IMAGES, labels), SyntaxError);
  assertEquals(
    error.message,
    'Cannot read "labels": expected 2 labels, one for each image, found 3; ' +
      "obtain both files again from one place",
  );
});
