/** The typed part of `@std/cli` and `@std/text` in use: their npm edition ships no declarations. */
// @ts-types="./std.d.ts"
export { parseArgs } from "@std/cli/parse-args";
// @ts-types="./std.d.ts"
export { closestString } from "@std/text/closest-string";
