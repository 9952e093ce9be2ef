/** How a camera was held: the orientation that a file's EXIF data says, and pictures turned by it. */

import { mapPlanes, type Picture } from "./picture.ts";

/** EXIF's 1 to 8: 1 upright, 2 mirrored, 3 upside down, 4 both, 5 to 8 the same with x and y swapped. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const ORIENTATION_TAG = 0x0112;
const [SHORT, LONG] = [3, 4];

/** The orientation that a block of EXIF says, with or without "Exif" before it; 1 where it says none. */
export function exifOrientation(block: Uint8Array): Orientation {
  const named = String.fromCharCode(...block.subarray(0, 4)) === "Exif" ? 6 : 0;
  const exif = block.subarray(named);
  const order = String.fromCharCode(...exif.subarray(0, 2));
  if (exif.length < 8 || order !== "II" && order !== "MM") return 1;
  const isLittle = order === "II";
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  const directory = view.getUint32(4, isLittle);
  if (directory + 2 > exif.length) return 1;
  const count = view.getUint16(directory, isLittle);
  for (let entry = 0; entry < count; entry++) {
    const at = directory + 2 + 12 * entry;
    if (at + 12 > exif.length) return 1;
    if (view.getUint16(at, isLittle) !== ORIENTATION_TAG) continue;
    const type = view.getUint16(at + 2, isLittle);
    const value = type === SHORT
      ? view.getUint16(at + 8, isLittle)
      : type === LONG
      ? view.getUint32(at + 8, isLittle)
      : 1;
    return value >= 1 && value <= 8 ? value as Orientation : 1;
  }
  return 1;
}

/** A picture as a viewer shows it. */
export function upright(picture: Picture, orientation: Orientation): Picture {
  if (orientation === 1) return picture;
  const { width: fromWidth, height: fromHeight } = picture;
  const isSwapped = orientation >= 5;
  const [width, height] = isSwapped ? [fromHeight, fromWidth] : [fromWidth, fromHeight];
  // Where the stored picture's rows and columns run backwards.
  const isMirrored = [2, 3, 7, 8].includes(orientation);
  const isFlipped = [3, 4, 6, 7].includes(orientation);
  return mapPlanes(picture, ({ pixels: from }) => {
    const pixels = new Uint8Array(from.length);
    for (let y = 0, n = 0; y < height; y++) {
      for (let x = 0; x < width; x++, n++) {
        const [column, row] = isSwapped ? [y, x] : [x, y];
        const fromX = isMirrored ? fromWidth - 1 - column : column;
        const fromY = isFlipped ? fromHeight - 1 - row : row;
        pixels[n] = from[fromY * fromWidth + fromX];
      }
    }
    return { width, height, pixels };
  });
}
