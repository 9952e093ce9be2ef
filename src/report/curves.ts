/** The training curves of a run as a chart. */

import type { EpochMetrics } from "../train/progress.ts";
import { CHART_CONFIG, drawChart, named, PALETTE, PICTURE_CONFIG, quantity } from "./chart.ts";

/** Draws loss and accuracy over epochs, training against test and validation, as SVG. */
export async function curvesSvg(
  title: string,
  history: readonly EpochMetrics[],
): Promise<string> {
  return await drawChart({
    ...PICTURE_CONFIG,
    data: valuesOf(history),
    title: { text: title, anchor: "start", fontSize: 15 },
    spacing: 36,
    hconcat: [PANELS.loss, PANELS.accuracy],
  });
}

/** Draws one of the two charts alone, without a background, for a page that sets its colours. */
export async function curveSvg(
  field: "loss" | "accuracy",
  history: readonly EpochMetrics[],
): Promise<string> {
  const { background, padding } = CHART_CONFIG;
  return await drawChart({
    ...PICTURE_CONFIG,
    ...{ background, padding },
    data: valuesOf(history),
    ...PANELS[field],
  });
}

function valuesOf(history: readonly EpochMetrics[]) {
  const values = history.flatMap((metrics) => {
    const { epoch, trainLoss, trainAccuracy, testLoss, testAccuracy } = metrics;
    const { validationLoss: loss, validationAccuracy: accuracy } = metrics;
    return [
      { epoch, set: "train", loss: trainLoss, accuracy: trainAccuracy },
      { epoch, set: "test", loss: testLoss, accuracy: testAccuracy },
      ...(accuracy === undefined ? [] : [{ epoch, set: "validation", loss, accuracy }]),
    ];
  });
  return { values };
}

const SCALE = { zero: false, nice: false, padding: 10 };

/** The axis of a chart over epochs. */
export const EPOCHS = quantity("epoch", {
  title: "Epoch",
  axis: { format: "d", tickMinStep: 1 },
  scale: SCALE,
});

/** How a curve is drawn. */
export const CURVE = { type: "line" as const, point: { size: 28 }, strokeWidth: 2 };

/** One chart; a format without a precision takes the one that tells neighbouring ticks apart. */
function panel(field: "loss" | "accuracy", title: string, format: "f" | "%") {
  return {
    width: 340,
    height: 240,
    mark: CURVE,
    encoding: {
      x: EPOCHS,
      y: quantity(field, { title, axis: { format }, scale: SCALE }),
      color: named("set", {
        title: "Data",
        sort: ["train", "test", "validation"],
        scale: { range: PALETTE },
      }),
    },
  };
}

const PANELS = {
  loss: panel("loss", "Loss (cross-entropy)", "f"),
  accuracy: panel("accuracy", "Accuracy", "%"),
};
