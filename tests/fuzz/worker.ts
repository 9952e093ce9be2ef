/** Reads the mutated files of one kind where it can be stopped if it hangs. */

import { fuzz } from "./fuzz.ts";

/** What the worker is told. */
export interface FuzzOrder {
  readonly kindName: string;
  readonly seed: number;
  readonly first: number;
  readonly count: number;
  /** One int32: the number of the current file, for the watcher. */
  readonly progress: SharedArrayBuffer;
}

self.addEventListener("message", async (event) => {
  const { kindName, progress, ...order } = (event as MessageEvent<FuzzOrder>).data;
  const current = new Int32Array(progress);
  const onCase = (index: number) => {
    Atomics.store(current, 0, index);
  };
  postMessage(await fuzz(kindName, { ...order, onCase }));
});

declare function postMessage(message: unknown): void;
