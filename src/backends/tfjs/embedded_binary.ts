/** TensorFlow.js's WebAssembly binary in the compiled program, where it cannot find it by itself. */

/** Place among the embedded files; the program's modules are one file at their root. */
const BINARY = "./node_modules/@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm";

/** Imports the WebAssembly backend and tells it to take the embedded binary.
 *
 * The binary travels as a blob: URL, which fetch takes without any permission. It is the SIMD build
 * under all three names: every machine that Deno's own runtime supports has it.
 */
export async function useEmbeddedBinary(): Promise<void> {
  const { setWasmPaths } = await import("npm:@tensorflow/tfjs-backend-wasm@4.22.0");
  const bytes = await Deno.readFile(new URL(BINARY, import.meta.url));
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/wasm" }));
  setWasmPaths({
    "tfjs-backend-wasm.wasm": url,
    "tfjs-backend-wasm-simd.wasm": url,
    "tfjs-backend-wasm-threaded-simd.wasm": url,
  }, true);
  // Emscripten takes Deno for Node and asks for this name of a CommonJS module, then for no file.
  Object.assign(globalThis, { __dirname: "" });
}
