/** Every optimiser on every backend against the reference, and optimisers that are an entry alone. */

import { BackendUnavailableError, type OptimizerSpec } from "../../src/backends/backend.ts";
import { updateParameters } from "../../src/backends/reference/optimizer.ts";
import { BACKEND_NAMES, loadBackend } from "../../src/backends/registry.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { flatten, linear, tanh } from "../../src/nn/layers.ts";
import {
  allRules,
  clipFactor,
  completeOptimizer,
  constantsOf,
  isOptimizerSpec,
  optimizerPresets,
  OPTIMIZERS,
  ruleOf,
  type UpdateRule,
} from "../../src/nn/optimizers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { createRandom } from "../../src/random.ts";
import { optimizerKernels } from "../../scripts/optimizer_kernels.ts";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "../assert.ts";
import { canRunCommands, ROOT, runDeno } from "../cli/command.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";
import { largestRelativeDifference, randomImages } from "./cases.ts";

const STEPS = 20;
const MODEL = sequential(
  [flatten(), linear({ outFeatures: 5 }), tanh(), linear({ outFeatures: 3 })],
  { inputShape: [1, 3, 4] },
);
const DATA = randomImages(MODEL, 4 * STEPS, 6);

/** Trains, and returns parameters and slots. */
async function train(name: typeof BACKEND_NAMES[number], optimizer: OptimizerSpec) {
  const backend = await loadBackend(name);
  await using session = await backend.open(MODEL, { optimizer, batchSize: 4, threads: 1 });
  await session.loadState({ parameters: initialParameters(MODEL, 1), slots: [], step: 0 });
  await session.attach(DATA);
  const order = Uint32Array.from({ length: DATA.count }, (_, index) => index);
  const learningRates = Float32Array.from({ length: STEPS }, (_, step) => 0.05 / (1 + step));
  await session.train(DATA, { order, batchSize: 4, learningRates });
  const { parameters, slots } = await session.readState();
  return [parameters, ...slots];
}

async function compare(name: typeof BACKEND_NAMES[number], optimizer: OptimizerSpec) {
  const [actual, expected] = [await train(name, optimizer), await train("reference", optimizer)];
  assertEquals(actual.length, 1 + ruleOf(optimizer).slots.length);
  for (const [index, vector] of actual.entries()) {
    const difference = largestRelativeDifference(MODEL, vector, expected[index]);
    assert(difference < 1e-4, `vector ${index} of ${optimizer.type} differs by ${difference}`);
  }
}

const SPECS = [
  ...Object.values(optimizerPresets()),
  { type: "sgd", weightDecay: 0.1 } as const,
].map(completeOptimizer);

Deno.test("the commands' names of optimisers reach every rule", () => {
  assertEquals(
    Object.keys(optimizerPresets()),
    ["sgd", "momentum", "nesterov", "adam", "adamw"],
  );
  assertEquals(new Set(SPECS.map((spec) => ruleOf(spec))), new Set(allRules()));
});

Deno.test("fields that version 0.1 had not are left out of specs at their defaults", () => {
  const options = { type: "sgd", momentum: 0.9, weightDecay: 0, nesterov: false } as const;
  assertEquals(completeOptimizer(options), { type: "sgd", momentum: 0.9 });
  assert(isOptimizerSpec({ type: "sgd", momentum: 0 }));
  assert(isOptimizerSpec({ type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0.1 }));
  for (
    const wrong of [
      { nesterov: 1 },
      { weightDecay: -1 },
      { weightDecay: null },
      { momentum: 0, nesterov: true },
      { momentum: undefined },
    ]
  ) {
    assert(!isOptimizerSpec({ type: "sgd", momentum: 0.9, ...wrong }), JSON.stringify(wrong));
  }
  assertThrows(
    () => completeOptimizer({ type: "sgd", nesterov: true }),
    RangeError,
    "Invalid nesterov of sgd: expected a momentum above 0 with it, such as 0.9",
  );
});

Deno.test("gradients are shortened to the norm that is asked for, and never lengthened", () => {
  assertAlmostEquals(clipFactor(10, 1), 0.1, 1e-7);
  assertEquals([clipFactor(0.5, 1), clipFactor(0, 1)], [1, 1]);
  assertEquals([clipFactor(Infinity, 1), clipFactor(NaN, 1)], [0, NaN]);
});

/** An optimiser as someone would add it. */
const ADDED: Readonly<Record<string, object>> = {
  rmsprop: {
    title: "RMSprop",
    fields: {
      alpha: { default: 0.9, min: 0, max: 0.999 },
      weightDecay: { default: 0.3, min: 0, max: 1 },
    },
    rules: [{
      name: "rmsprop",
      slots: ["square"],
      constants: {
        rate: ({ learningRate }) => learningRate,
        alpha: ({ alpha }) => alpha,
        rest: ({ alpha }) => 1 - alpha,
        decay: ({ weightDecay }) => weightDecay,
      },
      update: [
        ["square", "alpha * square + rest * (gradient * gradient)"],
        [
          "parameter",
          "parameter - rate * (gradient / (sqrt(square) + rest) + decays * decay * parameter)",
        ],
      ],
    }] satisfies UpdateRule[],
  },
};

