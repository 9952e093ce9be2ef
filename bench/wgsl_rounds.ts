/** Counts what an invocation of a kernel waits for: rounds of loads, and barriers of its workgroup.
 *
 * A round is loads that are under way together; one whose address was loaded itself comes a round later, and
 * a loop's rounds come one after another. Integers are computed as the GPU would, which gives loops their
 * length; where a condition depends on loaded values, the longer branch counts.
 */

/** What one invocation waits for. */
export interface Waits {
  readonly rounds: number;
  readonly barriers: number;
}

/** A place in the dispatch, and the numbers that kernels know of a chunk. */
export interface Dispatch {
  readonly group: readonly [x: number, y: number, z: number];
  readonly chunk: Readonly<Record<"groups" | "count" | "first" | "update" | "accumulate", number>>;
}

type Statement =
  | { readonly kind: "plain"; readonly text: string }
  | { readonly kind: "loop"; readonly head: readonly string[]; readonly body: readonly Statement[] }
  | { readonly kind: "if"; readonly condition: string; readonly bodies: readonly Statement[][] };

/** Names of whole numbers. */
type Numbers = Map<string, bigint>;

/** Counts for the first invocation of a workgroup.
 *
 * @param buffers Names of what is loaded from device memory.
 */
export function countWaits(code: string, buffers: readonly string[], dispatch: Dispatch): Waits {
  const uncommented = code.replaceAll(/\/\/.*/g, "");
  const functions = new Map(
    [...uncommented.matchAll(/fn (\w+)\(/g)].map(({ 1: name, index }) => {
      const start = uncommented.indexOf("{", closing(uncommented, index + name.length + 3));
      return [name, parse(uncommented.slice(start + 1, closing(uncommented, start)))];
    }),
  );
  return new Walker(functions, buffers, dispatch).run();
}

/** Place of the bracket that closes the one at `start`. */
function closing(text: string, start: number): number {
  let depth = 0;
  for (let place = start; place < text.length; place++) {
    if ("({[".includes(text[place])) depth++;
    if (")}]".includes(text[place]) && --depth === 0) return place;
  }
  throw new SyntaxError(`No bracket closes the one at ${start}`);
}

function parse(text: string): Statement[] {
  const statements: Statement[] = [];
  let rest = text.trim();
  const take = (end: number) => {
    const taken = rest.slice(0, end);
    rest = rest.slice(end).trim();
    return taken;
  };
  const block = () => parse(take(closing(rest, 0) + 1).slice(1, -1));
  while (rest !== "") {
    const [, word] = /^(for|while|if)\b/.exec(rest) ?? [];
    if (word !== undefined) {
      take(word.length);
      const head = take(closing(rest, 0) + 1).slice(1, -1);
      const body = block();
      if (word !== "if") {
        const parts = word === "for" ? head.split(";") : ["", head, ""];
        statements.push({ kind: "loop", head: parts, body });
        continue;
      }
      let other: Statement[] = [];
      if (/^else\b/.test(rest)) {
        take(4);
        if (rest.startsWith("{")) other = block();
        else {
          // An else-if is the statement that comes next.
          const chain = parse(rest);
          other = chain.slice(0, 1);
          statements.push({ kind: "if", condition: head, bodies: [body, other] });
          return [...statements, ...chain.slice(1)];
        }
      }
      statements.push({ kind: "if", condition: head, bodies: [body, other] });
    } else if (/^(switch\b|case\b|default:|\{)/.test(rest)) {
      take(rest.indexOf("{")); // the first case counts for all
      statements.push(...block());
    } else statements.push({ kind: "plain", text: take(rest.indexOf(";") + 1).slice(0, -1) });
  }
  return statements;
}

class Walker {
  readonly #functions: ReadonlyMap<string, readonly Statement[]>;
  readonly #loads: RegExp;
  readonly #given: Numbers;
  #barriers = 0;

  constructor(
    functions: ReadonlyMap<string, readonly Statement[]>,
    buffers: readonly string[],
    { group, chunk }: Dispatch,
  ) {
    this.#functions = functions;
    this.#loads = new RegExp(`\\b(?:${buffers.join("|")})\\[`);
    const axes = ["x", "y", "z"].flatMap((axis, n) => [
      [`group_${axis}`, BigInt(group[n])] as const,
      [`local_${axis}`, 0n] as const,
    ]);
    const known = Object.entries(chunk).map(([name, value]) =>
      [`chunk_${name}`, BigInt(value)] as const
    );
    this.#given = new Map([...axes, ...known]);
  }

  run(): Waits {
    const { rounds } = this.#walk(this.#functions.get("main")!, new Map());
    return { rounds, barriers: this.#barriers };
  }

  /** Rounds of statements, one after another; `isOver` once they return. */
  #walk(statements: readonly Statement[], numbers: Numbers): { rounds: number; isOver: boolean } {
    let rounds = 0;
    /** After how many rounds since the last loop a name is known. */
    let levels = new Map<string, number>();
    let level = 0;
    const end = () => {
      rounds += level;
      level = 0;
      levels = new Map();
    };
    for (const statement of statements) {
      if (statement.kind === "plain") {
        level = Math.max(level, this.#plain(statement.text, numbers, levels));
        if (/^return\b/.test(statement.text)) return { rounds: rounds + level, isOver: true };
        continue;
      }
      if (statement.kind === "if") {
        const { condition, bodies } = statement;
        const isLoaded = this.#levelOf(condition, levels);
        level = Math.max(level, isLoaded);
        const met = this.#evaluate(condition, numbers);
        const chosen = met === undefined ? bodies : [bodies[met ? 0 : 1]];
        const walked = chosen.map((body) => this.#walk(body, numbers));
        if (walked.some(({ rounds }) => rounds > 0)) {
          end();
          rounds += Math.max(...walked.map(({ rounds }) => rounds));
        }
        if (walked.every(({ isOver }) => isOver)) return { rounds: rounds + level, isOver: true };
        continue;
      }
      end();
      const [init, condition, step] = statement.head;
      this.#plain(init.trim(), numbers, new Map());
      while (this.#evaluate(condition, numbers)) {
        rounds += this.#walk(statement.body, numbers).rounds;
        this.#plain(step.trim(), numbers, new Map());
      }
    }
    return { rounds: rounds + level, isOver: false };
  }

  /** After how many rounds a statement is done; notes what it assigns. */
  #plain(text: string, numbers: Numbers, levels: Map<string, number>): number {
    if (/Barrier\(\)/.test(text)) this.#barriers++;
    const counted = text.replace(/^(\w+)(\+\+|--)$/, (_, name, sign) => `${name} ${sign[0]}= 1u`);
    const assignment = /^(?:(?:let|var) )?(\w+)(?:: \w+)? ([-+*]?)= ([^]*)$/.exec(counted);
    if (assignment === null) {
      // A store loads nothing but what it stores, and its place.
      const [place, value] = /^\w+\[[^]*?\] \+?= [^]*$/.test(text)
        ? [text.slice(text.indexOf("["), text.indexOf("] ")), text.slice(text.indexOf("= "))]
        : ["", text];
      return this.#levelOf(`${place} ${value}`, levels);
    }
    const [, name, operator, expression] = assignment;
    const whole = operator === "" ? expression : `${name} ${operator} (${expression})`;
    const value = this.#evaluate(whole, numbers);
    if (typeof value === "bigint") numbers.set(name, value);
    else numbers.delete(name);
    const level = this.#levelOf(expression, levels);
    levels.set(name, level);
    return level;
  }

  #levelOf(expression: string, levels: ReadonlyMap<string, number>): number {
    const words = expression.match(/\w+/g) ?? [];
    let level = Math.max(0, ...words.map((word) => levels.get(word) ?? 0));
    if (this.#loads.test(expression)) level++;
    for (const word of words) {
      const called = this.#functions.get(word);
      if (called !== undefined) level += this.#walk(called, new Map()).rounds;
    }
    return level;
  }

  /** The value of an expression of whole numbers; undefined of any other. */
  #evaluate(expression: string, numbers: Numbers): bigint | boolean | undefined {
    const compiled = compile(expression);
    if (compiled === undefined) return undefined;
    const values = compiled.names.map((name) => numbers.get(name) ?? this.#given.get(name));
    return values.includes(undefined) ? undefined : compiled.value(...values as bigint[]);
  }
}

interface Expression {
  readonly names: readonly string[];
  value(...numbers: bigint[]): bigint | boolean;
}

const expressions = new Map<string, Expression | undefined>();

const WGSL = {
  min: (a: bigint, b: bigint) => a < b ? a : b,
  max: (a: bigint, b: bigint) => a > b ? a : b,
  u32: (a: bigint) => a,
  i32: (a: bigint) => a,
};

/** An expression of whole numbers as a function of those it names; undefined for any other. */
function compile(expression: string): Expression | undefined {
  if (expressions.has(expression)) return expressions.get(expression);
  const text = expression
    .replaceAll(/\b(group|local|chunk)\.(\w+)/g, "$1_$2")
    .replaceAll(/\b(\d+)u?\b(?!\.)/g, "$1n");
  const words = new Set(text.match(/\b[a-z_]\w*/gi));
  const names = [...words].filter((word) => !(word in WGSL));
  const isSimple = text !== "" && /^[\w\s()+\-*/%<>=!&|,]*$/.test(text) &&
    !names.some((name) => new RegExp(`\\b${name}\\(`).test(text));
  const value = isSimple
    ? new Function(...Object.keys(WGSL), ...names, `return ${text}`).bind(
      undefined,
      ...Object.values(WGSL),
    )
    : undefined;
  const found = value && { names, value };
  expressions.set(expression, found);
  return found;
}
