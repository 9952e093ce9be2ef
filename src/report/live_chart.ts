/** Loss and accuracy as line charts that are redrawn in place on a terminal. */

// @ts-types="./asciichart.d.ts"
import asciichart from "asciichart";
import { countOf } from "../quote.ts";
import type { EpochMetrics } from "../train/progress.ts";

/** Where a live chart is drawn. */
export interface Screen {
  /** Size in characters; asked for at every drawing, since windows change. */
  size(): { readonly columns: number; readonly rows: number };
  write(text: string): void;
  /** Whether lines may be told apart by colour. */
  readonly color: boolean;
}

/** A chart below the lines of a run. */
export interface LiveChart {
  /** Removes the chart, prints a line in its place and draws the chart below it again. */
  print(line: string): void;
  /** Adds an epoch; it is drawn with the next line. */
  add(metrics: EpochMetrics): void;
  /** Adds losses of steps and draws them, while there are no two epochs to connect. */
  addSteps(losses: Iterable<number>): void;
}

const [TRAIN, TEST, RESET] = ["\x1b[34m", "\x1b[33m", "\x1b[0m"];

/** Columns that the numbers beside a chart take. */
const MARGIN = 12;

/** Lines beside the plots: two titles, and one that stays free for a progress bar. */
const EXTRA_ROWS = 3;

/** Epochs that make a line. */
const MIN_EPOCHS = 2;

/** Starts a live chart; nothing is drawn before there are two steps or epochs to connect. */
export function liveChart(screen: Screen): LiveChart {
  const history: EpochMetrics[] = [];
  const losses: number[] = [];
  let drawnRows = 0;
  const draw = (...lines: string[]) => {
    const chart = chartLines(history, { ...screen.size(), color: screen.color }, losses);
    // Up to the first line of the old chart, and clear from there to the end of the screen.
    const erase = drawnRows > 0 ? `\x1b[${drawnRows}A\r\x1b[0J` : "";
    screen.write(erase + [...lines, ...chart].map((text) => `${text}\n`).join(""));
    drawnRows = chart.length;
  };
  return {
    print: draw,
    add(metrics) {
      history.push(metrics);
    },
    addSteps(added) {
      if (history.length >= MIN_EPOCHS) return;
      for (const loss of added) losses.push(loss);
      draw();
    },
  };
}

/** Draws loss and accuracy over epochs, or before there are two the losses of steps, within a screen;
 * no line if there is nothing to draw.
 */
export function chartLines(
  history: readonly EpochMetrics[],
  { columns, rows, color }: {
    readonly columns: number;
    readonly rows: number;
    readonly color: boolean;
  },
  stepLosses: readonly number[] = [],
): string[] {
  const height = Math.min(8, Math.floor((rows - EXTRA_ROWS - 2) / 2) - 1);
  const width = Math.min(72, columns - MARGIN);
  const seen = history.filter((metrics) =>
    [metrics.trainLoss, metrics.testLoss, metrics.trainAccuracy, metrics.testAccuracy]
      .every(Number.isFinite)
  );
  const losses = means(stepLosses.filter(Number.isFinite), width);
  const hasEpochs = seen.length >= MIN_EPOCHS;
  if ((!hasEpochs && losses.length < 2) || height < 2 || width < 16) return [];
  const paint = (text: string, code: string) => color ? `${code}${text}${RESET}` : text;
  const plot = (title: string, lines: readonly (readonly number[])[]) => {
    const text = asciichart.plot(lines.map((values) => stretch(values, width)), {
      height,
      format: (value) => value.toFixed(3).padStart(8),
      ...(color && { colors: [TRAIN, TEST] }),
    });
    return [title, ...text.split("\n")];
  };
  if (!hasEpochs) return plot(`loss of ${countOf(stepLosses.length, "step")}`, [losses]);
  const legend = color ? `${paint("train", TRAIN)} ${paint("test", TEST)}` : "train and test";
  const over = (values: (metrics: EpochMetrics) => number) => seen.map(values);
  return [
    ...plot(`loss  ${legend}`, [over((one) => one.trainLoss), over((one) => one.testLoss)]),
    ...plot(
      `accuracy  ${legend}`,
      [over((one) => one.trainAccuracy), over((one) => one.testAccuracy)],
    ),
  ];
}

/** At most so many values: means of as many neighbours as it takes. */
function means(values: readonly number[], count: number): number[] {
  const size = Math.max(1, Math.ceil(values.length / count));
  return Array.from({ length: Math.ceil(values.length / size) }, (_, n) => {
    const part = values.slice(n * size, (n + 1) * size);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** Values over a width: interpolated between epochs, so that few epochs fill the chart too. */
function stretch(values: readonly number[], width: number): number[] {
  return Array.from({ length: width }, (_, column) => {
    const position = column / (width - 1) * (values.length - 1);
    const left = Math.min(Math.floor(position), values.length - 2);
    return values[left] + (position - left) * (values[left + 1] - values[left]);
  });
}
