/** What `--backend auto` takes: by trial where there is a choice, without one elsewhere. */

import { chooseBackend, chooseByTrial } from "../../src/backends/choose.ts";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { flatten, linear, maxPool2d } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { lenet, zooModel } from "../../src/nn/zoo.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { granted } from "../permissions.ts";

const [adapter] = await describeAdapters();
const startsThreads = granted({ name: "read" });
/** Which of two is faster is the machine's business: what is taken must be what the figures say. */
for (const names of [["wasm", "webgpu"], ["reference", "webgpu"]] as const) {
  Deno.test({
    name: `auto trains on ${names.join(" and ")}, takes the faster, and says both figures`,
    ignore: adapter === undefined || !startsThreads, // software is taken for hardware here
    async fn() {
      const { name, reason } = await chooseByTrial(adapter, zooModel("mlp"), {}, names);
      const said = /^([\d,]+) images\/s here, (\w+)( \(.+\))? ([\d,]+)$/.exec(reason);
      assert(said !== null, reason);
      const [, faster, other, , slower] = said;
      assertEquals([name, other].sort(), names.toSorted());
      const [most, least] = [faster, slower].map((text) => Number(text.replaceAll(",", "")));
      assert(most >= least && least > 0, reason);
    },
  });
}

Deno.test({
  name: "auto does not take what cannot train the model, and says why",
  ignore: adapter?.software !== true || !startsThreads,
  async fn() {
    const layers = [maxPool2d({ poolSize: 300 }), flatten(), linear({ outFeatures: 2 })];
    const large = sequential(layers, { inputShape: [1, 300, 300] });
    const { name, reason } = await chooseByTrial(adapter, large, { batchSize: 2 });
    assertEquals(name, "wasm");
    assertMatch(reason, /^[\d,]+ images\/s here, webgpu \(.+\) cannot train it: .* is too large/);
  },
});

Deno.test({
  name: "auto takes no adapter that is software, whatever it does",
  ignore: adapter?.software !== true,
  async fn() {
    const reason = `WebGPU has only ${adapter.name}, which is software`;
    assertEquals(await chooseBackend(), { name: "wasm", reason });
  },
});

Deno.test("auto takes the CPU where there is no adapter, and for single answers", async () => {
  const { name, reason } = await chooseBackend(lenet(), { adapter: { deviceIndex: 99 } });
  assertEquals(name, "wasm");
  assertMatch(reason, /^no WebGPU adapter has index 99/);
  const single = await chooseBackend(lenet(), { batchSize: 1 });
  assertEquals(single, { name: "wasm", reason: "it gives single answers soonest" });
});
