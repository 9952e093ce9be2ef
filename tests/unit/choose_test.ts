/** What `--backend auto` takes: by trial where there is a choice, without one elsewhere. */

import { chooseBackend, chooseByTrial } from "../../src/backends/choose.ts";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { flatten, linear, maxPool2d } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { lenet, zooModel } from "../../src/nn/zoo.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";

const [adapter] = await describeAdapters();
const ignore = adapter === undefined;
const MLP = zooModel("mlp");

Deno.test({
  name: "auto trains on the adapter and on the CPU, takes the faster, and says both figures",
  ignore: adapter?.software !== true, // taken for hardware here, and slower than the CPU for sure
  async fn() {
    const { name, reason } = await chooseByTrial(adapter, MLP);
    assertEquals(name, "wasm");
    const [faster, slower] = figuresOf(reason);
    assert(faster > slower && slower > 0, reason);
    assertMatch(reason, /^[\d,]+ images\/s here, webgpu \(.+\) [\d,]+$/);
  },
});

Deno.test({
  name: "auto takes the adapter where that trains faster",
  ignore,
  async fn() {
    const { name, reason } = await chooseByTrial(adapter, MLP, {}, ["reference", "webgpu"]);
    const [faster, slower] = figuresOf(reason);
    assertEquals([name, faster > slower], ["webgpu", true]);
    assertMatch(reason, /^[\d,]+ images\/s here, reference [\d,]+$/);
  },
});

Deno.test({
  name: "auto does not take what cannot train the model, and says why",
  ignore: adapter?.software !== true,
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

/** The numbers of images a second in a reason; those in an adapter's name are none. */
function figuresOf(reason: string): number[] {
  const figures = reason.replace(/\(.*\)/, "").match(/\d[\d,]*/g) ?? [];
  return figures.map((figure) => Number(figure.replaceAll(",", "")));
}
