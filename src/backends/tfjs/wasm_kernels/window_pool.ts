import { type WindowAxis, windowEnds, windowStarts } from "./window.ts";

/** Depth, rows and columns of a pooling; a 2D one has a single depth. */
export type PoolAxes = [depth: WindowAxis, rows: WindowAxis, columns: WindowAxis];

/** Calls `visit` for every window of every image, in the order of the outputs.
 *
 * `output` is the index of the window's first output channel, `inputs` holds the index of the first
 * channel of each input in the window, in reading order, `count` how many there are.
 */
export function forEachWindow(
  batchSize: number,
  channels: number,
  axes: PoolAxes,
  visit: (output: number, inputs: Int32Array, count: number) => void,
): void {
  const [depth, rows, columns] = axes;
  const [depthStarts, rowStarts, columnStarts] = axes.map(windowStarts);
  const [depthEnds, rowEnds, columnEnds] = axes.map(windowEnds);
  const inputs = new Int32Array(depth.filterSize * rows.filterSize * columns.filterSize);
  let output = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let d = 0; d < depth.outSize; d++) {
      for (let r = 0; r < rows.outSize; r++) {
        for (let c = 0; c < columns.outSize; c++) {
          let count = 0;
          for (let z = depthStarts[d]; z < depthEnds[d]; z++) {
            for (let y = rowStarts[r]; y < rowEnds[r]; y++) {
              const row = ((image * depth.inSize + z) * rows.inSize + y) * columns.inSize;
              for (let x = columnStarts[c]; x < columnEnds[c]; x++) {
                inputs[count++] = (row + x) * channels;
              }
            }
          }
          visit(output, inputs, count);
          output += channels;
        }
      }
    }
  }
}
