/** Own pictures: drawn classes that README's one command trains on, a small PyTorch network beside it.
 *
 *     deno task bench:pictures                     all sets
 *     deno task bench:pictures --sets parts --peers none
 */

// deno-lint-ignore-file no-console
import { encode } from "fast-png";
import { fileURLToPath } from "node:url";
import type { FlagValues } from "../src/cli/flag_types.ts";
import { defineCommand } from "../src/cli/flags.ts";
import { durationText } from "../src/compare/table.ts";
import { createRandom, type Random } from "../src/random.ts";
import { formatTable } from "../src/report/table.ts";
import { parseRunConfig } from "../src/run/config.ts";
import { parseMetricsLog } from "../src/run/metrics.ts";
import { runBenchmark } from "./program.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PEER = fileURLToPath(new URL("peers/pytorch_pictures.py", import.meta.url));

/** Side of a drawn picture; both programs train on 64 x 64. */
const SIDE = 128;

/** Whether a point is inside, for a shape of radius 1 around 0. */
type Shape = (x: number, y: number) => boolean;

const regular = (corners: number): Shape => (x, y) => {
  const step = 2 * Math.PI / corners;
  const angle = Math.atan2(y, x);
  const fromMiddle = angle - Math.round(angle / step) * step;
  return Math.hypot(x, y) * Math.cos(fromMiddle) < Math.cos(step / 2);
};

const toothed = (teeth: number): Shape => (x, y) =>
  Math.hypot(x, y) < (Math.cos(teeth * Math.atan2(y, x)) > 0 ? 1 : 0.8);

/** Metal parts, each with a hole; only the outline tells the classes apart. */
const PARTS: Readonly<Record<string, (random: Random) => Shape>> = {
  gear: (random) => toothed(9 + random.below(4)),
  nut: () => regular(6),
  square: () => regular(4),
  washer: () => (x, y) => Math.hypot(x, y) < 1,
};

const LEAVES: readonly Shape[] = [
  (x, y) => Math.abs(x) < 1 && Math.abs(y) < 0.42 * Math.sqrt(1 - x * x) * (0.6 + 0.4 * x),
  (x, y) => Math.hypot(x, y / 0.7) < 0.9 + 0.1 * Math.cos(9 * Math.atan2(y, x)),
];

interface DrawnSet {
  readonly classNames: readonly string[];
  /** Pictures of each class. */
  readonly train: number;
  readonly test: number;
  readonly channels: 1 | 3;
  readonly draw: (className: string, random: Random) => Uint8Array;
}

/** Leaves of two outlines, whichever the class, that only their hue tells apart. */
function leavesOf(hues: Readonly<Record<string, number>>, spread: number): DrawnSet {
  return {
    ...{ classNames: Object.keys(hues), train: 60, test: 100, channels: 3 },
    draw: (className, random) => {
      const hue = hues[className] + random.uniform(-spread, spread);
      const [saturation, value] = [random.uniform(0.6, 0.9), random.uniform(0.4, 0.75)];
      const ground = random.uniform(0.4, 0.9);
      return drawn(LEAVES[random.below(2)], random, {
        colour: [5, 3, 1].map((n) => {
          const k = (n + hue * 6 + 6) % 6;
          return value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1)));
        }),
        ground: [0, 1, 2].map(() => ground + random.uniform(-0.08, 0.08)),
        noise: random.uniform(0.02, 0.08),
      });
    },
  };
}

const SETS: Readonly<Record<string, DrawnSet>> = {
  parts: {
    ...{ classNames: Object.keys(PARTS), train: 60, test: 100, channels: 1 },
    draw: (className, random) => {
      const [outline, hole] = [PARTS[className](random), random.uniform(0.35, 0.6)];
      const ground = random.uniform(0.25, 0.6);
      return drawn((x, y) => outline(x, y) && Math.hypot(x, y) > hole, random, {
        ...{ colour: [ground + random.uniform(0.2, 0.5)], ground: [ground] },
        noise: random.uniform(0.02, 0.12),
      });
    },
  },
  leaves: leavesOf({ birch: 0.13, cherry: 0, maple: 0.07, oak: 0.28 }, 0.02),
  hues: leavesOf({ blue: 4 / 6, cyan: 3 / 6, green: 2 / 6, red: 0, yellow: 1 / 6 }, 0.04),
};

/** Draws a shape somewhere, turned and lit anyhow, and gives its pixels [SIDE, SIDE, channels]. */
function drawn(isInside: Shape, random: Random, { colour, ground, noise }: {
  readonly colour: readonly number[];
  readonly ground: readonly number[];
  readonly noise: number;
}): Uint8Array {
  const radius = random.uniform(0.22, 0.36);
  const [middleX, middleY] = [random.uniform(-0.1, 0.1), random.uniform(-0.1, 0.1)];
  const angle = random.uniform(0, 2 * Math.PI);
  const [cos, sin] = [Math.cos(angle) / radius, Math.sin(angle) / radius];
  const light = [random.uniform(0.8, 1.15), random.uniform(-0.4, 0.4), random.uniform(-0.4, 0.4)];
  const channels = colour.length;
  const pixels = new Uint8Array(channels * SIDE * SIDE);
  for (let n = 0; n < SIDE * SIDE; n++) {
    const [x, y] = [(n % SIDE) / SIDE - 0.5, Math.floor(n / SIDE) / SIDE - 0.5];
    let share = 0; // of four points
    for (const corner of [0, 1, 2, 3]) {
      const dx = x + (corner % 2) / (2 * SIDE) - middleX;
      const dy = y + (corner >> 1) / (2 * SIDE) - middleY;
      if (isInside(cos * dx + sin * dy, cos * dy - sin * dx)) share += 1 / 4;
    }
    const lit = light[0] + light[1] * x + light[2] * y;
    for (let k = 0; k < channels; k++) {
      const tone = lit * (ground[k] + share * (colour[k] - ground[k])) + random.normal(noise);
      pixels[channels * n + k] = Math.max(0, Math.min(255, Math.round(255 * tone)));
    }
  }
  return pixels;
}

