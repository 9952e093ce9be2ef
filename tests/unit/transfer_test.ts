/** Frozen layers and new heads: what stays is the same to the bit. */

import type { BackendName, TrainingState } from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import type { LabeledImages } from "../../src/data/dataset.ts";
import { type Learned, replaceHead } from "../../src/nn/head.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import {
  batchNorm1d,
  batchNorm2d,
  conv2d,
  flatten,
  globalAvgPool2d,
  type LayerSpec,
  leakyRelu,
  linear,
  relu,
  residual,
} from "../../src/nn/layers.ts";
import { freeze, type Model, sequential } from "../../src/nn/sequential.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { granted } from "../permissions.ts";

const inputShape = [2, 6, 6] as const;

const NET = sequential([
  conv2d({ name: "conv1", outChannels: 4, kernelSize: 3, padding: 1, bias: false }),
  batchNorm2d({ name: "bn1" }),
  leakyRelu(),
  residual<LayerSpec>([
    conv2d({ outChannels: 4, kernelSize: 3, padding: 1, bias: false }),
    batchNorm2d(),
  ]),
  relu(),
  globalAvgPool2d(),
  flatten(),
  linear({ name: "fc1", outFeatures: 5, bias: false }),
  batchNorm1d({ name: "bn2" }),
  linear({ name: "fc2", outFeatures: 3 }),
], { inputShape });

const STATE: TrainingState = {
  parameters: initialParameters(NET, 1),
  statistics: initialStatistics(NET).map((value, n) => value + (n % 7) / 16),
  slots: [],
  step: 0,
};

const random = createRandom(5, "images");
const IMAGES: LabeledImages = {
  images: Uint8Array.from({ length: 24 * 72 }, () => random.below(256)),
  labels: Uint8Array.from({ length: 24 }, (_, n) => n % 3),
  count: 24,
  shape: inputShape,
};

/** Names of the tensors that differ from those a training started from. */
async function changedBy(backend: BackendName, model: Model): Promise<string[]> {
  const { open } = await loadBackend(backend);
  await using session = await open(model, {
    optimizer: { type: "adamw", weightDecay: 0.3 },
    clipNorm: 0.5,
    batchSize: 9,
    threads: 2,
  });
  await session.loadState(STATE);
  await session.attach(IMAGES);
  const order = Uint32Array.from({ length: 24 }, (_, n) => (n * 7) % 24);
  const learningRates = Float32Array.of(0.1, 0.1, 0.1);
  await session.train(IMAGES, { order, batchSize: 9, learningRates });
  const { parameters, statistics } = await session.readState();
  const differs = (
    { offset, size }: { readonly offset: number; readonly size: number },
    [one, other]: readonly Float32Array[],
  ) => Array.from({ length: size }, (_, n) => offset + n).some((n) => !Object.is(one[n], other[n]));
  return [
    ...model.parameters.filter((tensor) => differs(tensor, [parameters, STATE.parameters])),
    ...model.statistics.filter((tensor) => differs(tensor, [statistics!, STATE.statistics!])),
  ].map(({ name }) => name);
}

for (const backend of ["wasm", "reference"] as const) {
  Deno.test({
    name: `${backend}: frozen layers and their statistics stay the same to the bit, others change`,
    ignore: backend === "wasm" && !granted({ name: "read" }),
    fn: async () => {
      const all = [...NET.parameters, ...NET.statistics].map(({ name }) => name);
      assertEquals(await changedBy(backend, NET), all);
      for (const frozen of [["conv1", "bn1"], ["3"], ["fc*", "bn*"], ["bn2", "3.body.1"]]) {
        const expected = all.filter((name) =>
          !frozen.some((part) => name.startsWith(`${part.replace("*", "")}`))
        );
        assertEquals(await changedBy(backend, freeze(NET, frozen)), expected, `${frozen}`);
      }
    },
  });
}

