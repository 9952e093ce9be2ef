/** Kernels that make TensorFlow.js's wasm backend train, and right where it is wrong.
 *
 * @module
 */

import {
  getKernel,
  registerKernel,
  unregisterKernel,
  version_core,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import { KERNELS } from "./kernels/table.ts";
import { keepPublishedKernel } from "./kernels/workspace.ts";

/** The versions whose published kernels these build on. */
const SUPPORTED = "4.22";

/** A kernel of no operation, whose set-up TensorFlow.js runs when it starts the backend. */
const AT_START = "WasmTrainingKernels";

/** Makes TensorFlow.js's wasm backend able to train convolutional networks.
 *
 * Registers, for the backend named "wasm", the kernels that gradients need and that
 * `@tensorflow/tfjs-backend-wasm` lacks, and right or faster ones for some that it has. Call it
 * once, before or after that package is imported and the backend is set; a second call changes
 * nothing.
 *
 * @throws {Error} If TensorFlow.js is of another version than 4.22.
 * @example Train on wasm
 * ```ts ignore
 * import * as tf from "@tensorflow/tfjs";
 * import "@tensorflow/tfjs-backend-wasm";
 * import { registerWasmTrainingKernels } from "@lenet/lenet/tfjs";
 *
 * registerWasmTrainingKernels();
 * await tf.setBackend("wasm");
 * ```
 */
export function registerWasmTrainingKernels(): void {
  if (!version_core.startsWith(`${SUPPORTED}.`)) {
    throw new Error(
      `Cannot register the wasm training kernels: expected @tensorflow/tfjs-core ${SUPPORTED}, ` +
        `found ${version_core}; install the same ${SUPPORTED} version of every @tensorflow package`,
    );
  }
  if (getKernel(AT_START, "wasm")) return;
  registerKernel({
    kernelName: AT_START,
    backendName: "wasm",
    kernelFunc: () => [],
    setupFunc: replaceKernels,
  });
  // A backend that is started already is set up no more.
  if (getKernel("Conv2D", "wasm")) replaceKernels();
}

function replaceKernels(): void {
  for (const [kernelName, kernelFunc] of Object.entries(KERNELS)) {
    const published = getKernel(kernelName, "wasm");
    if (published?.kernelFunc === kernelFunc) continue;
    if (published) {
      keepPublishedKernel(published);
      unregisterKernel(kernelName, "wasm");
    }
    // The published set-up binds the compiled function that the replacement still calls.
    registerKernel({ ...published, kernelName, backendName: "wasm", kernelFunc });
  }
}
