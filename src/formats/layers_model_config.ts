/** The attributes of a LayersModel's layer, each asked for by name, none left unread. */

import type { Pair } from "../nn/layers.ts";
import { quote } from "../quote.ts";

/** An object of a file, whatever is in it. */
export type Json = Readonly<Record<string, unknown>>;

/** What matters to training alone, or was read before. */
const IRRELEVANT = /_(initializer|regularizer|constraint)$|^(name|trainable|batch_(input_)?shape)$/;

/** Reads a layer's attributes and remembers which, so that one nobody knows is an error. */
export class LayerConfig {
  /** Its name; empty if it has none. */
  readonly name: string;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #unread: Set<string>;

  /** Takes a layer's `config`. */
  constructor(config: Json) {
    this.#values = new Map(Object.entries(config));
    // What is null is not there: Keras writes all that a layer could have.
    const given = [...this.#values].filter(([key, value]) =>
      value != null && !IRRELEVANT.test(key)
    );
    this.#unread = new Set(given.map(([key]) => key));
    this.name = typeof config.name === "string" ? config.name : "";
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

  /** True or false. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value === "boolean") return value;
    throw new TypeError(`${key} must be true or false, found ${quote(value)}`);
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

/** An object of a file.
 *
 * @throws {TypeError} If it is none.
 */
export function requireObject(value: unknown, what: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new TypeError(`${what} must be an object, found ${quote(value)}`);
}
