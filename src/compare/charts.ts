/** The charts of a comparison's page. */

import { CHART_CONFIG, drawChart, named, PALETTE, quantity } from "../report/chart.ts";
import type { ComparisonFacts } from "./facts.ts";
import type { Scaled } from "./scaling.ts";
import { type Estimate, spread } from "./statistics.ts";
import { durationText, rateText, ratioText } from "./table.ts";
import { isMeasured } from "./turns.ts";

/** A value with the interval that holds the true one. */
interface Mark extends Estimate {
  readonly backend: string;
  readonly label?: string;
  /** Its place along the axis, where values form lines. */
  readonly x?: number;
}

const [VALUE_COLOR, INTERVAL_COLOR] = PALETTE;
const PLOT_WIDTH = 250;
/** A bar's label stands to its right: so much of the width stays free for it. */
const LABEL_SPACE = 1.35;

/** Training or evaluation rates as bars, with the 95% interval of each median. */
export async function ratesChart(
  { rows, rates }: ComparisonFacts,
  part: "train" | "evaluate",
): Promise<string> {
  const marks = rows.filter(isMeasured).map((row): Mark => {
    const values = part === "train" ? row.trainImagesPerSecond : row.evalImagesPerSecond;
    const { median: value, min: low, max: high } = spread(values);
    const interval = rates.find(({ backend }) => backend === row.backend)?.[part];
    return { low, high, ...interval, value, backend: row.backend, label: rateText(value) };
  });
  return await drawBars(marks, "Images a second");
}

/** Seconds of training until the accuracy was reached; who did not get there is left out. */
export async function untilChart(
  { times }: NonNullable<ComparisonFacts["until"]>,
): Promise<string | undefined> {
  const marks = times.filter(({ reached }) => reached).map(({ backend, trainMs }): Mark => {
    const value = trainMs! / 1000;
    return { backend, value, low: value, high: value, label: durationText(trainMs!) };
  });
  return marks.length === 0 ? undefined : await drawBars(marks, "Seconds of training");
}

/** Ratios to the first contender on a logarithmic axis: equal factors are equal lengths. */
export async function ratiosChart({ rates }: ComparisonFacts): Promise<string | undefined> {
  const marks = rates.flatMap(({ backend, ratio }): Mark[] =>
    ratio ? [{ ...ratio, backend, label: ratioText(ratio) }] : []
  );
  if (marks.length === 0) return undefined;
  return await drawMarks(marks, {
    title: `Ratio to ${rates[0].backend}, logarithmic`,
    scale: { type: "log", nice: true },
    axis: { format: "~g", tickCount: 5, labelOverlap: true, labelFlush: false },
  }, [{ type: "point", filled: true, size: 55, color: VALUE_COLOR, opacity: 1 }]);
}

/** Rates over threads or over the batch, a line for each backend; undefined where nothing was measured. */
export async function scalingChart(
  scaling: readonly Scaled[],
  along: Scaled["along"],
): Promise<string | undefined> {
  const marks = scaling.filter((scaled) => scaled.along === along)
    .map(({ backend, estimate, threads, batchSize }): Mark => (
      { ...estimate, backend, x: along === "threads" ? threads : batchSize }
    ));
  if (marks.length === 0) return undefined;
  const backends = [...new Set(marks.map(({ backend }) => backend))];
  const isOne = backends.length === 1;
  const scale = { domain: backends };
  const y = quantity("value", {
    axis: { format: "~s", tickCount: 6 },
    title: `Training images/s${isOne ? "" : ", logarithmic"}`,
    scale: isOne ? { zero: true } : { type: "log" as const },
  });
  const x = {
    ...{ field: "x", type: "ordinal" as const, axis: { labelAngle: 0 } },
    title: along === "threads" ? "Threads" : "Images in a batch",
  };
  return await drawChart({
    ...{ ...CHART_CONFIG, width: PLOT_WIDTH + 40, height: 230, data: { values: [...marks] } },
    encoding: { x, color: named("backend", { title: null, scale: { ...scale, range: PALETTE } }) },
    layer: [
      { mark: { type: "line", strokeWidth: 2 }, encoding: { y } },
      {
        mark: { type: "rule", strokeWidth: 2 },
        encoding: { y: { ...y, field: "low" }, y2: { field: "high" } },
      },
      {
        mark: { type: "point", filled: true, size: 70, opacity: 1 },
        encoding: { y, shape: named("backend", { title: null, scale }) },
      },
    ],
  });
}

async function drawBars(marks: readonly Mark[], title: string): Promise<string> {
  const longest = Math.max(...marks.map(({ value, high }) => Math.max(value, high)));
  return await drawMarks(marks, {
    title,
    scale: { domain: [0, LABEL_SPACE * longest], nice: false },
    axis: { format: "~s", tickCount: 4, labelFlush: false },
  }, [
    { type: "bar", color: VALUE_COLOR },
    { type: "text", align: "left", dx: 6, fontSize: 13 },
  ]);
}

/** A row for each backend: its value, its interval, and what else stands there. */
async function drawMarks(
  marks: readonly Mark[],
  axis: { readonly title: string; readonly scale: object; readonly axis: object },
  [value, label]:
    readonly ({ readonly type: "bar" | "text" | "point" } & Record<string, unknown>)[],
): Promise<string> {
  const at = (field: keyof Mark) => quantity(field, axis);
  const interval = {
    mark: { type: "rule" as const, color: INTERVAL_COLOR, strokeWidth: 3 },
    encoding: { x: at("low"), x2: { field: "high" } },
  };
  const values = { mark: value, encoding: { x: at("value") } };
  const labels = label && {
    mark: label,
    encoding: { x: at("high"), text: named("label", {}) },
  };
  return await drawChart({
    ...{ ...CHART_CONFIG, width: PLOT_WIDTH, height: { step: 32 }, data: { values: [...marks] } },
    encoding: { y: named("backend", { sort: null, title: null }) },
    layer: labels ? [values, interval, labels] : [interval, values],
  });
}
