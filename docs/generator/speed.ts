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
    /** MFLOP of training on one image; not in measurements of 0.1. */
    readonly mflop?: number;
  }[];
}

/** What is kept of `deno task bench:webgpu --json FILE`. */
export interface WebgpuBench {
  readonly adapter: {
    readonly name: string;
    readonly software: boolean;
    readonly driver?: string;
  };
  readonly date: string;
  /** Of the project; left out where git was not there. */
  readonly commit?: string;
  readonly deno?: string;
  readonly cpu?: string;
  readonly cores?: number;
  readonly repeats?: number;
  /** Training images a second. */
  readonly rates: Readonly<Record<string, Pick<Spread, "median"> & Partial<Spread>>>;
  /** Microseconds of a step of LeNet, and their sum. */
  readonly kernels?: Readonly<Record<string, Pick<Spread, "median">>>;
  readonly training?: {
    readonly epochs: number;
    /** Images of an epoch. */
    readonly count: number;
    readonly elapsedMs: number;
    readonly accuracy?: number;
  };
  /** What is to be said of it, in a sentence. */
  readonly note?: string;
}

/** Picks what a page shows, and checks that it is there.
 *
 * @throws {SyntaxError} If the file is of something else.
 */
export function readBench(text: string, label: string): Bench {
  const { machine, date, repeats, rows } = parseBench(text, label);
  if (!Array.isArray(rows) || rows.length === 0 || typeof machine !== "string") {
    throw new SyntaxError(`Cannot read ${label}: expected what deno task bench --json wrote`);
  }
  const all = rows as Bench["rows"];
  const kept = all.filter((row) =>
    rowTitle(row) !== undefined && (!networkOf(row.name) || hasPeer(row.name, all))
  );
  return { machine, date: String(date).slice(0, 10), repeats: Number(repeats), rows: kept };
}

/** As {@linkcode readBench}, for the benchmark of the GPU engine. */
export function readWebgpuBench(text: string, label: string): WebgpuBench {
  const found = parseBench(text, label);
  const { date, commit, repeats, kernels, environment, training } = found;
  // The first network is also the one whose kernels are timed, and that is trained whole.
  if (Object.keys(Object(found.rates))[0] !== "webgpu lenet") {
    throw new SyntaxError(
      `Cannot read ${label}: expected what deno task bench:webgpu --json wrote`,
    );
  }
  const { name, software, driver } = found.adapter as WebgpuBench["adapter"];
  const adapter = { name, software, driver };
  const rates = found.rates as WebgpuBench["rates"];
  const kept = { adapter, date: String(date).slice(0, 10), repeats: Number(repeats), rates };
  if (software) return kept; // an emulated GPU's machine is that of the other tables
  const { deno, cpu, cores } = Object(environment);
  const { epochMs, count, accuracy } = Object(training);
  return {
    ...kept,
    ...{ commit: commit as string | undefined, deno, cpu, cores },
    kernels: kernels as WebgpuBench["kernels"],
    training: epochMs && {
      ...{ count, accuracy, epochs: epochMs.length },
      elapsedMs: epochMs.reduce((sum: number, ms: number) => sum + ms, 0),
    },
  };
}

