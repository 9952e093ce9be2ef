/** The training curves of a run as a chart. */

import type { EpochMetrics } from "../train/progress.ts";
import { drawChart, PALETTE } from "./chart.ts";

/** Draws loss and accuracy over epochs, training against test and validation, as SVG. */
export async function curvesSvg(
  title: string,
  history: readonly EpochMetrics[],
): Promise<string> {
  return await drawChart({
    ...commonSpec(history),
    title: { text: title, anchor: "start", fontSize: 15 },
    background: "white",
    padding: 12,
    spacing: 36,
    hconcat: [PANELS.loss, PANELS.accuracy],
  });
}

/** Draws one of the two charts alone, without a background, for a page that sets its colours. */
export async function curveSvg(
  field: "loss" | "accuracy",
  history: readonly EpochMetrics[],
): Promise<string> {
  return await drawChart({
    ...commonSpec(history),
    ...PANELS[field],
    background: "transparent",
    padding: 4,
  });
}

/** What the charts have in common. */
function commonSpec(history: readonly EpochMetrics[]) {
  const values = history.flatMap((metrics) => {
    const { epoch, trainLoss, trainAccuracy, testLoss, testAccuracy } = metrics;
    const { validationLoss: loss, validationAccuracy: accuracy } = metrics;
    return [
      { epoch, set: "train", loss: trainLoss, accuracy: trainAccuracy },
      { epoch, set: "test", loss: testLoss, accuracy: testAccuracy },
      ...(accuracy === undefined ? [] : [{ epoch, set: "validation", loss, accuracy }]),
    ];
  });
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    data: { values },
    config: {
      font: "Helvetica, Arial, sans-serif",
      axis: { gridColor: "#e4e4e4", labelFontSize: 11, titleFontSize: 12 },
      legend: { labelFontSize: 12, titleFontSize: 12 },
      view: { stroke: "#bbbbbb" },
    },
  };
}

/** One chart; a format without a precision takes the one that tells neighbouring ticks apart. */
function panel(field: "loss" | "accuracy", title: string, format: "f" | "%") {
  return {
    width: 340,
    height: 240,
    mark: { type: "line" as const, point: { size: 28 }, strokeWidth: 2 },
    encoding: {
      x: {
        field: "epoch",
        type: "quantitative" as const,
        title: "Epoch",
        axis: { format: "d", tickMinStep: 1 },
        scale: { zero: false, nice: false, padding: 10 },
      },
      y: {
        field,
        type: "quantitative" as const,
        title,
        axis: { format },
        scale: { zero: false, nice: false, padding: 10 },
      },
      color: {
        field: "set",
        type: "nominal" as const,
        title: "Data",
        sort: ["train", "test", "validation"],
        scale: { range: PALETTE },
      },
    },
  };
}

const PANELS = {
  loss: panel("loss", "Loss (cross-entropy)", "f"),
  accuracy: panel("accuracy", "Accuracy", "%"),
};
