/** A comparison as one page that needs nothing else: charts, tables, verdicts. */

import { isMeasured, type Measured } from "./turns.ts";
import { ratesChart, ratiosChart, scalingChart, untilChart } from "./charts.ts";
import type { ComparisonFacts } from "./facts.ts";
import {
  agreementTable,
  describeMachine,
  describeTask,
  deviceText,
  rateText,
  speedTable,
  startTable,
  untilTable,
} from "./table.ts";
import {
  type Fragment,
  Html,
  html,
  htmlNote,
  htmlPage,
  htmlTable,
  htmlTiles,
} from "../report/html.ts";
import { median } from "./statistics.ts";

/** Makes the page: one HTML file without scripts, light or dark, that loads nothing. */
export async function comparisonPage(facts: ComparisonFacts): Promise<string> {
  const { rows, scaling = [], until, learningRate, seed } = facts;
  const measured = rows.filter(isMeasured);
  const title = `${facts.model} on ${facts.dataset}: a comparison`;
  const charts = measured.length === 0 ? [] : [
    figure("Training", await ratesChart(facts, "train"), RATE_NOTE),
    figure("Evaluation", await ratesChart(facts, "evaluate"), RATE_NOTE),
    figure(
      "Training, as a ratio",
      await ratiosChart(facts),
      "The point is the ratio of medians, the line its 95% bootstrap interval over turns; an " +
        "interval that holds 1 leaves open which is faster.",
    ),
  ];
  const scalingCharts = [
    figure("More threads", await scalingChart(scaling, "threads"), "wasm, one batch size."),
    figure("Larger batches", await scalingChart(scaling, "batch"), "All threads."),
  ];
  const missing = rows.flatMap((row) =>
    isMeasured(row) ? [] : [htmlNote(`${row.backend}: ${row.reason}`)]
  );
  const untilPart = until && html`
    <h2>Time to a test accuracy of ${until.accuracy}</h2>
    <div class="charts">
      ${figure("Training, evaluation left out", await untilChart(until), "Whole epochs.")}
    </div>
    ${htmlTable("Time to an accuracy", untilTable(until))}
  `;
  const { header, rows: starts } = startTable(facts);
  const devices = {
    header: [...header, "device"],
    rows: starts.map((row, index) => [...row, deviceText(measured[index])]),
  };
  return htmlPage(
    title,
    html`
      <h1>${title}</h1>
      ${htmlNote(`${describeTask(facts)}, learning rate ${learningRate}, seed ${seed}`)}
      ${htmlNote(describeMachine(facts))}
      ${notices(facts)} ${tiles(measured)}
      <h2>How fast</h2>
      <div class="charts">${charts}</div>
      ${htmlTable("Speed", speedTable(facts))} ${missing}
      <h2>Do they compute the same?</h2>
      <p>Each one's first steps against the float64 reference, from the same parameters on the same
        batches: the largest relative difference of a loss and of a parameter.</p>
      ${htmlTable("Agreement", agreementTable(facts))} ${untilPart} ${scaling.length > 0
        ? html`
          <h2>Threads and batches</h2>
          <div class="charts">${scalingCharts}</div>
        `
        : undefined}
      <h2>Start-up and devices</h2>
      ${htmlTable("Devices", devices)}
      ${htmlNote(TURNS_NOTE)}
    `,
  );
}

const TURNS_NOTE =
  "All start from the same parameters, take samples in the same order and take turns, so " +
  "that a slow minute of the machine hurts all alike. Rates are medians of the repeats; start, first " +
  "step and warm-up are not part of them.";

const RATE_NOTE = "Median of the repeats; the line is its 95% bootstrap interval.";

function notices({ rows, warnings }: ComparisonFacts): Fragment {
  const wrong = rows.filter(isMeasured).filter(({ agreement }) => agreement.verdict === "differs")
    .map(({ backend }) => `${backend} differs from the reference: do not trust its results`);
  return [...wrong, ...warnings].map((text) => html`<p class="notice">${text}.</p>`);
}

function tiles(measured: readonly Measured[]): Fragment {
  if (measured.length === 0) return html`<p class="notice">Nothing could be measured.</p>`;
  const rate = ({ trainImagesPerSecond }: Measured) => median(trainImagesPerSecond);
  const fastest = measured.reduce((best, row) => rate(row) > rate(best) ? row : best);
  const agreeing = measured.filter(({ agreement }) => agreement.verdict === "agrees").length;
  return htmlTiles([
    [`training images a second, ${fastest.backend}`, rateText(rate(fastest))],
    ["agree with the reference", `${agreeing} of ${measured.length}`],
  ]);
}

function figure(title: string, svg: string | undefined, note: string): Fragment {
  if (svg === undefined) return undefined;
  return html`
    <figure class="chart">
      <h3>${title}</h3>
      ${new Html(svg)}
      <figcaption class="soft">${note}</figcaption>
    </figure>
  `;
}
