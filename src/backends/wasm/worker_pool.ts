/** Starts and ends the threads of a session. */

import type { Model } from "../../nn/sequential.ts";
import type { OptimizerSpec } from "../backend.ts";
import type { LayoutOptions } from "./layout.ts";
import type { Place } from "./executor.ts";

/** All that a worker needs to build the same layout and program as the main thread. */
export interface WorkerSetup extends LayoutOptions {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly model: Model;
  readonly optimizer: OptimizerSpec;
  readonly clipNorm?: number;
  readonly thread: number;
  readonly seed: number;
  readonly shard?: Place;
}

/** What a worker says. */
export type WorkerReport =
  | { readonly type: "ready" | "closed" }
  | { readonly type: "failed"; readonly message: string };

/** The workers of a session; thread 0 is the one that starts them. */
export class WorkerPool {
  readonly #workers: PoolWorker[];

  /** Starts threads 1, 2, ... and waits until they are ready.
   *
   * @throws {Error} If one cannot start.
   */
  static async start(setup: Omit<WorkerSetup, "thread">): Promise<WorkerPool> {
    const workers = Array.from(
      { length: setup.threads - 1 },
      (_, index) => new PoolWorker(index + 1),
    );
    const pool = new WorkerPool(workers);
    try {
      await Promise.all(workers.map((worker) => worker.begin(setup)));
    } catch (error) {
      pool.terminate();
      throw error;
    }
    return pool;
  }

  private constructor(workers: PoolWorker[]) {
    this.#workers = workers;
  }

  /** Rejects with the message of the worker that failed first. */
  failure(): Promise<never> {
    return Promise.race(this.#workers.map((worker) => worker.failure));
  }

  /** Waits until every worker has said goodbye, which the team's closing makes it do. */
  async end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.heard("closed")));
    this.terminate();
  }

  /** Ends all workers at once. */
  terminate(): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

class PoolWorker {
  /** Never resolves; rejects if the worker fails. */
  readonly failure: Promise<never>;
  readonly #thread: number;
  readonly #worker: Worker;

  constructor(thread: number) {
    this.#thread = thread;
    // deno compile looks for this file by its name alone: no other in the project may have it.
    this.#worker = new Worker(new URL("./engine_worker.ts", import.meta.url), { type: "module" });
    this.failure = new Promise((_, reject) => {
      const fail = (message: string) =>
        reject(new Error(`Cannot go on as thread ${thread} failed: ${message}`));
      this.#worker.addEventListener("error", (event) => {
        event.preventDefault();
        fail(event.message || "its script could not be loaded"); // as under a policy of a page
      });
      this.#worker.addEventListener("message", ({ data }: MessageEvent<WorkerReport>) => {
        if (data.type === "failed") fail(data.message);
      });
    });
    this.failure.catch(() => {}); // it is heard when somebody asks
  }

  begin(setup: Omit<WorkerSetup, "thread">): Promise<void> {
    const ready = this.heard("ready");
    this.#worker.postMessage({ ...setup, thread: this.#thread } satisfies WorkerSetup);
    return ready;
  }

  /** Waits for a report. */
  heard(type: "ready" | "closed"): Promise<void> {
    const report = new Promise<void>((resolve) => {
      this.#worker.addEventListener("message", ({ data }: MessageEvent<WorkerReport>) => {
        if (data.type === type) resolve();
      });
    });
    return Promise.race([report, this.failure]);
  }

  terminate(): void {
    this.#worker.terminate();
  }
}
