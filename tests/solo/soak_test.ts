/** Short editions of `deno task soak`, and training while the machine is busy with something else. */
import { zooModel } from "../../src/nn/zoo.ts";
import type { BackendName } from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { supports } from "../../src/backends/wasm/kernels.ts";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { sha256Hex } from "../../src/sha256.ts";
import { soakSessions, soakSteps } from "../../bench/soak.ts";
import { assert, assertEquals } from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";

/** Threads are started from a file, which needs permission to be read. */
const ignoreWasm = !supports("plain") || !granted({ name: "read" });

const ignoreWebgpu = (await describeAdapters()).length === 0;

const STEPS: Partial<Record<BackendName, number>> = { wasm: 3_200, reference: 640 };

for (const [name, count] of Object.entries(STEPS)) {
  Deno.test({
    name: `soak: ${name} trains hundreds of steps in flat memory`,
    ignore: name === "wasm" && ignoreWasm,
    async fn() {
      const backend = await loadBackend(name as BackendName);
      const { done, growth } = await soakSteps(backend, {
        model: zooModel("softmax"),
        batchSize: 8,
        count,
      });
      assertEquals(done, count);
      assert(growth < 32e6, `memory grew by ${growth} bytes`);
    },
  });
}

for (const name of ["wasm", "webgpu"] as const) {
  Deno.test({
    name: `soak: ${name} sessions opened and disposed leave memory flat`,
    ignore: name === "wasm" ? ignoreWasm : ignoreWebgpu,
    async fn() {
      const { done, growth } = await soakSessions(await loadBackend(name), {
        model: zooModel("lenet"),
        batchSize: 8,
        count: 60,
      });
      assertEquals(done, 60);
      assert(growth < 32e6, `memory grew by ${growth} bytes`);
    },
  });
}

Deno.test({
  name: "soak: wasm gives the same bits while other threads fight for the cores",
  ignore: ignoreWasm,
  async fn() {
    const model = zooModel("lenet");
    // Many blocks of images a batch, so that a thread which is held up gives some to the others.
    const batchSize = 256;
    const data = randomImages(model, 4 * batchSize, 5);
    const train = async () => {
      const options = { optimizer: { type: "sgd", momentum: 0.9 }, batchSize } as const;
      await using session = await (await loadBackend("wasm")).open(model, {
        ...options,
        threads: 3,
      });
      await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
      await session.attach(data);
      const order = Uint32Array.from(data.labels, (_, index) => index);
      const learningRates = new Float32Array(4).fill(0.1);
      for (let epoch = 0; epoch < 5; epoch++) {
        await session.train(data, { order, batchSize, learningRates });
      }
      const { parameters, slots } = await session.readState();
      return sha256Hex(...[parameters, ...slots].map(({ buffer }) => new Uint8Array(buffer)));
    };
    const quiet = await train();
    const code = "self.postMessage(0); for (;;) Math.random();";
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const rivals = Array.from(
      { length: 2 * navigator.hardwareConcurrency },
      () => new Worker(url, { type: "module" }),
    );
    try {
      await Promise.all(rivals.map((rival) => new Promise((done) => rival.onmessage = done)));
      assertEquals(await train(), quiet);
    } finally {
      for (const rival of rivals) rival.terminate();
      URL.revokeObjectURL(url);
    }
  },
});
