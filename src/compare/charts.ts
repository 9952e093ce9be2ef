/** The charts of a comparison's page. */

import { CHART_CONFIG, drawChart, PALETTE } from "../report/chart.ts";
import { isMeasured } from "./turns.ts";
import type { ComparisonFacts } from "./facts.ts";
import type { Scaled } from "./scaling.ts";
import { durationText, rateText, ratioText } from "./table.ts";
import { type Estimate, spread } from "./statistics.ts";

/** A bar with the interval that holds its true length. */
interface Bar {
  readonly backend: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly label: string;
}

const [BAR_COLOR, INTERVAL_COLOR] = PALETTE;
const PLOT_WIDTH = 250;
/** A bar's label stands to its right: so much of the width stays free for it. */
const LABEL_SPACE = 1.35;
const NAMES = { y: { field: "backend", type: "nominal" as const, sort: null, title: null } };

/** Training or evaluation rates as bars, with the 95% interval of each median. */
export async function ratesChart(
  { rows, rates }: ComparisonFacts,
  part: "train" | "evaluate",
): Promise<string> {
  const bars = rows.filter(isMeasured).map((row): Bar => {
    const values = part === "train" ? row.trainImagesPerSecond : row.evalImagesPerSecond;
    const { median, min, max } = spread(values);
    const interval = rates.find(({ backend }) => backend === row.backend)?.[part] ??
      { low: min, high: max };
    return { backend: row.backend, value: median, ...bounds(interval), label: rateText(median) };
  });
  return await drawBars(bars, "Images a second");
}

/** Seconds of training until the accuracy was reached; who did not get there is left out. */
export async function untilChart(
  { times }: NonNullable<ComparisonFacts["until"]>,
): Promise<string | undefined> {
  const bars = times.filter(({ reached }) => reached).map(({ backend, trainMs }): Bar => {
    const value = trainMs! / 1000;
    return { backend, value, low: value, high: value, label: durationText(trainMs!) };
  });
  return bars.length === 0 ? undefined : await drawBars(bars, "Seconds of training");
}

/** Ratios to the first contender on a logarithmic axis: equal factors are equal lengths. */
export async function ratiosChart({ rates }: ComparisonFacts): Promise<string | undefined> {
  const values = rates.flatMap(({ backend, ratio }): Bar[] =>
    ratio ? [{ backend, value: ratio.value, ...bounds(ratio), label: ratioText(ratio) }] : []
  );
  if (values.length === 0) return undefined;
  const x = {
    type: "quantitative" as const,
    title: `Ratio to ${rates[0].backend}, logarithmic`,
    scale: { type: "log" as const, nice: true },
    axis: { format: "~g", tickCount: 5, labelOverlap: true, labelFlush: false },
  };
  return await drawChart({
    ...CHART_CONFIG,
    width: PLOT_WIDTH,
    height: { step: 32 },
    data: { values },
    encoding: NAMES,
    layer: [
      {
        mark: { type: "rule", color: INTERVAL_COLOR, strokeWidth: 3 },
        encoding: { x: { field: "low", ...x }, x2: { field: "high" } },
      },
      {
        mark: { type: "point", filled: true, size: 55, color: BAR_COLOR, opacity: 1 },
        encoding: { x: { field: "value", ...x } },
      },
    ],
  });
}

/** Rates over threads or over the batch, a line for each backend; undefined where nothing was measured. */
export async function scalingChart(
  scaling: readonly Scaled[],
  along: Scaled["along"],
): Promise<string | undefined> {
  const field = along === "threads" ? "threads" : "batchSize";
  const values = scaling.filter((scaled) => scaled.along === along)
    .map(({ backend, estimate, ...scaled }) => ({
      backend,
      x: scaled[field],
      value: estimate.value,
      ...bounds(estimate),
    }));
  if (values.length === 0) return undefined;
  const backends = [...new Set(values.map(({ backend }) => backend))];
  const x = {
    field: "x",
    type: "ordinal" as const,
    title: along === "threads" ? "Threads" : "Images in a batch",
    axis: { labelAngle: 0 },
  };
  const y = {
    type: "quantitative" as const,
    title: "Training images/s" + (backends.length > 1 ? ", logarithmic" : ""),
    scale: backends.length > 1 ? { type: "log" as const } : { zero: true },
    axis: { format: "~s", tickCount: 6 },
  };
  const color = {
    field: "backend",
    type: "nominal" as const,
    title: null,
    scale: { domain: backends, range: PALETTE },
  };
  const shape = { field: "backend", type: "nominal" as const, title: null, scale: color.scale };
  return await drawChart({
    ...CHART_CONFIG,
    width: PLOT_WIDTH + 40,
    height: 230,
    data: { values },
    encoding: { x, color },
    layer: [
      { mark: { type: "line", strokeWidth: 2 }, encoding: { y: { field: "value", ...y } } },
      {
        mark: { type: "rule", strokeWidth: 2 },
        encoding: { y: { field: "low", ...y }, y2: { field: "high" } },
      },
      {
        mark: { type: "point", filled: true, size: 70, opacity: 1 },
        encoding: {
          y: { field: "value", ...y },
          shape: { ...shape, scale: { domain: backends } },
        },
      },
    ],
  });
}

async function drawBars(values: readonly Bar[], title: string): Promise<string> {
  const longest = Math.max(...values.map(({ value, high }) => Math.max(value, high)));
  const x = {
    type: "quantitative" as const,
    title,
    scale: { domain: [0, LABEL_SPACE * longest], nice: false },
    axis: { format: "~s", tickCount: 4, labelFlush: false },
  };
  const end = { field: "high", ...x };
  return await drawChart({
    ...CHART_CONFIG,
    width: PLOT_WIDTH,
    height: { step: 32 },
    data: { values: [...values] },
    encoding: NAMES,
    layer: [
      { mark: { type: "bar", color: BAR_COLOR }, encoding: { x: { field: "value", ...x } } },
      {
        mark: { type: "rule", color: INTERVAL_COLOR, strokeWidth: 3 },
        encoding: { x: { field: "low", ...x }, x2: { field: "high" } },
      },
      {
        mark: { type: "text", align: "left", dx: 6, fontSize: 13 },
        encoding: { x: end, text: { field: "label", type: "nominal" } },
      },
    ],
  });
}

function bounds({ low, high }: Pick<Estimate, "low" | "high">) {
  return { low, high };
}
