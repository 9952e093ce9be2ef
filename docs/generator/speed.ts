/** The README's speed tables, from what `deno task bench` and `deno task bench:webgpu` wrote. */

import { formatCount, formatTable } from "../../src/report/table.ts";

interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** What is kept of `deno task bench --json FILE`. */
export interface Bench {
  readonly machine: string;
  readonly date: string;
  readonly repeats: number;
  readonly rows: readonly {
    readonly name: string;
    readonly training: Spread;
    readonly evaluation?: Spread;
    readonly share?: number;
  }[];
}

/** What is kept of `deno task bench:webgpu --json FILE`. */
export interface WebgpuBench {
  readonly adapter: { readonly name: string; readonly software: boolean };
  readonly date: string;
  readonly repeats: number;
  readonly rates: Readonly<Record<string, Spread>>;
}

/** Picks what a page shows, and checks that it is there.
 *
 * @throws {SyntaxError} If the file is of something else.
 */
export function readBench(text: string, label: string): Bench {
  const { machine, date, repeats, rows } = parse(text, label);
  if (!Array.isArray(rows) || rows.length === 0 || typeof machine !== "string") {
    throw new SyntaxError(`Cannot read ${label}: expected what deno task bench --json wrote`);
  }
  const kept = (rows as Bench["rows"]).filter(({ name }) => rowTitle(name) !== undefined);
  return { machine, date: String(date).slice(0, 10), repeats: Number(repeats), rows: kept };
}

/** As {@linkcode readBench}, for the benchmark of the GPU engine. */
export function readWebgpuBench(text: string, label: string): WebgpuBench {
  const { adapter, date, repeats, rates } = parse(text, label);
  if (Object(rates)["webgpu lenet"] === undefined) {
    throw new SyntaxError(
      `Cannot read ${label}: expected what deno task bench:webgpu --json wrote`,
    );
  }
  const { name, software } = adapter as WebgpuBench["adapter"];
  return {
    adapter: { name, software },
    date: String(date).slice(0, 10),
    repeats: Number(repeats),
    rates: rates as WebgpuBench["rates"],
  };
}

/** The table of the CPU. */
export function speedBlock({ machine, date, repeats, rows }: Bench): string {
  const lines = rows.map(({ name, training, evaluation, share }) => [
    rowTitle(name)!,
    formatCount(training.median),
    `${formatCount(training.low)}-${formatCount(training.high)}`,
    share === undefined ? "" : `${(100 * share).toFixed(0)}%`,
    evaluation === undefined ? "" : formatCount(evaluation.median),
  ]);
  return `Training LeNet on ${machine}, ${date}, batch 256: medians and quartiles of one run of ` +
    `\`deno task bench --repeats ${repeats}\`, in which all took turns. The limit is the machine's ` +
    `rate of SIMD multiply-adds, measured in the same run: ${limitsOf(rows)}, ` +
    `convolved directly.\n\n` +
    formatTable(
      ["", "images/s", "quartiles", "share of the limit", "evaluation, images/s"],
      lines,
      "lrrrr",
    ) + ratioToPyTorch(rows);
}

/** `24,400 images/s on 1 thread, 49,600 images/s on 2 threads`: what a rate is a share of. */
function limitsOf(rows: Bench["rows"]): string {
  const limits = rows.flatMap(({ name, training, share }) => {
    const [, threads] = /^wasm lenet, (\d+ threads?), batch 256$/.exec(name) ?? [];
    if (threads === undefined || share === undefined) return [];
    return [`${formatCount(training.median / share)} images/s on ${threads}`];
  });
  return limits.join(", ");
}

/** How many times each PyTorch's rate, threads for threads; empty where none was installed. */
function ratioToPyTorch(rows: Bench["rows"]): string {
  const ratios = new Map<string, string[]>();
  for (const { name, training } of rows) {
    const [, threads, version] = /^PyTorch, (\d+ threads?) \((PyTorch [^,]+)/.exec(name) ?? [];
    const own = rows.find((row) => row.name === `wasm lenet, ${threads}, batch 256`);
    if (version === undefined || own === undefined) continue;
    const ratio = (own.training.median / training.median).toFixed(1);
    ratios.set(version, [...ratios.get(version) ?? [], `${ratio} on ${threads}`]);
  }
  if (ratios.size === 0) return "";
  const versions = [...ratios].map(([version, [first, ...rest]]) =>
    `against ${version}: ${[first.replace(" ", " times its rate "), ...rest].join(", ")}`
  );
  return `\n\n\`wasm\` ${versions.join("; ")}.`;
}

/** The sentence about the GPU. */
export function webgpuBlock({ adapter, date, repeats, rates }: WebgpuBench): string {
  const [, own] = Object.entries(rates).find(([name]) => name === "webgpu lenet")!;
  const others = Object.entries(rates).filter(([name]) => /^(jax|tfjs)/.test(name))
    .map(([name, { median }]) => `${name.replace(/,? lenet$/, "")} ${formatCount(median)}`);
  const emulated = adapter.software ? ", a GPU emulated by the CPU" : "";
  return `On ${adapter.name}${emulated}, ${date}, \`deno task bench:webgpu --repeats ${repeats}\` gave ` +
    `\`webgpu\` ${formatCount(own.median)} images/s of training LeNet, batch 256 (quartiles ` +
    `${formatCount(own.low)}-${formatCount(own.high)}` +
    `${others.length === 0 ? "" : `), ${others.join(" and ")} in the same run`}` +
    `${others.length === 0 ? ")" : ""}.`;
}

/** What a row of the benchmark is called in the README; undefined for those it leaves out. */
function rowTitle(name: string): string | undefined {
  const [, threads, batch] = /^wasm lenet, (\d+ threads?), batch (\d+)$/.exec(name) ?? [];
  if (batch === "256") return `\`wasm\`, ${threads}`;
  if (batch === "1024" && threads !== "1 thread") return `\`wasm\`, ${threads}, batch 1,024`;
  if (name === "tfjs-wasm") {
    return "`tfjs-wasm` with this project's kernels (as published: cannot train)";
  }
  return /^(PyTorch|jax)/i.test(name) ? name : undefined;
}

function parse(text: string, label: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new SyntaxError(`Cannot read ${label}: it is not JSON`);
  }
}
