// deno-lint-ignore-file no-control-regex -- binary files begin with such bytes
/** What a file is by its content, whatever its name says. */

/** What is wrong with a picture, in words for the user. */
export class PictureFault extends Error {}

/** The kinds that can be decoded. */
export type PictureKind = "bmp" | "gif" | "jpeg" | "png" | "webp";

/** As errors list them. */
export const KIND_NAMES = "PNG, JPEG, WebP, GIF or BMP";

/** A kind's first bytes, in Latin-1; a dot stands for any byte. */
const SIGNATURES: readonly (readonly [signature: RegExp, kind: PictureKind])[] = [
  [/^\x89PNG\r\n\x1a\n/s, "png"],
  [/^\xff\xd8\xff/s, "jpeg"],
  [/^RIFF....WEBP/s, "webp"],
  [/^GIF8[79]a/s, "gif"],
  [/^BM.{4}\0{4}/s, "bmp"],
];

/** What else people have called a picture; the first that fits. */
const OTHERS: readonly (readonly [signature: RegExp, name: string])[] = [
  [/^$/s, "empty"],
  [/^\0*$/s, "nothing but zeros"],
  [/^....ftyp(avif|avis)/s, "an AVIF picture"],
  [/^....ftyp(hei|hev|mif1|msf1)/s, "a HEIC picture"],
  [/^....ftyp/s, "a video"],
  [/^\x1aE\xdf\xa3|^RIFF....AVI /s, "a video"],
  [/^II\*\0|^MM\0\*|^II\+\0|^MM\0\+/s, "a TIFF picture, or a camera's raw one"],
  [/^8BPS/s, "a Photoshop document (PSD)"],
  [/^\xff\x0a|^\0\0\0\x0cJXL /s, "a JPEG XL picture"],
  [/^\0\0\0\x0cjP {2}|^\xff\x4f\xff\x51/s, "a JPEG 2000 picture"],
  [/^\0\0[\x01\x02]\0/s, "an icon (ICO)"],
  [/^P[1-7]\s/s, "a Netpbm picture (PPM, PGM, ...)"],
  [/^%PDF-/s, "a PDF document"],
  [/^PK\x03\x04/s, "a ZIP archive"],
  [/^\x1f\x8b/s, "a gzip archive"],
  [/^version https:\/\/git-lfs/s, "a Git LFS pointer, whose picture git lfs pull gets"],
  [/^(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?(<!doctype html|<html|<head|<body)/is, "an HTML page"],
  [
    /^(\xef\xbb\xbf)?\s*<(\?xml|!doctype svg|svg|!--)(?=.*<svg)|^(\xef\xbb\xbf)?\s*<svg/is,
    "an SVG drawing",
  ],
  [/^(\xef\xbb\xbf)?\s*<\?xml/is, "an XML document"],
  [/^[\t\n\r\x20-\x7e\x80-\xff]*$/s, "text"],
];

/** As much of a file as its kind is known by. */
const HEAD_BYTES = 1024;

/** The kind of a file, by its first bytes; undefined if it is none that can be decoded. */
export function pictureKind(bytes: Uint8Array): PictureKind | undefined {
  const head = headOf(bytes);
  return SIGNATURES.find(([signature]) => signature.test(head))?.[1];
}

/** What a file that is no picture is, in words that go on from "it is". */
export function otherKind(bytes: Uint8Array): string {
  const head = headOf(bytes);
  return OTHERS.find(([signature]) => signature.test(head))?.[1] ?? "of no known kind";
}

function headOf(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, HEAD_BYTES), (byte) => String.fromCharCode(byte)).join("");
}
