/** Commands as a shell that completes them sees them. */

/** What a value can be. */
export interface CompletableValue {
  /** What help calls it. */
  readonly placeholder: string;
  /** The words it may be; empty if nobody can list them. */
  readonly words: readonly string[];
  /** Whether it may be a file or a folder. */
  readonly files: boolean;
  /** Whether it is several words with commas between. */
  readonly list: boolean;
}

/** A flag as a shell sees it. */
export interface CompletableFlag {
  /** Without dashes. */
  readonly name: string;
  readonly help: string;
  /** Undefined if it takes none. */
  readonly value?: CompletableValue;
}

/** A command as a shell sees it. */
export interface CompletableCommand {
  readonly name: string;
  readonly purpose: string;
  readonly flags: readonly CompletableFlag[];
  /** Undefined if it takes no other arguments. */
  readonly positional?: CompletableValue;
}
