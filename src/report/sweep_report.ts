/** The table and the chart of a sweep, made from its record. */

import { join } from "node:path";
import { decidingAccuracy } from "../train/progress.ts";
import { writeAtomic } from "../write_atomic.ts";
import { CHART_CONFIG, drawChart, named, PALETTE, quantity } from "./chart.ts";
import type { SweepRecord, SweepResult } from "../run/sweep_record.ts";
import { formatCount, formatTable } from "./table.ts";

const TABLE = "table.md";
const CHART = "chart.svg";

/** Writes the table and, where there is anything to draw, the chart of a record.
 *
 * @returns The table, and the names of the files that were written.
 */
export async function writeSweepReport(
  folder: string,
  record: SweepRecord,
): Promise<{ readonly table: string; readonly files: readonly string[] }> {
  const table = [sweepTable(record.results), ...sweepRemarks(record)].join("\n\n");
  await writeAtomic(join(folder, TABLE), `${table}\n`);
  if (record.results.every(({ last }) => last === undefined)) return { table, files: [TABLE] };
  await writeAtomic(join(folder, CHART), await sweepChart(record));
  return { table, files: [TABLE, CHART] };
}

/** What a reader must know before believing the first row. */
function sweepRemarks({ results, dataset: { majority } }: SweepRecord): string[] {
  const { last } = results.toSorted((a, b) => scoreOf(b) - scoreOf(a))[0];
  if (last === undefined) return [];
  const isTest = last.validationAccuracy === undefined;
  return [
    isTest
      ? "Best epochs and the order are chosen on the test set: expect less of the first row on new " +
        "images; --valid-split 0.2 chooses on images set apart"
      : "Best epochs and the order are chosen on the validation set; the test set decided nothing",
    ...(majority
      ? [
        `${
          last.testAccuracy > majority.share ? "The" : "None has learned: the"
        } largest class, ${majority.className}, is ${majority.share.toFixed(4)} of the test set`,
      ]
      : []),
  ];
}

/** One row a configuration, the best accuracy first, failures last: on validation images if any. */
export function sweepTable(results: readonly SweepResult[]): string {
  const names = [...new Set(results.flatMap(({ settings }) => Object.keys(settings)))];
  const isValidated = results.some(({ last }) => last?.validationAccuracy !== undefined);
  const rows = results.toSorted((a, b) => scoreOf(b) - scoreOf(a))
    .map(({ settings, last, bestAccuracy, error, elapsedMs }) => [
      ...names.map((name) => settings[name] ?? ""),
      ...(isValidated ? [last?.validationAccuracy?.toFixed(4) ?? ""] : []),
      last?.testAccuracy.toFixed(4) ?? "",
      bestAccuracy?.toFixed(4) ?? "",
      last?.testLoss.toFixed(4) ?? "",
      last?.trainLoss.toFixed(4) ?? "",
      last ? formatCount(last.epoch) : "",
      (elapsedMs / 1000).toFixed(1),
      error ?? "done",
    ]);
  const header = [
    ...(isValidated ? ["validation accuracy"] : []),
    "test accuracy",
    isValidated ? "best validation" : "best, on test",
    "test loss",
    "train loss",
    "epochs",
    "seconds",
    "outcome",
  ];
  return formatTable(
    [...names, ...header],
    rows,
    `${"l".repeat(names.length)}${"r".repeat(header.length - 1)}l`,
  );
}

/** Draws the accuracy that decides over the first varied flag, coloured by the second; seeds come last. */
export async function sweepChart({ results, dataset }: SweepRecord): Promise<string> {
  // A resumed sweep may lack a value where it was not varied yet.
  const valuesOf = (name: string) => [
    ...new Set(results.map(({ settings }) => settings[name] ?? "")),
  ];
  const names = [...new Set(results.flatMap(({ settings }) => Object.keys(settings)))];
  const [x = names[0] ?? "configuration", color] = names
    .filter((name) => valuesOf(name).length > 1)
    .toSorted((a, b) => Number(a === "seed") - Number(b === "seed"));
  const values = results.flatMap(({ settings, last }) =>
    last
      ? [{ x: settings[x] ?? "", color: settings[color] ?? "", accuracy: decidingAccuracy(last) }]
      : []
  );
  const isValidated = results.some(({ last }) => last?.validationAccuracy !== undefined);
  const byNumber = (a = "", b = "") => Number(a) - Number(b) || a.localeCompare(b);
  return await drawChart({
    ...CHART_CONFIG,
    background: "white",
    padding: 12,
    title: { text: `Sweep on ${dataset.name}`, anchor: "start", fontSize: 15 },
    width: { step: 56 },
    height: 280,
    data: { values },
    encoding: {
      x: {
        ...{ field: "x", type: "ordinal", title: x, axis: { labelAngle: 0 } },
        sort: valuesOf(x).toSorted(byNumber),
      },
      y: quantity("accuracy", {
        title: isValidated ? "Validation accuracy" : "Test accuracy",
        scale: { zero: false },
      }),
    },
    layer: [
      {
        mark: { type: "point", filled: true, size: 60, color: PALETTE[0], opacity: 0.8 },
        encoding: color === undefined ? {} : {
          color: named("color", {
            title: color,
            sort: valuesOf(color).toSorted(byNumber),
            scale: { range: PALETTE },
          }),
        },
      },
      {
        mark: { type: "tick", thickness: 2, color: "#808080" },
        encoding: { y: quantity("accuracy", { aggregate: "median" }) },
      },
    ],
  });
}

function scoreOf({ last }: SweepResult): number {
  return last ? decidingAccuracy(last) : -1;
}
