/** Text from files and folders that is fit to be shown: one rule for all that is read or printed. */

/** Longest text that is shown; names of files and folders are far shorter. */
const MAX_LENGTH = 1_000;

/** What steers a terminal, ends a line or turns the direction of writing; half a character too.
 *
 * Joiners are not among it: they change only how their neighbours look, and emoji, Persian and the
 * languages of India are written with them.
 */
const STEERING = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Whether a value is text that can be shown as it is, of at most 1,000 characters. */
export function isPrintable(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_LENGTH && value.search(STEERING) < 0;
}

/** The text with a replacement for each character that could steer a terminal or start a line. */
export function printable(
  text: string,
  replace: (character: string) => string = () => "\ufffd",
): string {
  return text.replace(STEERING, replace);
}