/** The table of the CPU. */
export function speedBlock({ machine, date, repeats, rows }: Bench): string {
  const lines = rows.map(({ name, training, evaluation, share, mflop }) => [
    rowTitle({ name, mflop })!,
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
    const [, network = "lenet", threads, version, compiled = ""] =
      /^PyTorch(?: (\S+))?, (\d+ threads?) \((PyTorch [^,]+)(, torch\.compile)?/.exec(name) ?? [];
    const own = rows.find((row) => row.name === `wasm ${network}, ${threads}, batch 256`);
    if (version === undefined || own === undefined) continue;
    const ratio = (own.training.median / training.median).toFixed(1);
    const peer = `${version}${compiled && " with torch.compile"}` +
      `${network === "lenet" ? "" : `, both on ${network}`}`;
    ratios.set(peer, [...ratios.get(peer) ?? [], `${ratio} on ${threads}`]);
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
    `${formatCount(own.low ?? own.median)}-${formatCount(own.high ?? own.median)}` +
    `${others.length === 0 ? "" : `), ${others.join(" and ")} in the same run`}` +
    `${others.length === 0 ? ")" : ""}.`;
}

/** The table of a real GPU. */
export function gpuBlock(bench: WebgpuBench): string {
  const { adapter: { name, driver }, date, commit, deno, cpu, cores, rates, repeats, note } = bench;
  const machine = [
    ...(driver ? [`driver ${driver}`] : []),
    `${cpu} with ${cores} cores`,
    `Deno ${deno}`,
    date,
    ...(commit ? [`commit ${commit}`] : []),
  ];
  const isOnCpu = (title: string) => title.startsWith("wasm ");
  const modelOf = (title: string) => title.split(" ").at(-1)!;
  const eager = new Map(
    Object.entries(rates).filter(([title]) => /^PyTorch .*, eager, CUDA, /.test(title))
      .map(([title, { median }]) => [modelOf(title), median]),
  );
  const rows = Object.entries(rates).filter(([title]) => !isOnCpu(title)).map(
    ([title, { median: rate }]) => {
      const peer = eager.get(modelOf(title));
      return [
        title.replace(/^webgpu/, "`webgpu`,"),
        formatCount(rate),
        (60_000_000 / rate).toFixed(1),
        formatCount(256e6 / rate),
        peer === undefined ? "" : (rate / peer).toFixed(1),
      ];
    },
  );
  const header = ["", "images/s", "60,000 images, ms", "a step, µs", "times PyTorch eager"];
  const threads = Object.entries(rates).filter(([title]) => isOnCpu(title)).map(
    ([title, { median: rate }]) =>
      `${formatCount(rate)} on ${title.split(", ").at(-1)!.replace(/ threads?$/, "")}`,
  );
  const said = [
    ...trainingText(bench),
    ...kernelsText(bench),
    ...(threads.length > 0
      ? [`\`wasm\` there, LeNet images/s by threads: ${threads.join(", ")}.`]
      : []),
    ...(note ? [note] : []),
  ];
  const how = repeats === undefined
    ? "medians of epochs, before there was a command for it"
    : `medians of \`deno task bench:webgpu --repeats ${repeats}\``;
  return `On ${name} (${machine.join(", ")}), training in batches of 256, ${how}:\n\n${
    formatTable(header, rows, "lrrrr")
  }\n\n${said.join(" ")}`;
}

function trainingText({ training }: WebgpuBench): string[] {
  if (training === undefined) return [];
  const { epochs, count, elapsedMs, accuracy } = training;
  const reached = accuracy === undefined ? "" : `, to a test accuracy of ${accuracy.toFixed(4)}`;
  return [
    `${epochs} epochs of LeNet on ${formatCount(count)} images took ${
      (elapsedMs / 1000).toFixed(2)
    } s${reached}.`,
  ];
}

/** Kernels of LeNet's step, the longest first. */
function kernelsText({ kernels = {} }: WebgpuBench): string[] {
  const { sum, ...others } = kernels;
  if (sum === undefined) return [];
  const parts = Object.entries(others).sort(([, a], [, b]) => b.median - a.median)
    .map(([name, { median }]) => `\`${name}\` ${Number(median.toFixed(1))}`);
  return [`Kernels take ${sum.median.toFixed(0)} µs of LeNet's step: ${parts.join(", ")}.`];
}

/** What a row of the benchmark is called in the README; undefined for those it leaves out. */
function rowTitle(
  { name, mflop }: Pick<Bench["rows"][number], "name" | "mflop">,
): string | undefined {
  const [, model, threads, batch] = /^wasm (\S+), (\d+ threads?), batch (\d+)$/.exec(name) ?? [];
  const network = model === "lenet" ? "" : `, ${model} (${mflop?.toFixed(1)} MFLOP an image)`;
  if (batch === "256") return `\`wasm\`${network}, ${threads}`;
  if (batch === "1024" && threads !== "1 thread") return `\`wasm\`, ${threads}, batch 1,024`;
  const tfjs = /^tfjs-wasm(?: \(TensorFlow\.js (.+)\))?$/.exec(name);
  if (tfjs !== null) {
    const version = tfjs[1];
    return `\`tfjs-wasm\`${
      version ? ` ${version}` : ""
    } with this project's kernels (as published: ` +
      "cannot train)";
  }
  return /^(PyTorch|jax)/i.test(name) ? name : undefined;
}

/** The network beside LeNet that the engine's row is of. */
function networkOf(name: string): string | undefined {
  const [, network] = /^wasm (\S+), /.exec(name) ?? [];
  return network === "lenet" ? undefined : network;
}

/** Whether PyTorch has trained the row's network too: only such networks are shown. */
function hasPeer(name: string, rows: Bench["rows"]): boolean {
  return rows.some((row) => row.name.startsWith(`PyTorch ${networkOf(name)}, `));
}

/** What a benchmark's `--json` wrote.
 *
 * @throws {SyntaxError} If it is no JSON.
 */
export function parseBench(text: string, label: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new SyntaxError(`Cannot read ${label}: it is not JSON`);
  }
}
