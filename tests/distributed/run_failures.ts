// deno-lint-ignore-file no-console
/** One rank of a job whose rank 1 fails at each thing once: prints what rank 0 learns of it, and that
 * the job goes on.
 */

import { EXIT, runCommand } from "../../src/cli/errors.ts";
import { withRanks } from "../../src/cli/mpi.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { endFollowers, follow } from "../../src/distributed/follow.ts";
import { openTogether } from "../../src/distributed/session.ts";
import { together } from "../../src/distributed/wire.ts";
import type { World } from "../../src/distributed/world.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { caseModel, PARITY_CASES, randomImages } from "../parity/cases.ts";

const model = caseModel(PARITY_CASES[2]);
const [first, second, third] = [11, 13, 17].map((count, n) => randomImages(model, count, n + 1));
const options = { optimizer: { type: "sgd", momentum: 0 }, batchSize: 4, threads: 1 } as const;

/** Prints the error that must come. */
async function fail(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
    console.log("nothing failed");
  } catch (error) {
    console.log(error instanceof Error ? `${error.name}: ${error.message}` : error);
  }
}

async function lead(world: World): Promise<number> {
  await fail(() => together(world, () => Promise.resolve()));
  const shared = { backend: "wasm", model, options } as const;
  await fail(() => openTogether(world, shared));
  await using session = await openTogether(world, shared);
  await using alone = await (await loadBackend("wasm")).open(model, options);
  await fail(() => session.attach(first));
  for (const data of [first, second]) {
    await session.evaluate(data); // all ranks forget it again
    await fail(() => session.train(data, request(data.count)));
  }
  for (const data of [second, first, third]) await session.attach(data);
  await session.detach(first);
  await session.attach(first);
  const state = { parameters: initialParameters(model, 1), slots: [], step: 0 };
  for (const one of [session, alone]) await one.loadState(state);
  for (const data of [first, second, third]) {
    await alone.attach(data);
    const losses = await Promise.all([session, alone].map(async (one) => {
      const { losses } = await one.train(data, request(data.count));
      return [...losses, (await one.evaluate(data)).loss];
    }));
    const difference = Math.max(...losses[0].map((loss, n) => Math.abs(loss - losses[1][n])));
    console.log(difference < 1e-5 ? "as one process" : `losses differ by ${difference}`);
  }
  return EXIT.ok;
}

function request(count: number) {
  const order = Uint32Array.from({ length: count }, (_, n) => n);
  return { order, batchSize: 4, learningRates: new Float32Array(Math.ceil(count / 4)).fill(0.1) };
}

/** What rank 1 hears wrong, each once: no thread to work with, and a label that is no class. */
function mishearing(world: World): World {
  let opened = false;
  let attached = false;
  return {
    ...world,
    broadcast(bytes, root) {
      world.broadcast(bytes, root);
      const text = new TextDecoder().decode(bytes);
      if (!opened && text.includes('"type":"open"')) {
        opened = true;
        bytes.set(new TextEncoder().encode(text.replace('"threads":1', '"threads":0')));
      } else if (opened && !attached && bytes.length === first.count) {
        attached = true;
        bytes[0] = 255;
      }
    },
  };
}

await runCommand(() =>
  withRanks({
    async lead(world) {
      try {
        return await lead(world);
      } finally {
        endFollowers(world);
      }
    },
    async follow(world) {
      const own = () => world.rank === 1 ? Promise.reject(new Error("")) : Promise.resolve();
      await together(world, own).catch(() => {});
      await follow(world.rank === 1 ? mishearing(world) : world);
    },
  })
);
