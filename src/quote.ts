/** Text and values from files, counts and commands as messages show them: one rule for all. */

/** Longest text that is shown; names of files and folders are far shorter. */
const MAX_PRINTABLE = 1_000;

/** What steers a terminal, ends a line or turns the direction of writing; half a character too.
 *
 * Joiners are not among it: they change only how their neighbours look, and emoji, Persian and the
 * languages of India are written with them.
 */
const STEERING = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Whether a value is text that can be shown as it is, of at most 1,000 characters. */
export function isPrintable(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_PRINTABLE && value.search(STEERING) < 0;
}

/** The text with a replacement for each character that could steer a terminal or start a line. */
export function printable(
  text: string,
  replace: (character: string) => string = () => "\ufffd",
): string {
  return text.replace(STEERING, replace);
}

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

/** `12.3%`.
 *
 * @param digits Behind the point.
 */
export function percentText(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)}%`;
}

/** `1 step`, `20 steps`. */
export function countOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** `deno task train`, or `lenet train` in the compiled program. */
export function invocation(command: string): string {
  return `${globalThis.Deno?.build.standalone ? "lenet" : "deno task"} ${command}`;
}

/** A path as a word of a command line: in quotes where a shell would make something else of it. */
export function shellWord(path: string): string {
  return /^[\w./:@%+,=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
