/** The README's sentences about the time to an accuracy, from what `deno task bench:accuracy` wrote. */

import { median } from "../../src/compare/statistics.ts";
import { parseBench } from "./speed.ts";

/** What is kept of `deno task bench:accuracy --json FILE`. */
export interface AccuracyBench {
  readonly machine: string;
  readonly date: string;
  readonly seeds: number;
  readonly results: readonly {
    readonly target: number;
    readonly who: string;
    readonly recipe: string;
    readonly reason?: string;
    readonly runs: readonly {
      readonly wallMs: number;
      readonly accuracy: number;
      readonly version?: string;
    }[];
  }[];
}

/** Picks what a page shows, and checks that it is there.
 *
 * @throws {SyntaxError} If the file is of something else.
 */
export function readAccuracyBench(text: string, label: string): AccuracyBench {
  const { machine, date, seeds, results } = parseBench(text, label);
  if (!Array.isArray(results) || typeof machine !== "string") {
    throw new SyntaxError(
      `Cannot read ${label}: expected what deno task bench:accuracy --json wrote`,
    );
  }
  return { machine, date: String(date).slice(0, 10), seeds: Number(seeds), results };
}

/** The sentences about the time to an accuracy. */
export function accuracyBlock({ machine, date, seeds, results }: AccuracyBench): string {
  const measured = results.filter(({ runs }) => runs.length > 0);
  const targets = [...new Set(measured.map(({ target }) => target))].map((target) => {
    const rows = measured.filter((row) => row.target === target);
    const times = rows.map(({ who, runs }) => {
      const [{ version }] = runs;
      const compiled = who === "pytorch-compile" ? " with torch.compile" : "";
      const name = version === undefined ? "`lenet`" : `PyTorch ${version}${compiled}`;
      const ms = runs.map((run) => run.accuracy >= target ? run.wallMs : Infinity);
      const reached = ms.filter((time) => time < Infinity).map((time) => time / 1000);
      const middle = median(ms);
      if (middle === Infinity) return `${name} in ${reached.length} of ${seeds} runs only`;
      const [least, most] = [Math.min(...reached), Math.max(...reached)].map((s) => s.toFixed(1));
      const some = reached.length < seeds ? `, ${reached.length} seeds of ${seeds} got there` : "";
      return `${name} in ${(middle / 1000).toFixed(1)} s (${least}-${most}${some})`;
    });
    return `- to ${target.toFixed(2)}: ${times.join(", ")}; recipe \`${rows[0].recipe}\``;
  });
  return `Fashion-MNIST from the start of the process to a test accuracy, ${machine}, ${date}: medians ` +
    `of ${seeds} seeds, with their range, by \`deno task bench:accuracy\`:\n\n${
      targets.join("\n")
    }`;
}
