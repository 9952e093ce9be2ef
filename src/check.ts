/** Checks of what programs pass in: errors that name the argument, what was found and what is expected. */

import { quote } from "./quote.ts";

/** Which numbers are allowed; without a bound, all finite ones. */
export interface NumberRange {
  /** Whole numbers only. */
  readonly whole?: boolean;
  readonly min?: number;
  readonly max?: number;
  /** Larger than this. */
  readonly above?: number;
}

/** Whether a value is a number of a range. */
export function isNumber(value: unknown, range: NumberRange): boolean {
  const { whole = false, min = -Infinity, max = Infinity, above = -Infinity } = range;
  return Number.isFinite(value) && Number(value) >= min && Number(value) <= max &&
    Number(value) > above && (!whole || Number.isSafeInteger(value));
}

/** Checks a number.
 *
 * @param name The argument, as its documentation calls it.
 * @throws {RangeError} If it is not a number, or not one of the range.
 */
export function checkNumber(name: string, value: unknown, range: NumberRange): void {
  if (isNumber(value, range)) return;
  const { whole = false, min = -Infinity, max = Infinity, above = -Infinity } = range;
  const kind = whole ? "a whole number" : "a number";
  const bounds = above > -Infinity
    ? ` above ${above}`
    : max === Infinity
    ? min === -Infinity ? "" : `, ${min} or more`
    : ` in ${min}..${max}`;
  throw new RangeError(`Invalid ${name}: expected ${kind}${bounds}, found ${showKind(value)}`);
}

/** Largest seed: what a float64 can count. */
const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** Checks a seed.
 *
 * @throws {RangeError} If it is not a whole number in 0 .. 2^53 - 1.
 */
export function checkSeed(seed: unknown): void {
  checkNumber("seed", seed, { whole: true, min: 0, max: MAX_SEED });
}

/** Checks that a name is one of those there are.
 *
 * @throws {TypeError} If it is not.
 */
export function checkName(name: string, value: unknown, known: readonly unknown[]): void {
  if (known.includes(value)) return;
  throw new TypeError(
    `Unknown ${name} ${showKind(value)}: expected ${known.length > 1 ? "one of " : ""}` +
      known.join(", "),
  );
}

/** Checks that an argument is a model.
 *
 * @throws {TypeError} If it is not.
 */
export function checkModelArgument(value: unknown): void {
  if (Number.isInteger(Object(value).parameterCount)) return;
  throw new TypeError(
    `Invalid model: expected what sequential() or zooModel() gives, found ${showKind(value)}`,
  );
}

/** Checks that an argument is an object, such as options.
 *
 * @throws {TypeError} If it is not.
 */
export function checkObject(name: string, value: unknown, expected = "an object"): void {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`Invalid ${name}: expected ${expected}, found ${showKind(value)}`);
}

/** Checks that an argument is a typed array of one kind.
 *
 * @param meaning What the numbers are.
 * @param advice What to do about another kind.
 * @throws {TypeError} If it is not.
 */
export function checkArray(
  name: string,
  value: unknown,
  kind: Uint8ArrayConstructor | Uint32ArrayConstructor | Float32ArrayConstructor,
  meaning = "",
  advice = "",
): void {
  if (value instanceof kind) return;
  throw new TypeError(
    `Invalid ${name}: expected a ${kind.name}${meaning}, found ${showKind(value)}${advice}`,
  );
}

/** Checks that an argument may be called, or is left out.
 *
 * @throws {TypeError} If it is something else.
 */
export function checkFunction(name: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw new TypeError(`Invalid ${name}: expected a function, found ${showKind(value)}`);
}

/** The fields that have a value: those that are undefined are left out. */
export function withoutGaps<Fields extends object>(
  fields: Fields,
): { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Fields;
}

/** A value for people to read: objects by their kind alone. */
export function showKind(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return quote(value);
  const kind = value.constructor?.name || "Object";
  return `${/^[AEIO]/.test(kind) ? "an" : "a"} ${kind}`;
}
