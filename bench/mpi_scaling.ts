// deno-lint-ignore-file no-console
/** `deno task bench:mpi`: how training over MPI scales, on one machine and on hosts behind links. */

import { fileURLToPath } from "node:url";
import { defineCommand, parseFlags } from "../src/cli/flags.ts";
import { helpText } from "../src/cli/help.ts";
import { EXIT, runCommand } from "../src/cli/errors.ts";
import { median } from "../src/report/statistics.ts";
import { formatCount, formatTable } from "../src/report/table.ts";
import { describeEnvironment } from "../src/report/environment.ts";
import { allReduceMs, type CostModel, fitLink, stepMs } from "./mpi/model.ts";
import { addressesOf, type Link, makeHosts } from "./mpi/hosts.ts";
import type { RankMeasurement, RankOptions } from "./mpi/rank.ts";

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
  examples: [["--rounds 9", "what docs/scaling.md holds"]],
  flags: {
    rounds: { type: "integer", min: 1, default: 5, help: "of each measurement, in turns" },
    seconds: { type: "number", exclusiveMin: 0, default: 1, help: "of a round" },
    "batch-size": { type: "integer", min: 1, default: 256, help: "images of a step" },
    hosts: { type: "boolean", negatable: true, default: true, help: "also network namespaces" },
  },
});

/** One line of a table. */
interface Measured extends RankMeasurement {
  readonly name: string;
}

