/** Comparing TensorFlow.js's cpu backend with its wasm backend with the kernels. */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import fc from "fast-check";
import { registerWasmTrainingKernels } from "../../packages/tfjs-wasm-training/mod.ts";
import { assert, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";

// The backend reads its binary from its package.
export const ignore = !granted({ name: "read", path: "node_modules" });

export type Operands = tf.Tensor[];
export type Op = (...operands: Operands) => tf.Tensor;

/** Runs `body` on a backend; both are set up on first use. */
export async function on<T>(backendName: "cpu" | "wasm", body: () => T): Promise<T> {
  registerWasmTrainingKernels();
  // The cpu backend greets on its first write.
  (tf.findBackend("cpu") as unknown as { firstUse: boolean }).firstUse = false;
  await tf.setBackend(backendName);
  return body();
}

/** Signed values in steps of 1/8: small enough that sums are exact to many digits, ties included. */
export function signedValues(length: number, seed: number): Float32Array {
  let state = seed | 1;
  return Float32Array.from({ length }, () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state >> 24) / 8;
  });
}

/** The op's value and, for every operand, the gradient of a weighted sum of the value. */
export function valueAndGradients(op: Op, shapes: number[][], seed: number): Float32Array[] {
  return tf.tidy(() => {
    const operands = shapes.map((shape, i) => {
      return tf.tensor(signedValues(tf.util.sizeFromShape(shape), seed + i), shape);
    });
    const value = op(...operands);
    const weights = tf.tensor(signedValues(value.size, seed + 99), value.shape);
    const gradients = tf.grads((...xs: Operands) => op(...xs))(operands, weights);
    return [value, ...gradients].map((tensor) => tensor.dataSync() as Float32Array);
  });
}

export function value(op: Op, shapes: number[][], seed: number): Float32Array[] {
  return tf.tidy(() => {
    const operands = shapes.map((shape, i) => {
      return tf.tensor(signedValues(tf.util.sizeFromShape(shape), seed + i), shape);
    });
    return [op(...operands).dataSync() as Float32Array];
  });
}

export function assertClose(actual: Float32Array[], expected: Float32Array[]): void {
  assertEquals(actual.map(({ length }) => length), expected.map(({ length }) => length));
  expected.forEach((values, which) => {
    const scale = values.reduce((m, v) => Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m, 1);
    values.forEach((v, i) => {
      const found = actual[which][i];
      const equal = Object.is(found, v) || Math.abs(found - v) <= 1e-5 * scale;
      assert(equal, `result ${which}, element ${i}: expected ${v} as on cpu, found ${found}`);
    });
  });
}

export async function assertSameOnWasm(run: () => Float32Array[]): Promise<void> {
  assertClose(await on("wasm", run), await on("cpu", run));
}

/** Checks a property on `numRuns` random cases, the same ones every time. */
export function property<Case>(
  name: string,
  cases: fc.Arbitrary<Case>,
  numRuns: number,
  run: (oneCase: Case) => Float32Array[],
): void {
  Deno.test({
    name: `wasm kernels: ${name}`,
    ignore,
    fn: () =>
      fc.assert(fc.asyncProperty(cases, (c) => assertSameOnWasm(() => run(c))), {
        seed: 1998,
        numRuns,
      }),
  });
}

export const size = (max: number, min = 1) => fc.integer({ min, max });
export const seeds = size(1 << 20);
