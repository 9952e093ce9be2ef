/** The attributes of a foreign file's layer, each asked for by name, none left unread. */

import type { Pair } from "../nn/layers.ts";
import { quote } from "../quote.ts";

/** Axes, sizes and what else comes in lists are few, and are shown where they are wrong. */
const MAX_LIST = 32;

/** Reads a layer's attributes and remembers which, so that one nobody knows is an error. */
export class Attributes {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #unread: Set<string>;

  /** Takes attributes by name; one that is null counts as not there. */
  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
    this.#unread = new Set([...values].flatMap(([key, value]) => value == null ? [] : [key]));
  }

  /** Whatever is there; undefined for null. */
  value(key: string): unknown {
    this.#unread.delete(key);
    return this.#values.get(key) ?? undefined;
  }

  /** A number. */
  number(key: string, fallback: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === "number") return value;
    throw new TypeError(`${key} must be a number, found ${quote(value)}`);
  }

  /** True or false; of numbers, 0 is false. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value === "boolean") return value;
    if (value === 0 || value === 1) return value === 1;
    throw new TypeError(`${key} must be true or false, found ${quote(value)}`);
  }

  /** A list of numbers, if there is one. */
  list(key: string): readonly number[] | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((each) => typeof each === "number")) {
      return requireShort(value, key);
    }
    throw new TypeError(`${key} must be a list of numbers, found ${quote(value)}`);
  }

  /** Two whole numbers of 1 or more, or one for both directions. */
  pair(key: string, fallback?: Pair | number): Pair {
    const value = this.value(key) ?? fallback;
    const [height, width, ...more] = Array.isArray(value) ? value : [value, value];
    const isPair = more.length === 0 &&
      [height, width].every((size) => Number.isSafeInteger(size) && size >= 1);
    if (isPair) return [height, width];
    throw new TypeError(`${key} must be two whole numbers, found ${quote(value)}`);
  }

  /** Demands that an attribute, if given, has the only value supported, in each place of a list. */
  require(key: string, supported: unknown): void {
    const value = this.value(key) ?? supported;
    if ([value].flat().every((each) => each === supported)) return;
    throw new TypeError(`${key} must be ${quote(supported)}, found ${quote(value)}`);
  }

  /** Leaves attributes out of account, because they say nothing that could matter. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#unread.delete(key);
  }

  /** Demands that every attribute has been asked for. */
  finish(): void {
    const [key] = this.#unread;
    if (key === undefined) return;
    throw new TypeError(
      `attribute ${quote(key)} is not supported, found ${quote(this.#values.get(key))}`,
    );
  }
}

/** Refuses a list that is longer than any list of axes or sizes.
 *
 * @throws {TypeError} If it is; the message is the reason alone.
 */
export function requireShort<List extends { readonly length: number }>(
  list: List,
  name: string,
): List {
  if (list.length <= MAX_LIST) return list;
  throw new TypeError(`${name} must be at most ${MAX_LIST} numbers, found ${list.length}`);
}