/** Does something while the table has these entries too. */
async function withAdded(work: (specs: readonly OptimizerSpec[]) => Promise<void> | void) {
  Object.assign(OPTIMIZERS, ADDED);
  try {
    await work(
      Object.keys(ADDED).map((type) => completeOptimizer({ type } as unknown as OptimizerSpec)),
    );
  } finally {
    for (const type of Object.keys(ADDED)) delete (OPTIMIZERS as Record<string, unknown>)[type];
  }
}

for (const name of BACKEND_NAMES) {
  if (name === "reference") continue;
  Deno.test({
    name: `${name} updates by every optimiser as the reference does`,
    ignore: !granted({ name: "read" }) || !await isAvailable(name),
    fn: async () => {
      for (const spec of SPECS) await compare(name, spec);
      // The kernels of wasm are compiled beforehand; see below.
      if (name !== "wasm") {
        await withAdded(async (specs) => {
          for (const spec of specs) await compare(name, spec);
        });
      }
    },
  });
}

Deno.test("an entry alone is an optimiser, and weights alone decay", () =>
  withAdded(([rmsprop]) => {
    const vectors = {
      parameters: Float64Array.of(1, 1),
      gradients: Float64Array.of(2, -2),
      decays: Float64Array.of(1, 0),
      slots: [new Float64Array(2)],
    };
    updateParameters(rmsprop, vectors, { learningRate: 0.1, step: 1 });
    const scaled = 2 / (Math.sqrt(0.4) + 0.1);
    assertAlmostEquals(vectors.parameters[0], 1 - 0.1 * (scaled + 0.3), 1e-12);
    assertAlmostEquals(vectors.parameters[1], 1 + 0.1 * scaled, 1e-12);
  }));

Deno.test({
  name: "kernels of wasm that are made of an entry equal the reference",
  ignore: !canRunCommands(),
  fn: () =>
    withAdded(async (specs) => {
      const kernels = await compile(specs.map(ruleOf));
      for (const spec of specs) compareKernel(kernels, spec);
    }),
});

/** Compiles kernels in a process of its own, since the compiler asks for more than tests may. */
async function compile(rules: readonly UpdateRule[]) {
  const simd = await Deno.readTextFile(`${ROOT}src/backends/wasm/assembly/simd.ts`);
  const sources = { "optimizers.ts": optimizerKernels(rules), "simd.ts": simd };
  const program = `
    import asc from "npm:assemblyscript@0.28.20/asc";
    const sources = ${JSON.stringify(sources)};
    const { stderr, error } = await asc.main(
      ["optimizers.ts", "-O1", "--runtime=stub", "--importMemory", "--outFile=kernels.wasm",
        "--enable=simd"],
      {
        readFile: (name) => sources[name] ?? null,
        writeFile: (_name, contents) => console.log(contents.toBase64()),
        listFiles: () => [],
      },
    );
    if (error) throw new Error(stderr.toString());`;
  let binary = new Uint8Array();
  await withTempDir(async (folder) => {
    await Deno.writeTextFile(`${folder}/compile.ts`, program);
    const options = ["--no-check", "--allow-env", "--allow-read", "--config", `${ROOT}deno.json`];
    const { stdout, stderr } = await runDeno(["run", ...options, `${folder}/compile.ts`]);
    assert(stdout.length > 0, stderr);
    binary = Uint8Array.fromBase64(stdout.trim());
  });
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } });
  return { memory, exports: exports as Record<string, (...values: number[]) => void> };
}

function compareKernel(
  { memory, exports }: Awaited<ReturnType<typeof compile>>,
  spec: OptimizerSpec,
) {
  const { name, slots } = ruleOf(spec);
  const count = 7; // four lanes, and three alone
  const random = createRandom(3, name);
  const addresses = Array.from({ length: 2 + slots.length }, (_, index) => 1024 + 64 * index);
  const vectors = addresses.map((address) => new Float32Array(memory.buffer, address, count + 1));
  for (const [index, vector] of vectors.entries()) {
    for (const place of vector.keys()) vector[place] = index < 2 ? random.normal(1) : 0;
  }
  const last = vectors.map((vector) => vector[count]);
  const [parameters, gradients, ...kept] = vectors.map((vector) =>
    Float64Array.from(vector.subarray(0, count))
  );
  for (let step = 1; step <= STEPS; step++) {
    const numbers = { learningRate: 0.05, step };
    const constants = Object.values(constantsOf(spec, numbers));
    const decays = Number(step % 2 === 0);
    exports[`${name}Update`](...addresses, count, decays, ...constants);
    const expected = { parameters, gradients, slots: kept };
    updateParameters(spec, { ...expected, decays: new Float64Array(count).fill(decays) }, numbers);
  }
  for (const [index, vector] of [parameters, gradients, ...kept].entries()) {
    for (const [place, value] of vector.entries()) {
      assertAlmostEquals(vectors[index][place], value, 1e-5 * Math.max(1, Math.abs(value)));
    }
    assertEquals(
      vectors[index][count],
      last[index],
      "expected nothing to be written behind the end",
    );
  }
}

async function isAvailable(name: typeof BACKEND_NAMES[number]): Promise<boolean> {
  try {
    const backend = await loadBackend(name);
    await using _session = await backend.open(MODEL);
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
