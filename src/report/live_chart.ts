/** Loss and accuracy as line charts that are redrawn in place on a terminal. */

// @ts-types="./asciichart.d.ts"
import asciichart from "asciichart";
import type { EpochMetrics } from "../train/trainer.ts";

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
}

const [TRAIN, TEST, RESET] = ["\x1b[34m", "\x1b[33m", "\x1b[0m"];

/** Columns that the numbers beside a chart take. */
const MARGIN = 12;

/** Lines beside the plots: two titles, and one that stays free for a progress bar. */
const EXTRA_ROWS = 3;

/** Starts a live chart; nothing is drawn before there are two epochs to connect. */
export function liveChart(screen: Screen): LiveChart {
  const history: EpochMetrics[] = [];
  let drawnRows = 0;
  return {
    print(line) {
      const chart = chartLines(history, { ...screen.size(), color: screen.color });
      // Up to the first line of the old chart, and clear from there to the end of the screen.
      const erase = drawnRows > 0 ? `\x1b[${drawnRows}A\r\x1b[0J` : "";
      screen.write(erase + [line, ...chart].map((text) => `${text}\n`).join(""));
      drawnRows = chart.length;
    },
    add(metrics) {
      history.push(metrics);
    },
  };
}

/** Draws loss and accuracy over epochs within a screen; no line if there is nothing to draw. */
export function chartLines(
  history: readonly EpochMetrics[],
  { columns, rows, color }: {
    readonly columns: number;
    readonly rows: number;
    readonly color: boolean;
  },
): string[] {
  const height = Math.min(8, Math.floor((rows - EXTRA_ROWS - 2) / 2) - 1);
  const width = Math.min(72, columns - MARGIN);
  const seen = history.filter((metrics) =>
    [metrics.trainLoss, metrics.testLoss, metrics.trainAccuracy, metrics.testAccuracy]
      .every(Number.isFinite)
  );
  if (seen.length < 2 || height < 2 || width < 16) return [];
  const paint = (text: string, code: string) => color ? `${code}${text}${RESET}` : text;
  const chart = (name: string, train: (metrics: EpochMetrics) => number, test: typeof train) => {
    const series = [seen.map(train), seen.map(test)].map((values) => stretch(values, width));
    const plot = asciichart.plot(series, {
      height,
      format: (value) => value.toFixed(3).padStart(8),
      ...(color && { colors: [TRAIN, TEST] }),
    });
    const legend = color ? `${paint("train", TRAIN)} ${paint("test", TEST)}` : "train and test";
    return [`${name}  ${legend}`, ...plot.split("\n")];
  };
  return [
    ...chart("loss", ({ trainLoss }) => trainLoss, ({ testLoss }) => testLoss),
    ...chart("accuracy", ({ trainAccuracy }) => trainAccuracy, ({ testAccuracy }) => testAccuracy),
  ];
}

/** Values over a width: interpolated between epochs, so that few epochs fill the chart too. */
function stretch(values: readonly number[], width: number): number[] {
  return Array.from({ length: width }, (_, column) => {
    const position = column / (width - 1) * (values.length - 1);
    const left = Math.min(Math.floor(position), values.length - 2);
    return values[left] + (position - left) * (values[left + 1] - values[left]);
  });
}
