/** Schemas of JSON that may come from anybody: each gives a type and its checks from one definition. */

import * as v from "valibot";
import { isRecord, parseJson } from "../parse_json.ts";
import { isPrintable, quote } from "../quote.ts";
import type { Environment } from "./environment.ts";

/** A schema of values of a type. */
export type Schema<Type> = v.GenericSchema<unknown, Type>;

/** Text that can be shown as it is. */
export const text = v.pipe(v.string(), v.check((value) => isPrintable(value)));

/** An integer from 0. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A finite number above 0. */
export const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

/** A finite number from 0. */
export const notNegative = v.pipe(v.number(), v.finite(), v.minValue(0));

/** A number from 0 to below 1. */
export const share = v.pipe(v.number(), v.minValue(0), v.ltValue(1));

/** A number that was measured: NaN and infinity, which JSON does not have, were written as null. */
export const measured: Schema<number> = v.union([
  v.pipe(v.number(), v.finite()),
  v.pipe(v.null(), v.transform(() => NaN)),
]);

/** An object of these fields; others stay as they are. */
export function fields<const Entries extends v.ObjectEntries>(
  entries: Entries,
): Schema<Readonly<v.InferOutput<v.ObjectSchema<Entries, undefined>>>> {
  // What is no object has none of the fields: errors name the first.
  return v.pipe(v.unknown(), v.transform(Object), v.looseObject(entries)) as never;
}

/** An array. */
export function list<Item>(item: Schema<Item>): Schema<readonly Item[]> {
  return v.array(item);
}

/** An object of any names and values of one kind, which an error shows whole. */
export function dictionary<Value>(value: Schema<Value>): Schema<Readonly<Record<string, Value>>> {
  const schema = v.record(text, value);
  return v.custom<Readonly<Record<string, Value>>>((found) =>
    isRecord(found) && v.is(schema, found)
  );
}

/** What a run ran on: only shown. */
export const ENVIRONMENT = dictionary(
  v.union([text, v.pipe(v.number(), v.finite())]),
) as Schema<unknown> as Schema<Environment>;

/** Parses JSON by a schema.
 *
 * @param invalid Makes the error of what is wrong.
 * @throws {SyntaxError} What `invalid` makes, for the first field that is not as it must be.
 */
export function parseBy<Type>(
  schema: Schema<Type>,
  json: string,
  invalid: (reason: string) => SyntaxError,
): Type {
  let value: unknown;
  try {
    value = parseJson(json);
  } catch (error) {
    throw invalid(`it is ${(error as SyntaxError).message}`);
  }
  const { success, output, issues } = v.safeParse(schema, value, { abortEarly: true });
  if (success) return output;
  const path = v.getDotPath(issues[0]);
  throw invalid(
    path === null
      ? "it is not a JSON object"
      : `${path} is missing or out of range: found ${quote(issues[0].input)}`,
  );
}
