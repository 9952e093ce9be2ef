/** Values from files, shown in messages. */

const MAX_LENGTH = 60;

/** Shows a value as JSON, cut short, and with nothing in it that could steer a terminal. */
export function quote(value: unknown): string {
  const json = typeof value === "number" ? String(value) : JSON.stringify(value) ?? String(value);
  // JSON escapes the controls below U+0020 only; beyond are those of ISO 8859 and of text direction.
  const text = json.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 3)}...` : text;
}
