/** The sample that comes with the project. */
import { fileURLToPath } from "node:url";

/** Folder of the sample, wherever the project lies.
 *
 * In the compiled program all modules are one file, at the root of the embedded folders.
 */
export function sampleFolder(): string {
  const path = Deno.build.standalone ? "./data/sample" : "../../data/sample";
  return fileURLToPath(new URL(path, import.meta.url));
}
