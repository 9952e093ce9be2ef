/** Content that comes piece by piece, put together. */

/** Puts pieces together; memory grows with what has come, whatever anybody claims.
 *
 * @param capacity Bytes to make room for at first: the size of the file, where it is known.
 */
export async function collect(
  chunks: AsyncIterable<Uint8Array>,
  capacity = 0,
): Promise<Uint8Array> {
  let buffer = new ArrayBuffer(capacity);
  let byteLength = 0;
  for await (const chunk of chunks) {
    const needed = byteLength + chunk.length;
    // Transferring gives the old memory back at once; a collector might take its time.
    if (needed > buffer.byteLength) buffer = buffer.transfer(Math.max(needed, 2 * byteLength));
    new Uint8Array(buffer).set(chunk, byteLength);
    byteLength = needed;
  }
  return new Uint8Array(buffer, 0, byteLength);
}
