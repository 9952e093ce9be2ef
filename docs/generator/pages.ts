/** All that is generated: the blocks of the pages, and the pictures beside them. */

import { dirname, join } from "node:path";
import { sliceImages } from "../../src/data/dataset.ts";
import { loadDataset } from "../../src/data/load.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { curvesSvg } from "../../src/report/curves.ts";
import type { EpochMetrics } from "../../src/train/progress.ts";
import { type AccuracyBench, accuracyBlock } from "./accuracy.ts";
import { fillBlocks, pictureNames } from "./blocks.ts";
import { architectureFigure, lossFigure, standardizationFigure, windowsFigure } from "./figures.ts";
import { augmentationFigure, receptiveFieldFigure } from "./image_figures.ts";
import { type Bench, gpuBlock, speedBlock, type WebgpuBench, webgpuBlock } from "./speed.ts";
import * as tables from "./tables.ts";
import type { Training } from "./trainings.ts";

/** Pages with blocks. */
export const PAGES = ["README.md", "docs/lesson.md", "docs/guide.md", "docs/speedrun.md"];

/** What was measured. */
export interface Measurements {
  readonly trainings: readonly Training[];
  /** Left out until someone has measured it: the README's block then stays as it is. */
  readonly bench?: Bench;
  /** Of an emulated GPU, and of a real one. */
  readonly webgpuBench?: WebgpuBench;
  readonly gpuBench?: WebgpuBench;
  readonly accuracyBench?: AccuracyBench;
}

/** Images whose loss is computed before any training. */
const FIRST_IMAGES = 64;

/** Makes all pages and pictures anew: content by path.
 *
 * @param read Gives a file of the project.
 * @param format Formats Markdown as the project does.
 */
export async function generate(
  measurements: Measurements,
  { read, format }: {
    readonly read: (path: string) => Promise<string>;
    readonly format: (markdown: string) => Promise<string>;
  },
): Promise<Map<string, string>> {
  const { trainings, bench, webgpuBench, gpuBench, accuracyBench } = measurements;
  const { train, test } = await loadDataset("sample");
  const blocks: Record<string, string | undefined> = {
    "curves": await curvesBlock(trainings, read),
    "speed": bench && speedBlock(bench),
    "speed-webgpu": webgpuBench && webgpuBlock(webgpuBench),
    "speed-gpu": gpuBench && gpuBlock(gpuBench),
    "accuracy": accuracyBench && accuracyBlock(accuracyBench),
    "first-loss": await tables.firstLossTable(sliceImages(train, 0, FIRST_IMAGES)),
    "sizes": tables.sizesTable(),
    "lenet": tables.lenetTable(),
    "parameters": tables.parametersTable(trainings),
    "standardization": tables.standardizationTable(trainings),
    "recipes": tables.recipesTable(trainings),
    "exercises": tables.exerciseAnswers(),
  };
  const pictures: Record<string, string> = {
    "docs/curves.svg": await curvesSvg(
      "lenet on fashion-mnist",
      tables.find(trainings, "lenet-0").epochs as unknown as EpochMetrics[],
    ),
    "docs/architecture.svg": await architectureFigure(zooModel("lenet")),
    "docs/augmentation.svg": await augmentationFigure(test),
    "docs/loss.svg": await lossFigure(),
    "docs/windows.svg": await windowsFigure(),
    "docs/receptive_field.svg": await receptiveFieldFigure(test, zooModel("lenet")),
    "docs/standardization.svg": await standardizationFigure(
      tables.comparedTrainings(trainings).map(({ training, seed, pixels }) => ({
        pixels,
        seed,
        values: training.epochs.slice(0, 10).map(({ testAccuracy }) => testAccuracy),
      })),
    ),
  };
  const files = new Map(Object.entries(pictures));
  for (const path of PAGES) {
    const page = await read(path);
    for (const name of pictureNames(page)) {
      if (name.endsWith(".svg") && !files.has(join(dirname(path), name))) {
        throw new TypeError(`Cannot make ${name} of ${path}: nothing draws it; add it to PICTURES`);
      }
    }
    const filled = fillBlocks(page, (name) => {
      if (!Object.hasOwn(blocks, name)) {
        throw new TypeError(`Cannot fill block "${name}" of ${path}: nothing writes it`);
      }
      return blocks[name];
    }, path);
    files.set(path, await format(filled));
  }
  return files;
}

/** What the README says of its curves. */
async function curvesBlock(
  trainings: readonly Training[],
  read: (path: string) => Promise<string>,
): Promise<string> {
  const { command, machine, date, epochs } = tables.find(trainings, "lenet-0");
  const { trainLoss, trainAccuracy, testAccuracy } = epochs.at(-1)!;
  const peer = (await read("tests/fixtures/torch_curves.jsonl")).trim().split("\n")
    .map((line) => JSON.parse(line) as Record<"epoch" | "loss" | "train" | "test", number>)
    .filter(({ epoch }) => epoch === epochs.length);
  const range = (key: "loss" | "train" | "test") => {
    const values = peer.map((line) => line[key]);
    return `${Math.min(...values).toFixed(3)}-${Math.max(...values).toFixed(3)}`;
  };
  return `The run of this picture: \`${command}\` on ${machine}, ${date}: train loss ` +
    `${trainLoss.toFixed(3)}, train accuracy ${trainAccuracy.toFixed(3)}, test accuracy ` +
    `${testAccuracy.toFixed(3)}. PyTorch with the same recipe ended between ` +
    `${range("loss").replace("-", " and ")}, ${range("train").replace("-", " and ")}, and ` +
    `${range("test").replace("-", " and ")} with ${peer.length} seeds; more seeds spread wider.`;
}
