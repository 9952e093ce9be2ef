/** The typed part of `@std/cli` in use: its npm edition ships no declarations. */
// @ts-types="./std.d.ts"
export { parseArgs } from "@std/cli/parse-args";
