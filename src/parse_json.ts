/** JSON that may come from anybody: bounded in depth, and without names that reach into objects. */

/** Deeper than any file of this project is, and far from where a stack would overflow. */
const MAX_DEPTH = 32;

/** Own fields of these names could be taken for an object's prototype by code that copies them. */
const FORBIDDEN: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** Parses JSON text.
 *
 * @throws {SyntaxError} Whose message completes "it is ...": the caller says what and where.
 */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new SyntaxError("not JSON");
  }
  // A list rather than recursion: the depth is what is not known yet.
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) {
      throw new SyntaxError(`nested more than ${MAX_DEPTH} levels deep`);
    }
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item !== "object" || item === null) continue;
      if (!Array.isArray(item)) {
        const name = Object.keys(item).find((key) => FORBIDDEN.has(key));
        if (name !== undefined) throw new SyntaxError(`JSON with the forbidden name "${name}"`);
      }
      for (const child of Object.values(item)) next.push(child);
    }
    level = next;
  }
  return value;
}

/** Whether a value is an object as JSON has them, with named fields. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
