/** Numbers and names as C has them. */

import type { Layer } from "../../nn/layers/table.ts";

/** Values for between braces, four columns in. */
export function wrapped(values: readonly string[]): string {
  return linesOf(values.map((value) => `${value},`), "    ").join("\n");
}

/** Words in lines of at most 100 columns. */
export function linesOf(words: readonly string[], indent: string): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 98) lines[lines.length - 1] += ` ${word}`;
    else lines.push(indent + word);
  }
  return lines;
}

/** A number as a float of C, to the last bit. */
export function showFloat(value: number): string {
  const shown = String(Number(Math.fround(value).toPrecision(9)));
  return `${/[.e]/.test(shown) ? shown : `${shown}.0`}f`;
}

/** A number as `multiplier / 2^shift`. */
export interface Factor {
  /** Below 2^31. */
  readonly multiplier: number;
  /** 1 to 62. */
  readonly shift: number;
}

/** A positive factor as a whole number of 31 bits over a power of two. */
export function factorOf(value: number): Factor {
  const shift = Math.min(Math.max(30 - Math.floor(Math.log2(value)), 1), 62);
  const multiplier = Math.round(value * 2 ** shift);
  if (multiplier < 2 ** 31) return { multiplier, shift };
  return {
    multiplier: Math.min(Math.round(multiplier / 2), 2 ** 31 - 1),
    shift: Math.max(shift - 1, 1),
  };
}

/** A factor between braces. */
export function showFactor({ multiplier, shift }: Factor): string {
  return `{${multiplier}, ${shift}}`;
}

/** A word of C for each layer, no two the same. */
export function uniqueNames(layers: readonly Layer[]): string[] {
  const names = layers.map(({ name }) => {
    const word = name.replace(/[^A-Za-z0-9]+/g, "_");
    return /^[A-Za-z]/.test(word) ? word : `layer_${word}`.replace(/_+/g, "_");
  });
  const isShared = (name: string) => names.filter((other) => other === name).length > 1;
  return names.map((name, index) => isShared(name) ? `${name}_at_${index}` : name);
}
