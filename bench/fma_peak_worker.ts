/** One more thread for `fma_peak.ts`: answers "run" with the milliseconds it took. */

import { createMemory, instantiateKernels } from "../src/backends/wasm/kernels.ts";

type Task = "run" | { readonly module: WebAssembly.Module; readonly steps: number };

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Task>) => void;
  postMessage(elapsedMs: number): void;
};
let run = () => {};

scope.onmessage = ({ data }) => {
  if (data === "run") {
    const start = performance.now();
    run();
    scope.postMessage(performance.now() - start);
  } else {
    const kernels = instantiateKernels(data.module, createMemory());
    run = () => kernels.multiplyAddPeak(data.steps);
  }
};
