/** The yardstick: multiply-adds a second of this machine from WebAssembly, on one and on all
 * threads.
 */

import { compileKernels, createMemory, instantiateKernels } from "../src/backends/wasm/kernels.ts";

/** Floating-point operations of one step of the kernel multiplyAddPeak. */
const FLOP_PER_STEP = 96;
const STEPS = 60_000;

/** Runs the peak kernel on this thread and on workers at the same time. */
export class FmaPeak implements Disposable {
  readonly #workers: readonly Worker[];
  readonly #run: () => void;

  static async open(threads: number): Promise<FmaPeak> {
    const { module } = await compileKernels();
    const kernels = instantiateKernels(module, createMemory());
    const workers = Array.from({ length: threads - 1 }, () => {
      const worker = new Worker(new URL("./fma_peak_worker.ts", import.meta.url), {
        type: "module",
      });
      worker.postMessage({ module, steps: STEPS });
      return worker;
    });
    return new FmaPeak(workers, () => kernels.multiplyAddPeak(STEPS));
  }

  private constructor(workers: readonly Worker[], run: () => void) {
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
    const start = performance.now();
    this.#run();
    const elapsedMs = [performance.now() - start, ...await Promise.all(others)];
    return elapsedMs.reduce((sum, ms) => sum + FLOP_PER_STEP * STEPS / ms / 1e6, 0);
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}