const COMMAND = defineCommand({
  usage: "deno task bench:pictures",
  summary: "Train on drawn pictures as on your own, a small PyTorch network beside it.",
  examples: [["", "parts, leaves and hues"], ["--sets parts --seeds 3", "parts drawn three times"]],
  flags: {
    sets: {
      type: "list",
      choices: Object.keys(SETS),
      default: Object.keys(SETS),
      help: "what is drawn",
    },
    seeds: { type: "integer", min: 1, max: 100, default: 1, help: "drawings of each" },
    peers: {
      type: "list",
      choices: ["pytorch", "none"],
      default: ["pytorch"],
      help: "who trains beside it",
    },
  },
});

interface Result {
  readonly set: string;
  readonly seed: number;
  readonly who: string;
  /** Share of the held-out pictures. */
  readonly accuracy?: number;
  /** From before the process was started until it had ended. */
  readonly wallMs?: number;
  readonly reason?: string;
}

async function measure(
  { sets, seeds, peers }: FlagValues<typeof COMMAND.flags>,
  print: (text: string) => void,
) {
  const results: Result[] = [];
  for (const name of sets) {
    for (let seed = 1; seed <= seeds; seed++) {
      const folder = await Deno.makeTempDir({ prefix: "lenet-pictures-" });
      try {
        await write(SETS[name], seed, folder);
        const { plan, ...own } = await train(folder);
        results.push({ set: name, seed, who: "lenet", ...own });
        for (const augment of peers.includes("pytorch") ? [false, true] : []) {
          const { epochs, batchSize } = plan;
          const { channels, classNames } = SETS[name];
          const job = { folder, side: SIDE, channels, classes: classNames.length, augment };
          const peer = await trainPeer({ ...job, epochs, batchSize, seed });
          const who = `PyTorch${augment ? ", flips, quarter turns and shifts" : ""}`;
          results.push({ set: name, seed, who, ...peer });
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
      console.error(`${name}, drawing ${seed}: done`);
    }
  }
  const rows = results.map(({ set, seed, who, accuracy, wallMs, reason }) => [
    ...[set, `${seed}`, who, accuracy?.toFixed(4) ?? reason ?? ""],
    wallMs === undefined ? "" : durationText(wallMs),
  ]);
  print(formatTable(["pictures", "seed", "", "accuracy", "time"], rows, "lrlrr"));
  return { results };
}

/** Writes a folder a class below train/ and test/, and the same pixels in one file each for the peer. */
async function write(set: DrawnSet, seed: number, folder: string): Promise<void> {
  for (const part of ["train", "test"] as const) {
    const random = createRandom(seed, part);
    const all: Uint8Array[] = [];
    for (const className of set.classNames) {
      await Deno.mkdir(`${folder}/pictures/${part}/${className}`, { recursive: true });
      for (let n = 0; n < set[part]; n++) {
        const data = set.draw(className, random);
        const png = encode({ width: SIDE, height: SIDE, data, channels: set.channels });
        await Deno.writeFile(`${folder}/pictures/${part}/${className}/${n}.png`, png);
        all.push(data);
      }
    }
    await Deno.writeFile(`${folder}/${part}.bin`, ReadableStream.from(all));
  }
}

/** README's command, in a process of its own. */
async function train(folder: string) {
  const out = `${folder}/run`;
  const args = ["task", "train", "--dataset", `${folder}/pictures`, "--out", out, "--quiet"];
  const { wallMs } = await run("deno", args);
  const config = await Deno.readTextFile(`${out}/config.json`);
  const metrics = await Deno.readTextFile(`${out}/metrics.jsonl`);
  const last = parseMetricsLog(metrics, "metrics.jsonl").at(-1);
  return { accuracy: last?.testAccuracy, wallMs, plan: parseRunConfig(config, "config.json").plan };
}

async function trainPeer(job: Readonly<Record<string, unknown>>) {
  try {
    const { stdout, wallMs } = await run("python3", [PEER, JSON.stringify(job)]);
    return { accuracy: JSON.parse(stdout).accuracy as number, wallMs };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { reason: "python3 is not installed" };
    return { reason: (error as Error).message };
  }
}

async function run(program: string, args: readonly string[]) {
  const started = performance.now();
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], cwd: ROOT })
    .output();
  const wallMs = performance.now() - started;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (code !== 0) throw new Error(`${program}: ${text(stderr).split("\n").at(-1)}`);
  return { stdout: text(stdout), wallMs };
}

if (import.meta.main) await runBenchmark(COMMAND, measure);
