/** The part of `node:zlib` that pictures need, for browsers, which inflate only asynchronously. */

import { Unzlib } from "fflate";

/** Inflates zlib data.
 *
 * @throws {Error} If the data is damaged, or more than `maxOutputLength` bytes come out, as Node has it.
 */
export function inflateSync(
  data: Uint8Array,
  { maxOutputLength }: { readonly maxOutputLength: number },
): Uint8Array {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const stream = new Unzlib((part) => {
    length += part.length;
    if (length > maxOutputLength) {
      throw Object.assign(new Error("Too much data"), { code: "ERR_BUFFER_TOO_LARGE" });
    }
    parts.push(part as Uint8Array<ArrayBuffer>);
  });
  // In pieces, so that what comes out of one is bounded.
  const pieceBytes = 65_536;
  for (let start = 0; start < data.length; start += pieceBytes) {
    const end = start + pieceBytes;
    stream.push(data.subarray(start, end), end >= data.length);
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
