/** A sweep over the ranks of an MPI job: each trains configurations of its own. */

import type { Dataset, LabeledImages } from "../data/dataset.ts";
import { handOut, takeJobs } from "../distributed/hand_out.ts";
import { threadShare } from "../distributed/open_part.ts";
import { hear, tell } from "../distributed/wire.ts";
import type { World } from "../distributed/world.ts";
import type { SweepResult } from "../run/sweep_record.ts";
import { withInterrupt } from "./errors.ts";
import { endAtOnce, withRanks } from "./mpi.ts";
import type { Settings } from "./sweep_flags.ts";
import { type TrainAll, trainConfiguration } from "./sweep_worker.ts";
import type { TrainFlags } from "./train_flags.ts";

/** What rank 0 tells the others before the first configuration, and its images; null if there is none. */
interface Setup {
  readonly base: TrainFlags;
  readonly dataset: Pick<Dataset, "name" | "classNames" | "digest">;
  readonly shape: Dataset["train"]["shape"];
}

/** Runs a sweep on rank 0, with which all ranks share the work. */
export async function sweepTogether(
  lead: (trainAll: TrainAll) => Promise<number>,
): Promise<number> {
  return await withRanks({
    async lead(world) {
      let told = false;
      try {
        return await lead(async ({ next, done, ...work }) => {
          told = true;
          tellSetup(world, work.base, work.dataset);
          const part = { ...work, rank: 0, threads: threadShare(world) };
          const run = (settings: Settings) => trainConfiguration(part, settings);
          await handOut(world, { next, run, done })
            .catch((error) => endAtOnce(world, error)); // the others wait for answers
        });
      } finally {
        if (!told) tell(world, null);
      }
    },
    follow,
  });
}

function tellSetup(
  world: World,
  base: TrainFlags,
  { name, classNames, digest, train, test, validation }: Dataset,
): void {
  const setup: Setup = { base, dataset: { name, classNames, digest }, shape: train.shape };
  const sets = [train, test, ...(validation ? [validation] : [])];
  tell(world, setup, sets.flatMap(({ images, labels }) => [images, labels]));
}

async function follow(world: World): Promise<void> {
  const { fields: setup, parts } = hear<Setup | null>(world);
  if (setup === null) return;
  const { shape, base } = setup;
  const vectors = parts.map((part) => new Uint8Array(part));
  const [train, test, validation] = [0, 2, 4].filter((n) => n < vectors.length)
    .map((n): LabeledImages => {
      const [images, labels] = vectors.slice(n, n + 2);
      return { images, labels, count: labels.length, shape };
    });
  const dataset = { ...setup.dataset, train, test, validation };
  const threads = threadShare(world);
  await withInterrupt((signal) => {
    const work = { base, dataset, rank: world.rank, threads, signal };
    return takeJobs<Settings, SweepResult>(world, (settings) => trainConfiguration(work, settings));
  });
}
