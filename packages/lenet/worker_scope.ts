/** Gives Node's threads what the scope of a worker has elsewhere. */

import { builtin } from "../../src/platform.ts";

const { parentPort } = typeof self === "undefined" ? builtin("node:worker_threads")! : {};
if (parentPort) {
  const scope = {
    set onmessage(listen: (event: { readonly data: unknown }) => void) {
      parentPort.on("message", (data) => listen({ data }));
    },
    postMessage: (report: unknown) => parentPort.postMessage(report),
  };
  Object.assign(globalThis, { self: scope });
}
