/** The typed part of `cli-progress` and `@std/fmt` in use: they ship no declarations. */
// @ts-types="./std.d.ts"
import cliProgress from "cli-progress";
// @ts-types="./std.d.ts"
export { format as formatBytes } from "@std/fmt/bytes";

export const { SingleBar } = cliProgress;
