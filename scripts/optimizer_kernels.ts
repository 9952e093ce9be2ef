/** The `wasm` engine's kernels of all optimisers, as AssemblyScript. */

import { render, type Rendering, type UpdateRule } from "../src/nn/optimizers.ts";

const SCALAR: Rendering<string> = {
  value: (name) => name,
  add: (a, b) => `(${a} + ${b})`,
  sub: (a, b) => `(${a} - ${b})`,
  mul: (a, b) => `(${a} * ${b})`,
  div: (a, b) => `(${a} / ${b})`,
  sqrt: (a) => `Mathf.sqrt(${a})`,
  fma: (a, b, c) => `(${a} * ${b} + ${c})`,
};

/** Four lanes; numbers that all share are vectors of the same name, with a line below. */
const vectorOf = (numbers: readonly string[]): Rendering<string> => ({
  value: (name) => numbers.includes(name) ? `${name}_` : name,
  add: (a, b) => `f32x4.add(${a}, ${b})`,
  sub: (a, b) => `f32x4.sub(${a}, ${b})`,
  mul: (a, b) => `f32x4.mul(${a}, ${b})`,
  div: (a, b) => `f32x4.div(${a}, ${b})`,
  sqrt: (a) => `f32x4.sqrt(${a})`,
  fma: (a, b, c) => `multiplyAdd(${a}, ${b}, ${c})`,
});

/** Source of a module with a kernel for each rule: addresses of parameters, gradients and slots, how
 * many numbers they are, whether weight decay takes them, and the rule's constants.
 */
export function optimizerKernels(rules: readonly UpdateRule[]): string {
  return `import { multiplyAdd } from "./simd";\n${rules.map(kernelOf).join("")}`;
}

function kernelOf({ name, slots, constants, update }: UpdateRule): string {
  const numbers = ["decays", ...Object.keys(constants)];
  const changed = ["parameter", ...slots];
  const all = ["parameter", "gradient", ...slots];
  const body = (type: string, lanes: number, rendering: Rendering<string>) =>
    [
      ...all.map((name) =>
        `let ${name} = ${type === "v128" ? "v128.load" : "load<f32>"}(${name}s);`
      ),
      ...update.map(([target, expression]) => `${target} = ${render(expression, rendering)};`),
      ...changed.map((name) =>
        type === "v128" ? `v128.store(${name}s, ${name});` : `store<f32>(${name}s, ${name});`
      ),
      ...all.map((name) => `${name}s += ${4 * lanes};`),
    ].join("\n    ");
  return `
export function ${name}Update(
  ${all.map((name) => `${name}s: usize`).join(", ")}, count: i32, ${
    numbers.map((name) => `${name}: f32`).join(", ")
  }
): void {
  ${numbers.map((name) => `const ${name}_ = f32x4.splat(${name});`).join("\n  ")}
  for (; count >= 4; count -= 4) {
    ${body("v128", 4, vectorOf(numbers))}
  }
  for (; count > 0; count--) {
    ${body("f32", 1, SCALAR)}
  }
}
`;
}
