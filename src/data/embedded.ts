/** The sample that comes with the project. */
import { fileURLToPath } from "node:url";

/** Folder of the sample, wherever the project lies. */
export function sampleFolder(): string {
  return fileURLToPath(new URL("../../data/sample", import.meta.url));
}
