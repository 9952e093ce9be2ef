/** The kinds of flags a command can declare, and the types of their values. */

export type FlagSpec = BooleanFlag | ValueFlag;

interface CommonSpec {
  /** One line for `--help`. */
  readonly help: string;
  /** What `--help` shows as the default where there is no fixed one, such as `from the model`. */
  readonly defaultText?: string;
}

/** `--quiet`; false unless given. With `negatable` also `--no-quiet`. */
interface BooleanFlag extends CommonSpec {
  readonly type: "boolean";
  readonly negatable?: boolean;
  readonly default?: boolean;
}

/** Which finite numbers a flag takes. */
export interface NumberRange {
  readonly min?: number;
  /** Values must be above it. */
  readonly exclusiveMin?: number;
  readonly max?: number;
  /** Values must be below it. */
  readonly exclusiveMax?: number;
}

/** A flag with a value, which has its default where it is not given. */
export type ValueFlag =
  & CommonSpec
  & {
    /** What `--help` calls the value; default depends on the type. */
    readonly placeholder?: string;
  }
  & (
    | { readonly type: "string"; readonly default?: string }
    | NumberRange & { readonly type: "integer" | "number"; readonly default?: number }
    | { readonly type: "choice"; readonly choices: readonly string[]; readonly default?: string }
    // `--backends a,b,c`: each one of `choices`, or any; completion offers those, or `offers`.
    | {
      readonly type: "list";
      readonly choices?: readonly string[];
      readonly offers?: readonly string[];
      readonly default?: readonly string[];
    }
    // `--grid lr=0.1,0.2 --grid seed=1..5`: any number of texts, each with the flag before it.
    | { readonly type: "repeated"; readonly default?: undefined }
  );

/** The flags of a command, by their long name without dashes. */
export type FlagTable = Readonly<Record<string, FlagSpec>>;

/** The names under which values are found: `batch-size` becomes `batchSize`. */
type CamelCase<Name extends string> = Name extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

/** The type of the values that a flag accepts. */
type PlainValue<Spec extends FlagSpec> = Spec extends { type: "string" } ? string
  : Spec extends { type: "integer" | "number" } ? number
  : Spec extends { type: "choice"; choices: readonly (infer Choice)[] } ? Choice
  : Spec extends { type: "list"; choices: readonly (infer Choice)[] } ? readonly Choice[]
  : readonly string[];

/** The value of one flag: undefined where it was not given and has no default. */
type FlagValue<Spec extends FlagSpec> = Spec extends { type: "boolean" } ? boolean
  : Spec extends { type: "repeated" } ? readonly string[]
  : Spec extends { default: unknown } ? PlainValue<Spec>
  : PlainValue<Spec> | undefined;

/** The values of all flags of a table. */
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table & string as CamelCase<Name>]: FlagValue<Table[Name]>;
};

/** Arguments that are no flags. */
export interface Positionals {
  /** What the usage line calls one, such as `FILE`. */
  readonly placeholder: string;
  /** One line for `--help`. */
  readonly help: string;
  /** Fewest accepted; default 0. */
  readonly min?: number;
  /** Most accepted; default any number. */
  readonly max?: number;
}

/** A command: what it does and what it accepts. */
export interface Command<Table extends FlagTable = FlagTable> {
  /** How it is called, such as `deno task fetch`. */
  readonly usage: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  /** Command lines without their `usage` part, and what each does; the commonest first. */
  readonly examples: readonly (readonly [args: string, purpose: string])[];
  readonly flags: Table;
  /** Its other arguments; none are accepted if left out. */
  readonly positionals?: Positionals;
}

export interface Parsed<Table extends FlagTable> {
  readonly flags: FlagValues<Table>;
  readonly positionals: readonly string[];
}
