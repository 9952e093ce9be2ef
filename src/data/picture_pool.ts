/** Decoding pictures on all cores. */

import { coreCount } from "../platform.ts";
import {
  decodingBytes,
  fitFile,
  type FitReport,
  type FitTask,
  type FittedPicture,
} from "./picture_file.ts";

/** More threads than this wait for the disk and for this thread's hashing. */
const MAX_THREADS = 16;
/** Memory that all decoders together may take, but for a single picture that takes more. */
const MAX_POOL_BYTES = 1024 * 2 ** 20;

interface Waiting {
  readonly task: FitTask;
  readonly bytes: number;
  readonly resolve: (fitted: FittedPicture | Promise<FittedPicture>) => void;
}

/** Threads that decode pictures; where there are none, or they fail, this thread does. */
export class PicturePool implements Disposable {
  /** How many pictures should be under way to keep all threads busy. */
  readonly width: number;
  readonly #all: Worker[] = [];
  readonly #idle: Worker[] = [];
  readonly #waiting: Waiting[] = [];
  #takenBytes = 0;

  /** @param threads Default one a core. */
  constructor(threads = coreCount()) {
    const count = typeof Worker === "undefined" ? 0 : Math.min(threads, MAX_THREADS);
    for (let n = 0; n < count; n++) {
      // deno compile looks for this file by its name alone: no other in the project may have it.
      this.#all.push(
        new Worker(new URL("./picture_worker.ts", import.meta.url), { type: "module" }),
      );
    }
    this.#idle.push(...this.#all);
    this.width = Math.max(1, 2 * count);
  }

  /** Decodes and fits one picture.
   *
   * @throws {SyntaxError} If it cannot be decoded.
   */
  fit(task: FitTask): Promise<FittedPicture> {
    const { promise, resolve } = Promise.withResolvers<FittedPicture>();
    this.#waiting.push({ task, bytes: decodingBytes(task), resolve });
    this.#start();
    return promise;
  }

  #start(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { task, bytes, resolve } = next;
      const isOver = this.#takenBytes > 0 && this.#takenBytes + bytes > MAX_POOL_BYTES;
      if (this.#all.length > 0 && (this.#idle.length === 0 || isOver)) return;
      this.#waiting.shift();
      const worker = this.#idle.pop();
      if (worker === undefined) {
        resolve(new Promise((done) => done(fitFile(task))));
        continue;
      }
      this.#takenBytes += bytes;
      resolve(
        this.#ask(worker, task).finally(() => {
          this.#takenBytes -= bytes;
          this.#start();
        }),
      );
    }
  }

  async #ask(worker: Worker, task: FitTask): Promise<FittedPicture> {
    const { promise, resolve } = Promise.withResolvers<FitReport | undefined>();
    worker.onmessage = ({ data }: MessageEvent<FitReport>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      resolve(undefined);
    };
    worker.postMessage(task);
    const report = await promise;
    if (report === undefined) {
      // It could not start, or took too much: this thread either can, or says why not.
      worker.terminate();
      this.#all.splice(this.#all.indexOf(worker), 1);
      return fitFile(task);
    }
    this.#idle.push(worker);
    if ("fault" in report) throw new SyntaxError(report.fault);
    return report.fitted;
  }

  /** Ends the threads; what is under way is lost. */
  [Symbol.dispose](): void {
    for (const worker of this.#all) worker.terminate();
  }
}
