/** Models as C: a header and a source file without dependencies. */

import { volume } from "../../nn/layers/layer.ts";
import { showPixels } from "../../nn/standardization.ts";
import { foldModel } from "../folded_model.ts";
import type { QuantizedModel } from "../quantized_model.ts";
import type { Model } from "../../nn/sequential.ts";
import type { TrainedModel } from "../trained_model.ts";
import { type Kernel, type KernelName, KERNELS, RESCALE, SHAPE } from "./kernels.ts";
import { writeLayers } from "./layers.ts";
import { showFloat, wrapped } from "./text.ts";
import type { Writer } from "./writer.ts";

/** An image and what a model answers, for a program to check itself. */
export interface CExample {
  /** Bytes, [channels, height, width]. */
  readonly pixels: Uint8Array;
  /** What comes out, [classes]. */
  readonly logits: Float32Array;
}

/** A model in C. */
export interface CFiles {
  /** What functions and files are called: the model's name as a word of C. */
  readonly name: string;
  /** The content of `NAME.h`. */
  readonly header: string;
  /** The content of `NAME.c`. */
  readonly source: string;
  /** Bytes of all constants; the functions come on top, a few thousand. */
  readonly flashBytes: number;
  /** Bytes of working memory, all static; the stack takes less than 200. */
  readonly ramBytes: number;
}

/** Encodes a model as C99: `NAME.h` and `NAME.c`, which need no library but math.h, and allocate nothing.
 *
 * `NAME_predict` takes an image's bytes, [channels, height, width], and gives the class and the logits.
 * Batch norm goes into the weights before it, dropout is left out. Working memory is static: what is no
 * longer read makes room for others. Compiled with NAME_TEST defined, `NAME_test` predicts the example.
 *
 * @param trained In floats, or from {@linkcode quantizeModel} in whole numbers of 8 bits.
 * @throws {RangeError} If folding batch norm gives no number.
 * @example LeNet for a microcontroller
 * ```ts
 * import { encodeC, initialParameters, lenet } from "@lenet/lenet";
 *
 * const model = lenet();
 * const { name, source } = encodeC({ model, parameters: initialParameters(model, 0) });
 * if (!source.includes(`#include "${name}.h"`)) throw new Error("expected lenet.c");
 * ```
 */
export function encodeC(trained: TrainedModel | QuantizedModel, example?: CExample): CFiles {
  const folded = "grids" in trained ? trained : foldModel(trained);
  const { model, classNames } = folded;
  const writer = writeLayers(folded);
  const nameBytes = (classNames ?? []).reduce((sum, one) => sum + encoded(one).length + 5, 0);
  const files = {
    name: wordOf(model.name),
    flashBytes: writer.constantBytes + nameBytes,
    ramBytes: writer.plan.size * (writer.isInt8 ? 1 : 4),
  };
  const parts = { ...files, writer, classNames, example };
  return { ...files, header: headerOf(model, parts), source: sourceOf(parts) };
}

/** What both files are written from. */
interface Parts extends Pick<CFiles, "name" | "flashBytes" | "ramBytes"> {
  readonly writer: Writer;
  readonly classNames: readonly string[] | undefined;
  readonly example: CExample | undefined;
}

function headerOf(
  { inputShape, classCount, standardization }: Model,
  { name, writer, classNames, example, flashBytes, ramBytes }: Parts,
): string {
  const macro = name.toUpperCase();
  const numbers = writer.isInt8 ? "whole numbers of 8 bits" : "floats";
  const names = `
/* Names of the classes, UTF-8, by their numbers. */
extern const char *const ${name}_class_names[${macro}_CLASSES];
`;
  const test = `
#ifdef ${macro}_TEST
/* Predicts an image whose logits are known: 1 if they come out, 0 if not. */
int ${name}_test(void);
#endif
`;
  return `/* A classifier in ${numbers}, made by lenet.
 *
 *     float logits[${macro}_CLASSES];
 *     int label = ${name}_predict(pixels, logits);
 *
 * Compile ${name}.c as C99 with your program. It allocates nothing and keeps its working memory, so
 * that one prediction must end before the next begins.
 * Constants take ${flashBytes} bytes, the working memory ${ramBytes}.
 */
#ifndef ${macro}_H
#define ${macro}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One image: bytes of [channels][rows][columns]. */
#define ${macro}_CHANNELS ${inputShape[0]}
#define ${macro}_HEIGHT ${inputShape[1]}
#define ${macro}_WIDTH ${inputShape[2]}
#define ${macro}_PIXELS ${volume(inputShape)}
#define ${macro}_CLASSES ${classCount}

/* Says what is in an image: the number of the class with the largest logit.
 *
 * pixels: 0 (black) to 255 (white); they become ${showPixels(standardization)}.
 * logits: what comes out; their softmax is the probabilities.
 */
int ${name}_predict(const uint8_t pixels[${macro}_PIXELS], float logits[${macro}_CLASSES]);
${classNames ? names : ""}${example ? test : ""}
#ifdef __cplusplus
}
#endif

#endif
`;
}

