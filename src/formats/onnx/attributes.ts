/** The attributes of an ONNX node, each asked for by name, none left unread. */

import { quote } from "../../quote.ts";
import { ATTRIBUTE, type AttributeProto, type NodeProto, type TensorProto } from "./schema.ts";

type Kind = keyof typeof ATTRIBUTE;

/** Reads a node's attributes and remembers which, so that one nobody knows is an error. */
export class Attributes {
  readonly #byName: ReadonlyMap<string, AttributeProto>;
  readonly #unread: Set<string>;

  /** Takes a node's attributes. */
  constructor({ attribute }: NodeProto) {
    this.#byName = new Map(attribute.map((each) => [each.name, each]));
    if (this.#byName.size < attribute.length) throw new TypeError("an attribute is given twice");
    this.#unread = new Set(this.#byName.keys());
  }

  /** A whole number. */
  integer(name: string, fallback: number): number {
    const found = this.#take(name, "int");
    return found === undefined ? fallback : Number(found.i);
  }

  /** A number. */
  float(name: string, fallback: number): number {
    return this.#take(name, "float")?.f ?? fallback;
  }

  /** A word. */
  text(name: string, fallback: string): string {
    const found = this.#take(name, "string");
    return found === undefined ? fallback : new TextDecoder().decode(found.s);
  }

  /** A constant. */
  tensor(name: string): TensorProto | undefined {
    return this.#take(name, "tensor")?.t;
  }

  /** A list of numbers. */
  floats(name: string): readonly number[] | undefined {
    return this.#take(name, "floats")?.floats;
  }

  /** A list of whole numbers, a few of them. */
  list(name: string): readonly number[] | undefined {
    const found = this.#take(name, "ints")?.ints;
    return found && requireShort(found, name).map(Number);
  }

  /** A list of whole numbers of a certain length. */
  integers(name: string, fallback: readonly number[]): readonly number[] {
    const found = this.list(name);
    if (found === undefined) return fallback;
    if (found.length === fallback.length) return found;
    throw new TypeError(`${name} must be ${fallback.length} numbers, found ${found.length}`);
  }

  /** Demands that a whole number, if given, is the only one supported. */
  requireInteger(name: string, supported: number): void {
    const found = this.integer(name, supported);
    if (found !== supported) throw unsupported(name, found, supported);
  }

  /** Demands that a list, if given, holds nothing but the number supported. */
  requireAll(name: string, supported: number, length: number): void {
    const found = this.integers(name, Array(length).fill(supported));
    if (found.some((value) => value !== supported)) throw unsupported(name, found, supported);
  }

  /** Leaves attributes out of account, because they say nothing that could matter. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#unread.delete(name);
  }

  /** Demands that every attribute has been asked for. */
  finish(): void {
    const [name] = this.#unread;
    if (name !== undefined) throw new TypeError(`attribute ${quote(name)} is not supported`);
  }

  #take(name: string, kind: Kind): AttributeProto | undefined {
    this.#unread.delete(name);
    const found = this.#byName.get(name);
    // Files of the first versions leave the type out.
    if (found === undefined || found.type === ATTRIBUTE[kind] || found.type === 0) return found;
    throw new TypeError(`attribute ${quote(name)} must be of type ${kind}`);
  }
}

/** Axes, sizes and what else comes in lists are few, and are shown where they are wrong. */
const MAX_LIST = 32;

/** Refuses a list that is longer than any list of axes or sizes.
 *
 * @throws {TypeError} If it is; the message is the reason alone.
 */
export function requireShort<List extends { readonly length: number }>(list: List, name: string) {
  if (list.length <= MAX_LIST) return list;
  throw new TypeError(`${name} must be at most ${MAX_LIST} numbers, found ${list.length}`);
}

function unsupported(name: string, found: unknown, supported: number): TypeError {
  return new TypeError(`${name} must be ${supported}, found ${quote(found)}`);
}
