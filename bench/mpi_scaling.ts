/** `deno task bench:mpi`: how training over MPI scales, on one machine and on hosts behind links. */

import { fileURLToPath } from "node:url";
import type { FlagValues } from "../src/cli/flag_types.ts";
import { defineCommand } from "../src/cli/flags.ts";
import { median } from "../src/compare/statistics.ts";
import { inTurns } from "../src/compare/turns.ts";
import { percentText } from "../src/quote.ts";
import { formatCount, formatTable } from "../src/report/table.ts";
import { allReduceMs, type CostModel, fitLink, stepMs } from "./mpi/model.ts";
import { addressesOf, type Link, makeHosts } from "./mpi/hosts.ts";
import type { AllReduce, RankMeasurement, RankOptions } from "./mpi/rank.ts";
import { runBenchmark } from "./program.ts";

const RANK = fileURLToPath(new URL("mpi/rank.ts", import.meta.url));
const AGENT = fileURLToPath(new URL("mpi/netns_agent.sh", import.meta.url));
const ENV = "OMPI_COMM_WORLD_SIZE,OMPI_COMM_WORLD_RANK,PMI_SIZE,PMI_RANK,LENET_MPI_LIBRARY";

const LINKS: readonly Link[] = [
  { name: "unshaped" },
  { name: "10 Gbit/s", rate: "10gbit" },
  { name: "1 Gbit/s", rate: "1gbit" },
  { name: "100 Mbit/s", rate: "100mbit" },
];

/** Links of clusters, for the model: latency of a message between processes, and bandwidth. */
const PAPER_LINKS = [
  { name: "10 Gbit/s Ethernet, 30 us", alphaMs: 0.03, bytesPerMs: 1.25e6 },
  { name: "100 Gbit/s InfiniBand, 2 us", alphaMs: 0.002, bytesPerMs: 12.5e6 },
] as const;

const PAPER_RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1000];

const COMMAND = defineCommand({
  usage: "deno task bench:mpi",
  summary:
    "Measure LeNet's training on MPI ranks of one machine, and on network namespaces (as root).",
  examples: [["--repeats 5", "what docs/scaling.md holds"]],
  flags: {
    repeats: { type: "integer", min: 1, default: 5, help: "measured repeats" },
    seconds: { type: "number", exclusiveMin: 0, default: 1, help: "seconds of a repeat" },
    "batch-size": { type: "integer", min: 1, default: 256, help: "images per step" },
    hosts: { type: "boolean", negatable: true, default: true, help: "also network namespaces" },
  },
});

/** A row to measure. */
interface Variant {
  readonly name: string;
  /** Ranks that mpirun starts; undefined for a process without MPI. */
  readonly ranks?: number;
  readonly options: RankOptions;
}

/** A row of a table, of some repeats. */
interface Measured {
  readonly name: string;
  readonly imagesPerSecond: readonly number[];
  readonly sumMs: readonly number[];
  readonly stepMs: readonly number[];
  readonly allReduce: readonly AllReduce[];
}

let print: (text: string) => void;

async function measure(
  { repeats, seconds, batchSize, ...flags }: FlagValues<typeof COMMAND.flags>,
  say: typeof print,
) {
  print = say;
  const command = ["deno task bench:mpi", ...Deno.args].join(" ");
  print(`LeNet, batch ${batchSize}, medians of ${repeats} repeats: ${command}\n`);
  const options = { batchSize, seconds };
  const [one, two, shared] = await measureInTurns([
    { name: "1 process, 1 thread", options: { ...options, threads: 1, plain: true } },
    { name: "1 process, 2 threads", options: { ...options, threads: 2, plain: true } },
    {
      name: "2 ranks of 1 thread",
      ranks: 2,
      options: { ...options, threads: 1, allReduce: true },
    },
  ], repeats);
  printTable("One machine", [one, two, shared]);
  printRatio(shared, two);
  printAllReduce(shared, "shared memory, 2 ranks");
  const hosts: Record<string, readonly Measured[]> = {};
  for (const link of flags.hosts ? LINKS : []) {
    hosts[link.name] = await benchHosts(link, { ...options, threads: 1 }, repeats);
  }
  const imagesPerSecond = median(one.imagesPerSecond);
  for (const link of PAPER_LINKS) printModel(link.name, { ...link, imagesPerSecond });
  return { batchSize, repeats, one: [one, two, shared], hosts };
}

/** Measures repeats of each variant in turns: a slow moment then meets all. */
async function measureInTurns(
  variants: readonly Variant[],
  repeats: number,
  hosts?: number,
): Promise<Measured[]> {
  const entries = variants.map((variant) => ({ variant, found: [] as RankMeasurement[] }));
  await inTurns(entries, repeats, async ({ variant, found }) => {
    found.push(await runOnce(variant, hosts));
  });
  return entries.map(({ variant: { name }, found }) => ({
    name,
    imagesPerSecond: found.map(({ imagesPerSecond }) => imagesPerSecond),
    sumMs: found.map(({ sumMs }) => sumMs),
    stepMs: found.map(({ stepMs }) => stepMs),
    allReduce: found[0].allReduce.map(({ floats }, size) => ({
      floats,
      ms: found.flatMap(({ allReduce }) => allReduce[size].ms),
    })),
  }));
}

