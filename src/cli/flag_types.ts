/** The kinds of flags a command can declare, and the types of their values. */

/** What every flag has. */
export interface CommonSpec {
  /** One line for `--help`. */
  readonly help: string;
  /** What `--help` shows as the default where there is no fixed one, such as `from the model`. */
  readonly defaultText?: string;
}

/** What every flag with a value has. */
export interface ValueSpec extends CommonSpec {
  /** What `--help` calls the value; default depends on the type. */
  readonly placeholder?: string;
}

/** `--quiet`; false unless given. With `negatable` also `--no-quiet`. */
export interface BooleanFlag extends CommonSpec {
  /** Kind of the value. */
  readonly type: "boolean";
  /** Whether `--no-` before the name says the opposite. */
  readonly negatable?: boolean;
  /** Value where the flag is not given; false unless told otherwise. */
  readonly default?: boolean;
}

/** `--out DIR`. */
export interface StringFlag extends ValueSpec {
  /** Kind of the value. */
  readonly type: "string";
  /** Value where the flag is not given. */
  readonly default?: string;
}

/** `--epochs 20` or `--lr 0.2`: a finite number within its range. */
export interface NumberFlag extends ValueSpec {
  /** Kind of the value. */
  readonly type: "integer" | "number";
  /** Least value accepted. */
  readonly min?: number;
  /** Values must be above it. */
  readonly exclusiveMin?: number;
  /** Largest value accepted. */
  readonly max?: number;
  /** Values must be below it. */
  readonly exclusiveMax?: number;
  /** Value where the flag is not given. */
  readonly default?: number;
}

/** `--optimizer sgd`: one of a few words. */
export interface ChoiceFlag extends ValueSpec {
  /** Kind of the value. */
  readonly type: "choice";
  /** The words accepted. */
  readonly choices: readonly string[];
  /** Value where the flag is not given. */
  readonly default?: string;
}

/** `--backends a,b,c`: words separated by commas, each one of a few if `choices` says so. */
export interface ListFlag extends ValueSpec {
  /** Kind of the value. */
  readonly type: "list";
  /** The words accepted; any if left out. */
  readonly choices?: readonly string[];
  /** Where any are, those that completion offers. */
  readonly offers?: readonly string[];
  /** Value where the flag is not given. */
  readonly default?: readonly string[];
}

/** `--grid lr=0.1,0.2 --grid seed=1..5`: any number of texts, each with the flag before it. */
export interface RepeatedFlag extends ValueSpec {
  /** Kind of the value. */
  readonly type: "repeated";
  /** There is none: where it is not given, the list is empty. */
  readonly default?: undefined;
}

/** The declaration of one flag. */
export type FlagSpec =
  | BooleanFlag
  | StringFlag
  | NumberFlag
  | ChoiceFlag
  | ListFlag
  | RepeatedFlag;

/** The flags of a command, by their long name without dashes. */
export type FlagTable = Readonly<Record<string, FlagSpec>>;

/** The names under which values are found: `batch-size` becomes `batchSize`. */
export type CamelCase<Name extends string> = Name extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

/** The type of the values that a flag accepts. */
export type PlainValue<Spec extends FlagSpec> = Spec extends { type: "string" } ? string
  : Spec extends { type: "integer" | "number" } ? number
  : Spec extends { type: "choice"; choices: readonly (infer Choice)[] } ? Choice
  : Spec extends { type: "list"; choices: readonly (infer Choice)[] } ? readonly Choice[]
  : readonly string[];

/** The value of one flag: undefined where it was not given and has no default. */
export type FlagValue<Spec extends FlagSpec> = Spec extends { type: "boolean" } ? boolean
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
  /** Its flags, by long name. */
  readonly flags: Table;
  /** Its other arguments; none are accepted if left out. */
  readonly positionals?: Positionals;
}

/** What a command line said. */
export interface Parsed<Table extends FlagTable> {
  /** Value of every flag. */
  readonly flags: FlagValues<Table>;
  /** The other arguments, in order. */
  readonly positionals: readonly string[];
}
