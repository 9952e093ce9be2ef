/** Work that is handed out piece by piece: a rank takes the next one when it is free. */

import type { World } from "./world.ts";

/** How long rank 0 does its own work before it looks for messages. */
const LOOK_EVERY_MS = 5;

/** Hands out jobs to all ranks until `next` gives none; rank 0 works as well, in between.
 *
 * @param next The next job; undefined for no more.
 * @param done Takes what came of one, if anything did.
 */
export async function handOut<Job, Result>(
  world: World,
  { next, run, done }: {
    next(): Job | undefined;
    run(job: Job): Promise<Result | undefined>;
    done(result: Result): Promise<void>;
  },
): Promise<void> {
  async function work(): Promise<void> {
    for (let job; (job = next()) !== undefined;) {
      const result = await run(job);
      if (result !== undefined) await done(result);
    }
  }
  async function serve(): Promise<void> {
    for (let busy = world.size - 1; busy > 0;) {
      if (!world.hasMessage()) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
        continue;
      }
      const { source, bytes } = world.receive();
      const { result } = decode<{ result?: Result }>(bytes);
      if (result !== undefined) await done(result);
      const job = next();
      if (job === undefined) busy--;
      world.send(source, encode({ job }));
    }
  }
  await Promise.all([work(), serve()]);
}

/** Takes jobs from rank 0 until there are no more; each time tells it what came of the last, if anything did. */
export async function takeJobs<Job, Result>(
  world: World,
  run: (job: Job) => Promise<Result | undefined>,
): Promise<void> {
  let result: Result | undefined;
  for (;;) {
    world.send(0, encode({ result }));
    const { job } = decode<{ job?: Job }>(world.receive(0).bytes);
    if (job === undefined) return;
    result = await run(job);
  }
}

function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

function decode<T>(bytes: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(bytes)) as T;
}