async function benchCommand(args: string[]): Promise<number> {
  const { flags, help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  const { rounds, seconds, batchSize } = flags;
  const { cpu, cores } = describeEnvironment();
  console.log(
    `${cpu}, ${cores} cores, ${
      new Date().toISOString().slice(0, 10)
    }; LeNet, batch ${batchSize}, ` +
      `medians of ${rounds} rounds: deno task bench:mpi ${args.join(" ")}\n`,
  );
  const options = { threads: 1, batchSize, seconds };
  const variants = [
    { name: "1 process, 1 thread", ranks: 1, threads: 1 },
    { name: "1 process, 2 threads", ranks: 1, threads: 2 },
    { name: "2 ranks of 1 thread", ranks: 2, threads: 1 },
  ];
  const turns = new Map<string, Measured>();
  for (let round = 0; round < rounds; round++) { // in turns: a slow moment then meets all
    for (const { name, ranks, threads } of variants) {
      const measured = await runRanks(ranks, { ...options, threads, rounds: 1 });
      turns.set(name, merge(turns.get(name), { name, ...measured }));
    }
  }
  printTable("One machine", [...turns.values()]);
  printAllReduce(turns.get("2 ranks of 1 thread")!, "shared memory, 2 ranks");
  if (flags.hosts) await benchHosts({ ...options, rounds });
  const imagesPerSecond = median(turns.get("1 process, 1 thread")!.imagesPerSecond);
  for (const link of PAPER_LINKS) printModel(link.name, { ...link, imagesPerSecond });
  return EXIT.ok;
}

async function benchHosts(options: RankOptions): Promise<void> {
  for (const link of LINKS) {
    const rows: Measured[] = [];
    const checks: string[][] = [];
    for (const count of [1, 2]) {
      await using _hosts = await makeHosts(count, link);
      const strong = await runRanks(count, options, count);
      rows.push({ name: `strong: batch ${options.batchSize}, ${count} hosts`, ...strong });
      if (count === 1) continue;
      printAllReduce(strong, `${link.name}, ${count} hosts`);
      const imagesPerSecond = median(rows[0].imagesPerSecond);
      const model = { ...fitLink(strong.allReduce), imagesPerSecond };
      const weak = { ...options, batchSize: count * options.batchSize };
      const measured = await runRanks(count, weak, count);
      rows.push({ name: `weak: batch ${weak.batchSize}, ${count} hosts`, ...measured });
      for (
        const { name, batchSize, found } of [
          { name: "strong", batchSize: options.batchSize, found: strong },
          { name: "weak", batchSize: weak.batchSize, found: measured },
        ]
      ) {
        const predicted = stepMs(count, batchSize, model);
        checks.push([name, predicted.toFixed(2), median(found.stepMs).toFixed(2)]);
      }
    }
    printTable(`Hosts behind links: ${link.name}`, rows);
    console.log(`${formatTable(["", "model, ms a step", "measured"], checks, "lrr")}\n`);
  }
}

/** Runs ranks on this machine, or one on each of some hosts. */
async function runRanks(
  ranks: number,
  options: RankOptions,
  hosts?: number,
): Promise<RankMeasurement> {
  const network = "10.77.0.0/24";
  const placement = hosts === undefined ? [] : [
    ...["--host", addressesOf(hosts).join(",")],
    ...["--mca", "plm_rsh_agent", AGENT],
    ...["--mca", "oob_tcp_if_include", network],
    ...["--mca", "btl", "tcp,self"],
    ...["--mca", "btl_tcp_if_include", network],
  ];
  const deno = [
    "deno",
    "run",
    ...["--no-prompt", "--allow-read", "--allow-sys=cpus", `--allow-env=${ENV},XDG_RUNTIME_DIR`],
    "--allow-ffi=/usr/lib,/usr/lib64,/lib,/lib64",
    ...[RANK, JSON.stringify(options)],
  ];
  const { code, stdout, stderr } = await new Deno.Command("mpirun", {
    args: [
      ...["--quiet", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
      ...placement,
      ...["-n", String(ranks), ...deno],
    ],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (code !== 0) throw new Error(`Cannot measure ${ranks} ranks: ${text(stderr) || code}`);
  return JSON.parse(text(stdout));
}

function merge(before: Measured | undefined, now: Measured): Measured {
  if (before === undefined) return now;
  return {
    ...now,
    imagesPerSecond: [...before.imagesPerSecond, ...now.imagesPerSecond],
    stepMs: [...before.stepMs, ...now.stepMs],
    sumMs: [...before.sumMs, ...now.sumMs],
  };
}

function printTable(title: string, rows: readonly Measured[]): void {
  const base = median(rows[0].imagesPerSecond);
  const cells = rows.map(({ name, imagesPerSecond, stepMs, sumMs }) => [
    name,
    formatCount(median(imagesPerSecond)),
    `${formatCount(Math.min(...imagesPerSecond))}-${formatCount(Math.max(...imagesPerSecond))}`,
    (median(imagesPerSecond) / base).toFixed(2),
    median(stepMs).toFixed(2),
    `${(100 * median(sumMs.map((ms, n) => ms / stepMs[n]))).toFixed(1)}%`,
  ]);
  const header = ["", "images/s", "range", "against the first", "ms a step", "in all-reduce"];
  console.log(`### ${title}\n\n${formatTable(header, cells, "lrrrrr")}\n`);
}

function printAllReduce({ allReduce }: RankMeasurement, title: string): void {
  const cells = allReduce.map(({ floats, ms, leastMs }) => [
    formatCount(floats),
    ms.toFixed(3),
    leastMs.toFixed(3),
    formatCount(4 * floats / leastMs / 1000),
  ]);
  const table = formatTable(["floats", "median ms", "least ms", "MB/s at best"], cells, "rrrr");
  console.log(`### All-reduce: ${title}\n\n${table}\n`);
}

/** Prints speed-up and efficiency up to 1,000 ranks, by the model alone. */
function printModel(title: string, model: CostModel): void {
  const efficiency = (ranks: number, batchSize: number, alone: number) =>
    `${(100 * alone / stepMs(ranks, batchSize, model)).toFixed(0)}%`;
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
  console.log(`### Model on paper: efficiency, ${title}, ${rate}\n\n${table}\n`);
}

if (import.meta.main) await runCommand(benchCommand);
