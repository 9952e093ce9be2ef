/** The yardstick: multiply-adds a second of this machine from WebAssembly, on one and on all
 * threads. As a worker, this file is one more thread: it answers "run" with the milliseconds it took.
 */

import { compileKernels, createMemory, instantiateKernels } from "../src/backends/wasm/kernels.ts";

/** Floating-point operations of one step of the kernel multiplyAddPeak. */
const FLOP_PER_STEP = 96;
const STEPS = 60_000;
const WORKER = "multiply-add peak";

async function openKernel(): Promise<() => number> {
  const kernels = instantiateKernels((await compileKernels()).module, createMemory());
  return () => {
    const start = performance.now();
    kernels.multiplyAddPeak(STEPS);
    return performance.now() - start;
  };
}

/** Runs the peak kernel on this thread and on workers at the same time. */
export class FmaPeak implements Disposable {
  readonly #workers: readonly Worker[];
  readonly #run: () => number;

  static async open(threads: number): Promise<FmaPeak> {
    const options = { type: "module", name: WORKER } as const;
    const workers = Array.from({ length: threads - 1 }, () => new Worker(import.meta.url, options));
    return new FmaPeak(workers, await openKernel());
  }

  private constructor(workers: readonly Worker[], run: () => number) {
    this.#workers = workers;
    this.#run = run;
  }

  /** GFLOP/s of all threads together: the sum of what each reached. */
  async measure(): Promise<number> {
    const others = this.#workers.map((worker) =>
      new Promise<number>((resolve) => {
        worker.onmessage = ({ data }: MessageEvent<number>) => resolve(data);
        worker.postMessage("run");
      })
    );
    const elapsedMs = [this.#run(), ...await Promise.all(others)];
    return elapsedMs.reduce((sum, ms) => sum + FLOP_PER_STEP * STEPS / ms / 1e6, 0);
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

if (self.name === WORKER) {
  const scope = self as unknown as Pick<Worker, "onmessage" | "postMessage">;
  const kernel = openKernel();
  scope.onmessage = async () => scope.postMessage((await kernel)());
}
