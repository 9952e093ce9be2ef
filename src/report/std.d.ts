/** Declarations of the parts of `cli-progress` and `@std/fmt` that the reports use. */

/** A progress bar on one line of a terminal. */
export class SingleBar {
  constructor(options: {
    format: string;
    stream?: { readonly isTTY: boolean };
    fps?: number;
    hideCursor?: boolean;
    linewrap?: boolean;
    clearOnComplete?: boolean;
    barsize?: number;
    barCompleteChar?: string;
    barIncompleteChar?: string;
    emptyOnZero?: boolean;
  });
  start(total: number, startValue: number, payload?: Record<string, unknown>): void;
  update(value: number, payload?: Record<string, unknown>): void;
  setTotal(total: number): void;
  stop(): void;
}

declare const cliProgress: { readonly SingleBar: typeof SingleBar };
export default cliProgress;

export function format(bytes: number): string;