Deno.test("a new head is drawn by the seed, and all before it is as it was", () => {
  const { model, parameters, statistics, replaced } = replaceHead({ model: NET, ...STATE }, 7);
  assertEquals([model.classCount, ...replaced], [7, "fc2"]);
  assertEquals(model.specs.slice(0, -1), NET.specs.slice(0, -1));
  const { offset, fanIn } = model.parameters.at(-2)!;
  assertEquals(parameters.subarray(0, offset), STATE.parameters.subarray(0, offset));
  assertEquals(statistics, STATE.statistics);
  const head = parameters.subarray(offset);
  assertEquals(head.length, 7 * fanIn + 7);
  assert(head.every((value) => value !== 0 && Math.abs(value) < 1));
  const again = replaceHead({ model: NET, ...STATE }, 7, { seed: 0 });
  assertEquals(again.parameters, parameters);
  const other = replaceHead({ model: NET, ...STATE }, 7, { seed: 1 });
  assert(other.parameters.subarray(offset).some((value, n) => value !== head[n]));
});

Deno.test("a head may be a convolution, and what normalises its outputs is new too", () => {
  const learned = sequential([
    conv2d({ name: "features", outChannels: 3, kernelSize: 3 }),
    batchNorm2d(),
    conv2d({ name: "head", outChannels: 4, kernelSize: 1 }),
    globalAvgPool2d(),
    flatten(),
    batchNorm1d({ name: "scale" }),
  ], { inputShape });
  const statistics = initialStatistics(learned).fill(0.5);
  const state = { model: learned, parameters: initialParameters(learned, 3).fill(2), statistics };
  const fewer = replaceHead(state, 2);
  assertEquals(fewer.replaced, ["head", "scale"]);
  const { model } = fewer;
  assertEquals(model.layers.at(-1)!.outputShape, [2]);
  const kept = model.parameters.find(({ name }) => name === "head.weight")!.offset;
  assert(fewer.parameters.subarray(0, kept).every((value) => value === 2));
  assert(fewer.parameters.subarray(kept).every((value) => value !== 2));
  assertEquals([...fewer.statistics], [...Array(7).fill(0.5), 0, 0, 1, 1, 0]);
});

Deno.test("a head that cannot be replaced is refused, with the reason", () => {
  const learned = (specs: LayerSpec[]) => {
    const model = sequential(specs, { inputShape, name: "net" });
    return { model, parameters: initialParameters(model, 0) };
  };
  const refused = (learnt: Learned, kind: ErrorConstructor, text: string) =>
    assertThrows(() => replaceHead(learnt, 5), kind, text);
  const wide = linear({ outFeatures: 4 });
  refused(
    learned([flatten(), residual<LayerSpec, LayerSpec>([wide], [wide])]),
    TypeError,
    'Cannot give model "net" 5 classes in place of 4: no layer but those in blocks says how many',
  );
  refused(
    learned([flatten(), linear({ outFeatures: 4 }), residual<LayerSpec>([wide])]),
    TypeError,
    "its body gives [4] and its shortcut [5]",
  );
  refused(
    learned([conv2d({ outChannels: 4, kernelSize: 5 }), flatten()]),
    TypeError,
    "its last conv2d would make 20 of them",
  );
  refused(
    { ...STATE, model: freeze(NET, ["fc*"]) },
    RangeError,
    'Cannot freeze "fc2": it is drawn anew for 5 classes',
  );
  assertThrows(() => replaceHead({ model: NET, ...STATE }, 0), RangeError, "classCount");
  assertThrows(
    () => replaceHead({ model: NET, parameters: new Float32Array(3) }, 5),
    RangeError,
    "length of parameters",
  );
  assertThrows(
    () => replaceHead({ model: NET, parameters: STATE.parameters }, 5),
    RangeError,
    "length of statistics",
  );
});

Deno.test("names that freeze nothing, or everything, are refused", () => {
  for (const name of ["conv", "bn1.weight", "3.bod", "2", "4*", ""]) {
    assertThrows(() => freeze(NET, [name]), RangeError, `Cannot freeze "${name}": expected the`);
  }
  assertThrows(() => freeze(NET, ["*"]), RangeError, "no layer would be left to train");
  assertEquals(freeze(freeze(NET, ["fc1"]), []).parameters, NET.parameters);
});
