// deno-lint-ignore-file no-console
/** What is particular to sessions on TensorFlow.js: memory, silence, and several at a time. */

import * as tf from "@tensorflow/tfjs";
import type { BackendName } from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { openBackend } from "../../src/train/open_backend.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";

const ignore = !granted({ name: "read" });
const model = zooModel("lenet", { inputShape: [1, 16, 16] });
const data = randomImages(model, 8, 1);

for (const [name, steps] of [["tfjs-cpu", 10], ["tfjs-wasm", 200]] as const) {
  Deno.test({
    name: `${name} loses no tensor over ${steps} steps, and frees all on dispose`,
    ignore,
    async fn() {
      await withSession(name, async () => {}); // starts the backend, which keeps a few tensors
      const before = tf.memory();
      await withSession(name, async (train) => {
        await train(1);
        const early = tf.memory();
        await train(steps);
        assertEquals(tf.memory().numTensors, early.numTensors);
        assertEquals(tf.memory().numBytes, early.numBytes);
        assertEquals(tf.memory().numDataBuffers, early.numDataBuffers);
      });
      assertEquals(tf.memory().numTensors, before.numTensors);
      assertEquals(tf.memory().numDataBuffers, before.numDataBuffers);
    },
  });
}

Deno.test({
  name: "openBackend leaves no session where the parameters do not fit the model",
  ignore,
  async fn() {
    await withSession("tfjs-cpu", async () => {});
    const before = tf.memory();
    const short = { parameters: initialParameters(model, 1).subarray(1), batchSize: 4 };
    await assertRejects(() => openBackend("tfjs-cpu", model, short), TypeError, "parameters");
    assertEquals(tf.memory().numTensors, before.numTensors);
    assertEquals(tf.memory().numDataBuffers, before.numDataBuffers);
  },
});

Deno.test({
  name: "sessions on two backends take turns and give the same losses",
  ignore,
  async fn() {
    const losses: number[][] = [];
    await withSession("tfjs-cpu", (trainCpu) =>
      withSession("tfjs-wasm", async (trainWasm) => {
        for (let turn = 0; turn < 3; turn++) {
          losses.push([(await trainCpu(1))[0], (await trainWasm(1))[0]]);
        }
      }));
    for (const [cpu, wasm] of losses) assert(Math.abs(cpu - wasm) < 1e-5, `${cpu} and ${wasm}`);
  },
});

Deno.test({
  name: "TensorFlow.js backends start without a word",
  ignore,
  async fn() {
    const said: unknown[][] = [];
    const methods = ["log", "warn", "error", "info"] as const;
    const originals = methods.map((method) => console[method]);
    for (const method of methods) console[method] = (...words: unknown[]) => said.push(words);
    try {
      for (const name of ["tfjs-cpu", "tfjs-wasm"] as const) {
        await withSession(name, (train) => train(1));
      }
    } finally {
      for (const [index, method] of methods.entries()) console[method] = originals[index];
    }
    assertEquals(said, []);
  },
});

/** Opens a session and gives a function that trains some steps and returns their losses. */
async function withSession(
  name: BackendName,
  body: (train: (steps: number) => Promise<Float32Array>) => Promise<unknown>,
): Promise<void> {
  const backend = await loadBackend(name);
  const momentum = { type: "sgd", momentum: 0.9 } as const;
  const session = await backend.open(model, { optimizer: momentum, batchSize: 4 });
  try {
    await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
    await session.attach(data);
    await body(async (steps) => {
      const order = Uint32Array.from({ length: 4 * steps }, (_, n) => n % data.count);
      const learningRates = new Float32Array(steps).fill(0.01);
      return (await session.train(data, { order, batchSize: 4, learningRates })).losses;
    });
  } finally {
    await session[Symbol.asyncDispose]();
  }
}
