/** Loss and accuracy over epochs, of this run and of earlier ones. */

/// <reference lib="dom" />
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import uPlot from "uplot";
import type { Curve } from "./curve.ts";
import { texts } from "./language.ts";
import { curve, runs } from "./state.ts";

/** What a chart shows. */
type Measure = "loss" | "accuracy";

/** Colours of earlier runs. */
export const RUN_COLOURS = ["#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];

/** Redraws no more often than this. */
const INTERVAL_MS = 120;

/** A chart of a measure. */
export function Chart({ measure }: { measure: Measure }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current!;
    let plot: uPlot | undefined;
    let shape = "";
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer = undefined;
      const { series, tables } = contentOf(measure);
      const data = uPlot.join(tables) as uPlot.AlignedData;
      const next = `${element.clientWidth} ${
        series.map(({ label, stroke }) => `${label}${stroke}`)
      }`;
      if (plot !== undefined && next === shape) return plot.setData(data);
      plot?.destroy();
      shape = next;
      plot = new uPlot(optionsOf(measure, element.clientWidth, series), data, element);
    };
    const soon = () => timer ??= setTimeout(draw, INTERVAL_MS);
    const stop = effect(() => {
      void [curve.value, runs.value, texts.value];
      soon();
    });
    const sizes = new ResizeObserver(soon);
    sizes.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const recolour = () => {
      shape = "";
      soon();
    };
    dark.addEventListener("change", recolour);
    return () => {
      stop();
      sizes.disconnect();
      dark.removeEventListener("change", recolour);
      clearTimeout(timer);
      plot?.destroy();
    };
  }, []);
  const last = curve.value.epochs.at(-1);
  const t = texts.value;
  const spoken = last === undefined ? t[measure] : `${t[measure]}: ${t.train} ` +
    `${(measure === "loss" ? last.trainLoss : last.trainAccuracy).toFixed(3)}, ${t.test} ` +
    (measure === "loss" ? last.testLoss : last.testAccuracy).toFixed(3);
  return <div class="chart" ref={place} role="img" aria-label={spoken} />;
}

function contentOf(measure: Measure) {
  const t = texts.value;
  const tables: uPlot.AlignedData[] = [];
  const series: uPlot.Series[] = [];
  const add = (one: Curve, { name, colour, testColour, width }: {
    name: string;
    colour: string;
    testColour: string;
    width: number;
  }) => {
    const { points, epochs } = one;
    tables.push([points.map(({ epoch }) => epoch), points.map((point) => point[measure])]);
    series.push({
      label: `${name}${t.train}`,
      stroke: colour,
      width,
      spanGaps: true,
      dash: width < 2 ? [4, 3] : [],
      points: { show: false },
    });
    tables.push([
      epochs.map((metrics) => one.placeOf(metrics)),
      epochs.map(({ testLoss, testAccuracy }) => measure === "loss" ? testLoss : testAccuracy),
    ]);
    series.push({
      label: `${name}${t.test}`,
      stroke: testColour,
      width: Math.max(1.5, width),
      spanGaps: true,
      points: { show: epochs.length < 30, size: 5, fill: testColour },
    });
  };
  for (const [n, { name, curve, shown }] of runs.value.entries()) {
    if (!shown) continue;
    const colour = RUN_COLOURS[n % RUN_COLOURS.length];
    add(curve, { name: `${name}, `, colour, testColour: colour, width: 1 });
  }
  add(curve.value, { name: "", colour: css("--train"), testColour: css("--test"), width: 2 });
  return { tables, series };
}

function optionsOf(measure: Measure, width: number, series: uPlot.Series[]): uPlot.Options {
  const axis = {
    stroke: css("--soft"),
    grid: { stroke: css("--line"), width: 1 },
    ticks: { show: false },
    font: `12px ${css("--font")}`,
    gap: 4,
  };
  return {
    width,
    height: 190,
    series: [{}, ...series],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false, range: (_, __, max) => [0, Math.max(1, Math.ceil(max ?? 1))] },
      y: {
        range: measure === "accuracy"
          ? [0, 1]
          : (_, __, max) => [0, Math.min(3, Math.max(0.5, (max ?? 2.4) * 1.05))],
      },
    },
    axes: [{ ...axis, size: 26 }, { ...axis, size: 36 }],
  };
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
