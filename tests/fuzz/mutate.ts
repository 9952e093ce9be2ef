/** Mutations of files: of their bytes, and of the JSON in them. All are drawn from a seeded generator. */

import type { Random } from "../../src/random.ts";

/** Makes one mutation of a file. */
export type Mutator = (bytes: Uint8Array, random: Random) => Uint8Array;

/** Numbers that sizes and offsets break at. */
const SIZES = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** Mutates bytes once to four times, each time in one of several ways. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  for (let times = 1 + random.below(4); times > 0; times--) {
    bytes = pick(BYTE_MUTATORS, random)(bytes, random);
  }
  return bytes;
}

const BYTE_MUTATORS: readonly Mutator[] = [
  flipBits,
  flipBits,
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  splice,
  insert,
  setSize,
  setSize,
];

function flipBits(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  for (let times = 1 + random.below(4); times > 0 && copy.length > 0; times--) {
    copy[position(copy, random)] ^= 1 << random.below(8);
  }
  return copy;
}

/** Puts a piece of the file over another place of it, which may be of another length. */
function splice(bytes: Uint8Array, random: Random): Uint8Array {
  const [from, to] = [position(bytes, random), position(bytes, random)];
  const piece = bytes.subarray(from, from + random.below(64));
  return concat(bytes.subarray(0, to), piece, bytes.subarray(to + random.below(64)));
}

function insert(bytes: Uint8Array, random: Random): Uint8Array {
  const at = position(bytes, random);
  const value = random.below(256);
  const length = random.below(10) === 0 ? 5_000 : random.below(16);
  return concat(bytes.subarray(0, at), new Uint8Array(length).fill(value), bytes.subarray(at));
}

/** Writes one of the sizes that matter, in any width and byte order. */
function setSize(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  const [width, isLittle] = [1 << random.below(4), random.below(2) === 1];
  const at = position(bytes, random);
  const value = pick(SIZES, random);
  for (let n = 0; n < width && at + n < copy.length; n++) {
    const shift = BigInt(8 * (isLittle ? n : width - 1 - n));
    copy[at + n] = Number(value >> shift & 0xffn);
  }
  return copy;
}

/** Places near the beginning, where headers are, come up more often. */
function position(bytes: Uint8Array, random: Random): number {
  const reach = random.below(2) === 0 ? bytes.length : Math.min(bytes.length, 64);
  return reach === 0 ? 0 : random.below(reach);
}

const ODD_JSON = [
  "null",
  "true",
  "-1",
  "-0",
  "0.5",
  "1e308",
  "9007199254740993",
  "1e999",
  '""',
  '"\\u0000\\u001b[2J\\n"',
  '"../../etc/passwd"',
  '"/etc/passwd"',
  '"__proto__"',
  '"\\ud800"',
  "[]",
  "{}",
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
];

const ODD_NAMES = ["__proto__", "constructor", "prototype", "toString", "", "length", "type"];

/** Mutates a JSON text in its structure: values and names are replaced, left out, doubled, nested. */
export function mutateJson(text: string, random: Random): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  const nodes = countNodes(value);
  let target = random.below(nodes);
  const write = (node: unknown): string => {
    const isTarget = target-- === 0;
    const plain = writePlain(node, write, isTarget ? random : undefined);
    return isTarget ? replaceNode(plain, random) : plain;
  };
  return write(value);
}

function replaceNode(text: string, random: Random): string {
  switch (random.below(8)) {
    case 0: {
      const depth = pick([2, 40, 5_000], random);
      return "[".repeat(depth) + text + "]".repeat(depth);
    }
    case 1: {
      const depth = pick([2, 40, 5_000], random);
      return '{"a":'.repeat(depth) + text + "}".repeat(depth);
    }
    case 2:
      return `[${text},${text}]`;
    case 3:
      return text; // its fields have been changed instead
    default:
      return pick(ODD_JSON, random);
  }
}

/** Writes a value; with a generator, one of its fields or items is left out, doubled or renamed. */
function writePlain(
  node: unknown,
  write: (node: unknown) => string,
  random: Random | undefined,
): string {
  if (typeof node !== "object" || node === null) return JSON.stringify(node);
  if (Array.isArray(node)) return `[${edited(node.map(write), random).join()}]`;
  const fields = Object.entries(node).map(([name, value]) => {
    const isRenamed = random !== undefined && random.below(4) === 0;
    return `${JSON.stringify(isRenamed ? pick(ODD_NAMES, random) : name)}:${write(value)}`;
  });
  return `{${edited(fields, random).join()}}`;
}

function edited(items: string[], random: Random | undefined): string[] {
  if (random === undefined || items.length === 0) return items;
  const at = random.below(items.length);
  return random.below(2) === 0
    ? items.filter((_, n) => n !== at)
    : [...items.slice(0, at), items[at], ...items.slice(at)];
}

function countNodes(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, child) => sum + countNodes(child), 1);
}

/** Draws one of a list. */
export function pick<Item>(items: readonly Item[], random: Random): Item {
  return items[random.below(items.length)];
}

/** Joins pieces of bytes. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
