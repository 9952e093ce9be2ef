/** Declarations of the part of `@std/cli` that the commands use. */
export function parseArgs(
  args: readonly string[],
  options: {
    boolean?: readonly string[];
    string?: readonly string[];
    negatable?: readonly string[];
    /** Flags whose values are gathered in an array. */
    collect?: readonly string[];
    alias?: Readonly<Record<string, string>>;
    default?: Readonly<Record<string, unknown>>;
    /** Called for what is declared nowhere; `key` is undefined for a positional argument. */
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  },
): { [name: string]: unknown; _: string[] };
