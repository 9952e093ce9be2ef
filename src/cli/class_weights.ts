/** The file of `--class-weights`. */

import { isNumber } from "../check.ts";
import { CLASS_WEIGHT } from "../nn/loss.ts";
import { isRecord, parseJson } from "../parse_json.ts";
import { printable, quote } from "../quote.ts";
import { readBounded } from "../read_bounded.ts";
import { didYouMean } from "./flags.ts";

const MAX_BYTES = 2 ** 20;

/** Reads a weight for each class: a JSON object from names to numbers, or a list in the order of labels.
 *
 * @throws {TypeError} If there is not one for each class, or one for another.
 * @throws {RangeError} If a weight is no number above 0.
 * @throws {SyntaxError} If it is not JSON.
 */
export async function readClassWeights(
  path: string,
  classNames: readonly string[],
): Promise<number[]> {
  const text = new TextDecoder().decode(await readBounded(path, MAX_BYTES));
  const file = printable(path);
  const example = `{${quote(classNames[0])}: 1, ...} or a list of ${classNames.length} numbers`;
  let content: unknown;
  try {
    content = parseJson(text);
  } catch (error) {
    throw new SyntaxError(
      `Cannot read ${file} as weights of classes: it is ${(error as SyntaxError).message}; ` +
        `expected ${example}`,
    );
  }
  if (!isRecord(content) && !Array.isArray(content)) {
    throw new TypeError(
      `Cannot read ${file} as weights of classes: expected ${example}, found ${quote(content)}`,
    );
  }
  if (Array.isArray(content) && content.length !== classNames.length) {
    throw new TypeError(
      `Cannot use ${file}: it has ${content.length} weights, the dataset ${classNames.length} classes`,
    );
  }
  const weights = Array.isArray(content) ? content : byName(content, { file, classNames });
  for (const [k, weight] of weights.entries()) {
    if (isNumber(weight, CLASS_WEIGHT)) continue;
    throw new RangeError(
      `Cannot use ${file}: the weight of ${quote(classNames[k])} must be a number from ` +
        `${CLASS_WEIGHT.min} to ${CLASS_WEIGHT.max}, found ${quote(weight)}`,
    );
  }
  return weights;
}

function byName(
  content: Readonly<Record<string, unknown>>,
  { file, classNames }: { readonly file: string; readonly classNames: readonly string[] },
): unknown[] {
  const unknown = Object.keys(content).find((name) => !classNames.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(
      `Cannot use ${file}: the dataset has no class ${quote(unknown)}` +
        didYouMean(unknown, classNames),
    );
  }
  const missing = classNames.find((name) => !Object.hasOwn(content, name));
  if (missing !== undefined) {
    throw new TypeError(
      `Cannot use ${file}: it has no weight for class ${quote(missing)}; name all ` +
        `${classNames.length} classes`,
    );
  }
  return classNames.map((name) => content[name]);
}
