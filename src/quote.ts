/** Values from files and counts, shown in messages. */

import { printable } from "./printable.ts";

const MAX_LENGTH = 60;

/** Shows a value as JSON, cut short, and with nothing in it that could steer a terminal. */
export function quote(value: unknown): string {
  const text = quoteWhole(value);
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 3)}...` : text;
}

/** As {@linkcode quote}, but never cut: for paths, whose end tells most. */
export function quoteWhole(value: unknown): string {
  const json = typeof value === "number" ? String(value) : toJson(value);
  // JSON escapes the controls below U+0020 only; beyond are those of ISO 8859 and of text direction.
  return printable(
    json,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch { // a ring, or a BigInt
    return `a value of type ${typeof value}`;
  }
}

/** 60,000. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `1 step`, `20 steps`. */
export function countOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}
