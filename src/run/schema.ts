/** Checks of the fields of JSON that may come from anybody. */

import { isRecord } from "../parse_json.ts";
import { isPrintable, quote } from "../quote.ts";

/** Whether a value is as the rest of the program relies on. */
export type Check = (value: unknown) => boolean;

/** Checks by the paths of fields, such as `plan.epochs`. */
export type FieldTable = Readonly<Record<string, Check>>;

/** Text that can be shown as it is. */
export const isText: Check = isPrintable;

/** An integer from 0. */
export const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

/** A finite number above 0. */
export const isPositive: Check = (value) =>
  typeof value === "number" && value > 0 && value < Infinity;

/** A number from 0 to below 1. */
export const isShare: Check = (value) => typeof value === "number" && value >= 0 && value < 1;

/** A list of what a check accepts. */
export const isList = (check: Check): Check => (value) =>
  Array.isArray(value) && value.every(check);

/** One of some words. */
export const isOneOf = (...words: readonly string[]): Check => (value) =>
  words.includes(value as string);

/** What a check accepts, or nothing. */
export const isOptional = (check: Check): Check => (value) => value === undefined || check(value);

/** An object of numbers and text. */
export function isFlat(value: unknown): boolean {
  return isRecord(value) &&
    Object.values(value).every((item) => isText(item) || Number.isFinite(item));
}

/** Checks the fields of a value.
 *
 * @param invalid Makes the error of what is wrong.
 * @throws {SyntaxError} What `invalid` makes, for the first field that is not as it must be.
 */
export function requireFields(
  fields: unknown,
  table: FieldTable,
  invalid: (reason: string) => SyntaxError,
): void {
  for (const [path, isValid] of Object.entries(table)) {
    const value = valueAt(fields, path);
    if (isValid(value)) continue;
    throw invalid(`${path} is missing or out of range: found ${quote(value)}`);
  }
}

/** The value at a path of own fields such as `plan.epochs`. */
export function valueAt(fields: unknown, path: string): unknown {
  return path.split(".").reduce(
    (value, key) => Object.hasOwn(Object(value), key) ? Object(value)[key] : undefined,
    fields,
  );
}
