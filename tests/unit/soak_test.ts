/** Short editions of `deno task soak`, and training while the machine is busy with something else. */
import { zooModel } from "../../src/nn/zoo.ts";
import type { BackendName } from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { supports } from "../../src/backends/wasm/kernels.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { soakSessions, soakSteps } from "../../bench/soak.ts";
import { assert, assertEquals } from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";

/** Threads are started from a file, which needs permission to be read. */
const ignoreWasm = !supports("plain") || !granted({ name: "read" });

const MODEL = zooModel("softmax");
const ROUNDS: Partial<Record<BackendName, number>> = { wasm: 20, reference: 4 };

for (const [name, rounds] of Object.entries(ROUNDS)) {
  Deno.test({
    name: `soak: ${name} trains hundreds of steps in flat memory`,
    ignore: name === "wasm" && ignoreWasm,
    async fn() {
      const { steps, growth } = await soakSteps(await loadBackend(name as BackendName), {
        model: MODEL,
        batchSize: 8,
        isPartDone: (part) => part.rounds >= rounds,
      });
      assertEquals(steps, 20 * 9 * rounds);
      assert(growth < 32e6, `memory grew by ${growth} bytes`);
    },
  });
}

Deno.test({
  name: "soak: wasm sessions opened and disposed leave memory flat",
  ignore: ignoreWasm,
  async fn() {
    const { steps, growth } = await soakSessions(await loadBackend("wasm"), {
      model: MODEL,
      batchSize: 8,
      isPartDone: ({ rounds }) => rounds >= 3,
    });
    assertEquals(steps, 60);
    assert(growth < 64e6, `memory grew by ${growth} bytes`);
  },
});

Deno.test({
  name: "soak: wasm gives the same bits while other threads fight for the cores",
  ignore: ignoreWasm,
  async fn() {
    const model = zooModel("lenet");
    const data = randomImages(model, 64, 5);
    const train = async () => {
      const options = { optimizer: { type: "sgd", momentum: 0.9 }, batchSize: 16 } as const;
      await using session = await (await loadBackend("wasm")).open(model, {
        ...options,
        threads: 3,
      });
      await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
      await session.attach(data);
      const order = Uint32Array.from(data.labels, (_, index) => index);
      const learningRates = new Float32Array(4).fill(0.1);
      for (let epoch = 0; epoch < 5; epoch++) {
        await session.train(data, { order, batchSize: 16, learningRates });
      }
      return await session.readState();
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
