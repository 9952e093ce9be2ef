/** Starts a thread of the `wasm` engine from the package's own text: bundlers and servers need to know of
 * no other file. */

import { builtin } from "../../src/platform.ts";

/** The bundle of `worker.ts`, which the build puts here. */
declare const WORKER_SCRIPT: string;

/** What the engine uses of a worker. */
export type Thread = Pick<Worker, "addEventListener" | "postMessage" | "terminate">;

/** A new thread that waits for its task. */
export function startWorker(): Thread {
  const threads = builtin("node:worker_threads");
  if (typeof Worker === "undefined" && threads !== undefined) return nodeThread(threads);
  const url = URL.createObjectURL(new Blob([WORKER_SCRIPT], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  // Once it speaks, or has failed, it has been loaded.
  const forget = () => URL.revokeObjectURL(url);
  worker.addEventListener("message", forget, { once: true });
  worker.addEventListener("error", forget, { once: true });
  return worker;
}

/** Node's threads have events of another kind. */
function nodeThread({ Worker }: typeof import("node:worker_threads")): Thread {
  const worker = new Worker(WORKER_SCRIPT, { eval: true });
  return {
    addEventListener(type: string, listen: (event: never) => void) {
      if (type === "message") worker.on("message", (data) => listen({ data } as never));
      if (type === "error") {
        worker.on("error", ({ message }) => listen({ message, preventDefault() {} } as never));
      }
    },
    postMessage: (task: unknown) => worker.postMessage(task),
    terminate: () => void worker.terminate(),
  } as Thread;
}
