/** A sweep over the ranks of an MPI job: each trains configurations of its own. */

import type { Dataset, LabeledImages } from "../data/dataset.ts";
import { handOut, takeJobs } from "../distributed/hand_out.ts";
import { threadShare } from "../distributed/open_part.ts";
import { hear, tell } from "../distributed/wire.ts";
import type { World } from "../distributed/world.ts";
import type { SweepResult } from "../run/sweep_record.ts";
import { withInterrupt } from "./errors.ts";
import { endAtOnce, withRanks } from "./mpi.ts";
import { baseFlags, type SweepFlags } from "./sweep_flags.ts";
import type { Settings } from "./sweep_grid.ts";
import { type Sharing, trainConfiguration } from "./sweep_worker.ts";

/** What rank 0 tells the others before the first configuration; nothing if there is none. */
interface Setup {
  readonly flags: SweepFlags;
  readonly dataset: Pick<Dataset, "name" | "classNames" | "digest">;
  readonly shape: Dataset["train"]["shape"];
}

/** What a rank answers; without a result where it was interrupted. */
interface Outcome {
  readonly result?: SweepResult;
}

/** Runs a sweep on rank 0, with which all ranks share the work. */
export async function sweepTogether(
  lead: (sharing: Sharing) => Promise<number>,
): Promise<number> {
  return await withRanks({
    async lead(world) {
      let told = false;
      try {
        return await lead({
          world,
          async run({ flags, dataset, signal, next, done }) {
            told = true;
            tellSetup(world, flags, dataset);
            const threads = threadShare(world);
            const work = { base: baseFlags(flags), dataset, rank: 0, threads, signal };
            await handOut<Settings, Outcome>(world, {
              next,
              run: async (settings) => ({ result: await trainConfiguration(work, settings) }),
              done: async ({ result }) => {
                if (result) await done(result);
              },
            }).catch((error) => endAtOnce(world, error)); // the others wait for answers
          },
        });
      } finally {
        if (!told) tell(world, null);
      }
    },
    follow,
  });
}

function tellSetup(world: World, flags: SweepFlags, dataset: Dataset): void {
  const { name, classNames, digest, train, test, validation = none(train) } = dataset;
  const setup: Setup = { flags, dataset: { name, classNames, digest }, shape: train.shape };
  const parts = [train, test, validation].flatMap(({ images, labels }) => [images, labels]);
  tell(world, setup, parts);
}

/** No image: what is sent where there is no validation set. */
function none({ shape }: LabeledImages): LabeledImages {
  return { images: new Uint8Array(), labels: new Uint8Array(), count: 0, shape };
}

async function follow(world: World): Promise<void> {
  const { fields: setup, parts } = hear<Setup | null>(world);
  if (setup === null) return;
  const { shape, flags } = setup;
  const [train, test, validation] = [0, 2, 4].map((n): LabeledImages => {
    const [images, labels] = [new Uint8Array(parts[n]), new Uint8Array(parts[n + 1])];
    return { images, labels, count: labels.length, shape };
  });
  const dataset: Dataset = {
    ...setup.dataset,
    train,
    test,
    ...(validation.count > 0 && { validation }),
  };
  const threads = threadShare(world);
  await withInterrupt(async (signal) => {
    const work = { base: baseFlags(flags), dataset, rank: world.rank, threads, signal };
    await takeJobs<Settings, Outcome>(
      world,
      async (settings) => ({ result: await trainConfiguration(work, settings) }),
    );
  });
}