/** Two hosts on the batch of one process (strong scaling), and on twice as much (weak). */
async function benchHosts(link: Link, options: RankOptions, repeats: number): Promise<Measured[]> {
  const { batchSize } = options;
  const twice = 2 * batchSize;
  await using _hosts = await makeHosts(2, link);
  const rows = await measureInTurns(
    [
      { name: `1 process: batch ${batchSize}`, options: { ...options, plain: true } },
      {
        name: `strong: batch ${batchSize}, 2 hosts`,
        ranks: 2,
        options: { ...options, allReduce: true },
      },
      {
        name: `weak: batch ${twice}, 2 hosts`,
        ranks: 2,
        options: { ...options, batchSize: twice },
      },
    ],
    repeats,
    2,
  );
  const [alone, strong, weak] = rows;
  printAllReduce(strong, `${link.name}, 2 hosts`);
  printTable(`Hosts behind links: ${link.name}`, rows);
  const least = strong.allReduce.map(({ floats, ms }) => ({ floats, leastMs: Math.min(...ms) }));
  const model = { ...fitLink(least), imagesPerSecond: median(alone.imagesPerSecond) };
  const checks = [
    ["strong", stepMs(2, batchSize, model).toFixed(2), median(strong.stepMs).toFixed(2)],
    ["weak", stepMs(2, twice, model).toFixed(2), median(weak.stepMs).toFixed(2)],
  ];
  print(`${formatTable(["", "model, ms a step", "measured"], checks, "lrr")}\n`);
  return rows;
}

/** Runs a process or ranks on this machine, or ranks one on each of some hosts. */
async function runOnce(
  { ranks, options }: Variant,
  hosts: number | undefined,
): Promise<RankMeasurement> {
  const deno = [
    "run",
    ...["--no-prompt", "--allow-read", "--allow-sys=cpus", `--allow-env=${ENV},XDG_RUNTIME_DIR`],
    "--allow-ffi=/usr/lib,/usr/lib64,/lib,/lib64",
    ...[RANK, JSON.stringify(options)],
  ];
  const command = ranks === undefined
    ? new Deno.Command("deno", { args: deno })
    : new Deno.Command("mpirun", {
      args: [
        ...["--quiet", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
        ...(hosts === undefined ? [] : placement(hosts)),
        ...["-n", String(ranks), "deno", ...deno],
      ],
    });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (code !== 0) throw new Error(`Cannot measure ${ranks ?? 1} ranks: ${text(stderr) || code}`);
  return JSON.parse(text(stdout));
}

/** Options of mpirun that put a rank on each host. */
function placement(hosts: number): string[] {
  const network = "10.77.0.0/24";
  return [
    ...["--host", addressesOf(hosts).join(",")],
    ...["--mca", "plm_rsh_agent", AGENT],
    ...["--mca", "oob_tcp_if_include", network],
    ...["--mca", "btl", "tcp,self"],
    ...["--mca", "btl_tcp_if_include", network],
  ];
}

function printTable(title: string, rows: readonly Measured[]): void {
  const base = median(rows[0].imagesPerSecond);
  const cells = rows.map(({ name, imagesPerSecond, stepMs, sumMs }) => [
    name,
    formatCount(median(imagesPerSecond)),
    `${formatCount(Math.min(...imagesPerSecond))}-${formatCount(Math.max(...imagesPerSecond))}`,
    (median(imagesPerSecond) / base).toFixed(2),
    median(stepMs).toFixed(2),
    median(sumMs) === 0 ? "" : percentText(median(sumMs.map((ms, n) => ms / stepMs[n]))),
  ]);
  const header = ["", "images/s", "range", "against the first", "ms a step", "in all-reduce"];
  print(`### ${title}\n\n${formatTable(header, cells, "lrrrrr")}\n`);
}

/** Prints what the round-by-round ratios say of ranks in place of threads. */
function printRatio(ranks: Measured, threads: Measured): void {
  const ratios = ranks.imagesPerSecond.map((rate, n) => rate / threads.imagesPerSecond[n]);
  const [least, middle, most] = [Math.min(...ratios), median(ratios), Math.max(...ratios)]
    .map((ratio) => ratio.toFixed(2));
  print(
    `${ranks.name} against ${threads.name}: ${middle} times the images/s ` +
      `(median of each round's ratio; ${least}-${most})\n`,
  );
}

function printAllReduce({ allReduce }: Measured, title: string): void {
  const cells = allReduce.map(({ floats, ms }) => [
    formatCount(floats),
    median(ms).toFixed(3),
    Math.min(...ms).toFixed(3),
    formatCount(4 * floats / Math.min(...ms) / 1000),
  ]);
  const table = formatTable(["floats", "median ms", "least ms", "MB/s at best"], cells, "rrrr");
  print(`### All-reduce: ${title}\n\n${table}\n`);
}

/** Prints speed-up and efficiency up to 1,000 ranks, by the model alone. */
function printModel(title: string, model: CostModel): void {
  const efficiency = (ranks: number, batchSize: number, alone: number) =>
    percentText(alone / stepMs(ranks, batchSize, model), 0);
  const cells = PAPER_RANKS.map((ranks) => [
    formatCount(ranks),
    allReduceMs(ranks, model).toFixed(2),
    ...[256, 4096, 65_536].map((batchSize) =>
      efficiency(ranks, batchSize, stepMs(1, batchSize, model) / ranks)
    ),
    ...[32, 256].map((each) => efficiency(ranks, each * ranks, stepMs(1, each, model))),
  ]);
  const header = [
    ...["ranks", "all-reduce ms", "batch 256", "batch 4,096", "batch 65,536"],
    ...["32 each", "256 each"],
  ];
  const table = formatTable(header, cells, "r".repeat(header.length));
  const rate = `${formatCount(model.imagesPerSecond)} images/s a rank`;
  print(`### Model on paper: efficiency, ${title}, ${rate}\n\n${table}\n`);
}

if (import.meta.main) await runBenchmark(COMMAND, measure);