function sourceOf({ name, writer, classNames, example }: Parts): string {
  const macro = name.toUpperCase();
  const { isInt8 } = writer;
  const type = isInt8 ? "int8_t" : "float";
  const kernels = Object.entries<Kernel>(KERNELS)
    .flatMap(([name, kernel]) => writer.kernels.has(name as KernelName) ? [kernel] : []);
  const text = kernels.map(({ int8, float }) => isInt8 ? int8 : float).join("\n");
  const usesMath = !isInt8 && kernels.some(({ usesMath }) => usesMath);
  return [
    `/* See ${name}.h. */`,
    `#include "${name}.h"`,
    ...usesMath ? ["#include <math.h>"] : [],
    "",
    ...writer.constants.some((one) => one.startsWith("static const shape")) ? [SHAPE] : [],
    ...text.includes("factor") || text.includes("rescale(") ? [RESCALE] : [],
    ...writer.constants,
    ...classNames
      ? [
        `const char *const ${name}_class_names[${macro}_CLASSES] = {`,
        ...classNames.map((one) => `    "${encoded(one)}",`),
        "};\n",
      ]
      : [],
    `/* Where tensors lie, one in the place of another that is no longer read. */`,
    `static ${type} memory[${writer.plan.size}];\n`,
    text,
    `int ${name}_predict(const uint8_t pixels[${macro}_PIXELS], float logits[${macro}_CLASSES])`,
    "{",
    ...writer.calls.map((call) => `    ${call}`),
    `
    int best = 0;
    for (int k = 1; k < ${macro}_CLASSES; k++) {
        if (logits[k] > logits[best]) best = k;
    }
    return best;
}`,
    ...example ? [testOf(example, { name, isInt8: writer.isInt8 })] : [],
    "",
  ].join("\n");
}

/** How far logits may be off, of the largest: rounding of floats, or of whole numbers at halves. */
const TOLERANCE = { float: 1e-4, int8: 0.02 };

function testOf(
  { pixels, logits }: CExample,
  { name, isInt8 }: { readonly name: string; readonly isInt8: boolean },
): string {
  const macro = name.toUpperCase();
  const largest = logits.reduce((most, logit) => Math.max(most, Math.abs(logit)), 1e-3);
  const limit = showFloat(largest * (isInt8 ? TOLERANCE.int8 : TOLERANCE.float));
  return `
#ifdef ${macro}_TEST
static const uint8_t test_pixels[${macro}_PIXELS] = {
${wrapped(Array.from(pixels, String))}
};
static const float test_logits[${macro}_CLASSES] = {
${wrapped(Array.from(logits, showFloat))}
};

int ${name}_test(void)
{
    float logits[${macro}_CLASSES];
    ${name}_predict(test_pixels, logits);
    for (int k = 0; k < ${macro}_CLASSES; k++) {
        const float difference = logits[k] - test_logits[k];
        if (!(difference <= ${limit} && difference >= -${limit})) return 0;
    }
    return 1;
}
#endif`;
}

/** A name as a word of C. */
function wordOf(name: string): string {
  const word = name.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 40);
  return /^[a-z]/.test(word) ? word : `model${word && `_${word}`}`;
}

/** A string of C between its quotes: what is not plain, by its UTF-8 bytes. */
function encoded(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => {
    const isPlain = byte >= 0x20 && byte < 0x7f && !`"\\?`.includes(String.fromCharCode(byte));
    return isPlain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
  }).join("");
}
