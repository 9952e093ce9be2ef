/** Charts as SVG for a page that is light or dark: what all of them have in common. */

import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

/** Colours that people with colour-blindness can tell apart (Okabe and Ito 2008).
 *
 * Of these the page's style gives the first two a lighter tone in the dark; the others suit both.
 */
export const PALETTE = [
  "#0072B2",
  "#D55E00",
  "#009E73",
  "#CC79A7",
  "#E69F00",
  "#56B4E9",
  "#8c8c8c",
];

/** Grey that shows on white and on black: lines and letters that the page's style does not reach. */
const NEUTRAL = "#808080";

const FONT = "Helvetica, Arial, sans-serif";

/** Settings of all charts of a page: no background, letters that a telephone still shows. */
export const CHART_CONFIG = {
  background: "transparent",
  padding: 4,
  config: {
    font: FONT,
    axis: {
      labelFontSize: 13,
      titleFontSize: 13,
      titleFontWeight: "normal" as const,
      gridOpacity: 0.6,
    },
    legend: { labelFontSize: 13, titleFontSize: 13, orient: "bottom" as const, columns: 3 },
    view: { stroke: NEUTRAL, strokeOpacity: 0.4 },
  },
};

/** Settings of a picture by itself, which stands on white whatever is around it. */
export const PICTURE_CONFIG = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  padding: 12,
  config: {
    font: FONT,
    axis: { gridColor: "#e4e4e4", labelFontSize: 11, titleFontSize: 12 },
    legend: { labelFontSize: 12, titleFontSize: 12 },
    view: { stroke: "#bbbbbb" },
  },
};

/** A field of a chart's data that holds quantities, and how it is shown. */
export function quantity<Options extends object>(field: string, options: Options) {
  return { field, type: "quantitative" as const, ...options };
}

/** A field that holds names, and how it is shown. */
export function named<Options extends object>(field: string, options: Options) {
  return { field, type: "nominal" as const, ...options };
}

/** Draws a chart as SVG. Text in its data cannot become markup: the library escapes it. */
export async function drawChart(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
