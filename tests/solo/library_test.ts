/** What programs may pass to exported functions: undefined is the default, and what is wrong is refused by
 * name; sessions take one call at a time and leave nothing behind.
 */

import * as tf from "@tensorflow/tfjs";
import * as lenet from "../../mod.ts";
import type { BackendName, LabeledImages, Session } from "../../mod.ts";
import { DataStore } from "../../src/backends/wasm/data_store.ts";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";

const { conv2d, flatten, linear, openBackend, predict, sequential, train, zooModel } = lenet;

/** Threads are started, and TensorFlow.js is loaded, from files. */
const ignore = !granted({ name: "read" });
const ignoreWebgpu = (await describeAdapters()).length === 0;

const MODEL = sequential([flatten(), linear({ outFeatures: 3 })], { inputShape: [1, 4, 4] });
const DATA = randomImages(MODEL, 30, 1);
const TEST = randomImages(MODEL, 9, 2);
const PLAN = { epochs: 2, learningRate: 0.1, batchSize: 8 };

/** Whatever a caller without types may pass. */
// deno-lint-ignore no-explicit-any
const any = (value: unknown): any => value;

/** An object with every one of the fields undefined. */
function blank(...fields: string[]) {
  return any(Object.fromEntries(fields.map((field) => [field, undefined])));
}

async function trained(plan: object, options?: object, hooks?: object) {
  await using session = await openBackend("reference", MODEL, options);
  await train(session, { train: DATA, test: TEST }, any(plan), any(hooks));
  return await session.readState();
}

Deno.test("undefined in a plan, in hooks or where a session is opened means the default", async () => {
  const base = { epochs: 2, learningRate: 0.1 };
  const expected = await trained(base);
  const plan = blank(
    ...["batchSize", "schedule", "seed", "shuffle", "maxSteps", "targetAccuracy", "warmup"],
    ...["stepSize", "gamma", "anneal", "monitor", "patience"],
  );
  const adapter = blank("powerPreference", "deviceIndex");
  const session = blank(
    "optimizer",
    "batchSize",
    "threads",
    "shard",
    "loss",
    "clipNorm",
    "parameters",
    "seed",
    "init",
  );
  const hooks = blank("signal", "onProgress", "onSteps", "onEpoch", "onCheckpoint", "start");
  const checkpointEvery = blank("steps", "seconds");
  for (const every of [undefined, checkpointEvery]) {
    const found = await trained(
      { ...plan, ...base },
      { ...session, adapter },
      { ...hooks, checkpointEvery: every },
    );
    assertEquals(found, expected);
  }
  const sgd = { type: "sgd", momentum: undefined };
  assertEquals(await trained(base, { optimizer: sgd }), expected);
  const adam = { type: "adam", ...blank("beta1", "beta2", "epsilon") };
  const whole = { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  const filled = await trained(base, { optimizer: adam });
  assertEquals(filled, await trained(base, { optimizer: whole }));
  assertEquals(filled.slots.length, 2);
});

Deno.test("undefined in all other options means the default", { ignore }, async () => {
  const matrix = [[1, 2], [3, 4]];
  const parameters = lenet.initialParameters(MODEL, 0);
  const png = Uint8Array.fromBase64(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==",
  );
  const size = { height: 3, width: 2 };
  const facts = blank("classNames", "notes", "pictures");
  await using session = await openBackend("reference", MODEL);
  const rates = { order: Uint32Array.of(0), batchSize: 1, learningRates: Float32Array.of(0) };
  await session.attach(DATA);
  const pairs: [unknown, unknown][] = [
    [
      conv2d({
        outChannels: 2,
        kernelSize: 3,
        ...blank("name", "inChannels", "stride", "padding"),
      }),
      conv2d({ outChannels: 2, kernelSize: 3 }),
    ],
    [
      lenet.avgPool2d({ poolSize: 2, ...blank("name", "stride") }),
      lenet.avgPool2d({ poolSize: 2 }),
    ],
    [linear({ outFeatures: 2, ...blank("name", "inFeatures") }), linear({ outFeatures: 2 })],
    [
      sequential([flatten(), linear({ outFeatures: 3 })], blank("name", "inputShape")),
      sequential([flatten(), linear({ outFeatures: 3 })]),
    ],
    [zooModel("mlp", blank("inputShape", "classCount", "standardization")), zooModel("mlp")],
    [lenet.initialParameters(MODEL, 0, undefined), parameters],
    [lenet.corr2d(matrix, [[1]], blank("padding", "stride")), matrix],
    [
      lenet.decodePictures([png], { ...size, ...blank("invert") }),
      lenet.decodePictures([png], size),
    ],
    [
      lenet.encodeSafetensorsModel({ model: MODEL, parameters, ...facts }),
      lenet.encodeSafetensorsModel({ model: MODEL, parameters }),
    ],
    [
      lenet.encodeOnnx({ model: MODEL, parameters, ...facts }),
      lenet.encodeOnnx({ model: MODEL, parameters }),
    ],
    [await predict(session, TEST, blank("classNames", "top")), await predict(session, TEST)],
    [
      await session.train(DATA, { ...rates, ...blank("signal", "onProgress") }),
      await session.train(DATA, rates),
    ],
    [
      (await lenet.loadDataset("sample", blank("dataDir", "pictures", "onPicture", "signal")))
        .digest,
      (await lenet.loadDataset("sample")).digest,
    ],
  ];
  for (const [found, expected] of pairs) assertEquals(found, expected);
});

/** What a caller may get wrong, and what the error must say; everything runs against one session. */
const WRONG: readonly [(session: Session) => unknown, ErrorConstructor, string][] = [
  ...["epochs", "learningRate", "batchSize", "seed", "maxSteps"].flatMap((field) =>
    [NaN, -1, Infinity, "2", null].map((value) =>
      [
        (session: Session) => train(session, { train: DATA }, { ...PLAN, [field]: any(value) }),
        RangeError,
        `Invalid ${field}: expected a`,
      ] as [(session: Session) => unknown, ErrorConstructor, string]
    )
  ),
  [(s) => train(s, { train: DATA }, { ...PLAN, epochs: 1.5 }), RangeError, "epochs"],
  [(s) => train(s, { train: DATA }, any({ epochs: 1 })), RangeError, "learningRate"],
  [(s) => train(s, { train: DATA }, any(undefined)), TypeError, "Invalid plan"],
  [(s) => train(s, any(undefined), PLAN), TypeError, "Invalid data"],
  [(s) => train(s, any({ test: TEST }), PLAN), TypeError, "Invalid images"],
  [(s) => train(s, { train: DATA }, { ...PLAN, schedule: any("linear") }), TypeError, "schedule"],
  [(s) => train(s, { train: DATA }, { ...PLAN, batchSize: 999 }), RangeError, "opened for 1..256"],
  [(s) => train(s, { train: DATA }, PLAN, { onEpoch: any(1) }), TypeError, "Invalid onEpoch"],
  [(s) => train(s, { train: DATA }, { ...PLAN, targetAccuracy: 0.9 }), TypeError, "without a test"],
  [
    (s) => train(s, { train: DATA, test: { ...TEST, count: 0 } }, PLAN),
    RangeError,
    "leave test out to train without it",
  ],
  [() => train(any(openBackend("reference", MODEL)), { train: DATA }, PLAN), TypeError, "await it"],
  [
    (s) => predict(s, { ...DATA, images: any(Float32Array.from(DATA.images, (x) => x / 255)) }),
    TypeError,
    "Invalid images: expected a Uint8Array of pixels 0..255, found a Float32Array; multiply pixels in " +
    "[0, 1] by 255",
  ],
  [(s) => predict(s, { ...DATA, images: any([...DATA.images]) }), TypeError, "found an Array"],
  [
    (s) => lenet.evaluate(s, { ...DATA, labels: any(new Int32Array(30)) }),
    TypeError,
    "Invalid labels: expected a Uint8Array of classes, one an image, found an Int32Array",
  ],
  [(s) => lenet.evaluate(s, { ...DATA, labels: any(undefined) }), TypeError, "Invalid labels"],
  [(s) => lenet.evaluate(s, { ...DATA, count: 31 }), TypeError, "expected 496 pixels"],
  [(s) => lenet.evaluate(s, { ...DATA, count: 0 }), RangeError, "Invalid count"],
  [(s) => lenet.evaluate(s, { ...DATA, count: 2.5 }), RangeError, "Invalid count"],
  [(s) => lenet.evaluate(s, { ...DATA, shape: any([4, 4]) }), TypeError, "must be [1, 4, 4]"],
  [(s) => lenet.evaluate(s, { ...DATA, shape: any(undefined) }), TypeError, "must be [1, 4, 4]"],
  [(s) => lenet.evaluate(s, any(null)), TypeError, "Invalid images"],
  [(s) => predict(s, TEST, { classNames: ["a"] }), TypeError, "the model's 3, found 1"],
  [(s) => predict(s, TEST, { top: 0 }), RangeError, "Invalid top"],
  [(s) => s.loadState(any({})), TypeError, "Invalid slots"],
  [(s) => s.loadState({ parameters: any([1]), slots: [], step: 0 }), TypeError, "parameters"],
  [(s) => s.gradients(DATA, Uint32Array.of()), RangeError, "Invalid indices"],
  [(s) => s.gradients(DATA, any([0])), TypeError, "Invalid indices"],
  [
    (s) => s.train(DATA, { order: any([0]), batchSize: 1, learningRates: Float32Array.of(0) }),
    TypeError,
    "Invalid order",
  ],
  [
    (s) =>
      s.train(DATA, {
        order: Uint32Array.of(0),
        batchSize: 1,
        learningRates: Float32Array.of(NaN),
      }),
    RangeError,
    "learning rate of step 0",
  ],
  ...[0, -1, 1.5, NaN, 999, "2"].map((threads) =>
    [
      () => openBackend("wasm", MODEL, { threads: any(threads) }),
      RangeError,
      "Invalid threads",
    ] as [
      () => unknown,
      ErrorConstructor,
      string,
    ]
  ),
  [() => openBackend("wasm", MODEL, { batchSize: 0 }), RangeError, "Invalid batchSize"],
  [() => openBackend("wasm", MODEL, { seed: -1 }), RangeError, "Invalid seed"],
  [() => openBackend("wasm", MODEL, { parameters: any([1]) }), TypeError, "Invalid parameters"],
  [() => openBackend("wasm", MODEL, { adapter: any("gpu") }), TypeError, "Invalid adapter"],
  [
    () => openBackend(any("cuda"), MODEL),
    TypeError,
    `Unknown backend "cuda": expected one of auto`,
  ],
  [() => lenet.loadBackend(any("cuda")), TypeError, `Unknown backend "cuda"`],
  [() => openBackend("wasm", any("lenet")), TypeError, "Invalid model"],
  [
    () => openBackend("wasm", MODEL, { optimizer: any({ type: "adagrad" }) }),
    TypeError,
    `Unknown optimizer type "adagrad": expected one of sgd, adam, adamw`,
  ],
  [
    () => openBackend("wasm", MODEL, { optimizer: any({ type: "sgd", dampening: 0.1 }) }),
    TypeError,
    `Unknown field of sgd "dampening"`,
  ],
  [
    () => openBackend("wasm", MODEL, { optimizer: { type: "adam", beta1: 1 } }),
    RangeError,
    "Invalid beta1 of adam",
  ],
  [
    () => openBackend("wasm", MODEL, { optimizer: { type: "sgd", momentum: NaN } }),
    RangeError,
    "Invalid momentum of sgd",
  ],
  ...([
    [conv2d(any({})), "outChannels"],
    [conv2d(any({ outChannels: 2 })), "kernelSize"],
    [conv2d({ outChannels: 1.5, kernelSize: 1 }), "outChannels"],
    [conv2d({ outChannels: 1, kernelSize: 1, stride: 0 }), "stride"],
    [lenet.maxPool2d({ poolSize: -1 }), "poolSize"],
    [linear(any({})), "outFeatures"],
    [any({ type: "dropout2" }), "layer type"],
  ] as const).flatMap(([spec, text]): [() => unknown, ErrorConstructor, string][] => [
    [() => sequential([spec]), Error as ErrorConstructor, text],
    [() => lenet.outputShapeOf(spec, [1, 28, 28]), Error as ErrorConstructor, text],
  ]),
  [() => lenet.outputShapeOf(flatten(), any(28)), TypeError, "Invalid inputShape"],
  [() => lenet.outputSize(28, 5, 0, 2), RangeError, "Invalid stride"],
  [() => lenet.initialParameters(MODEL, 1.5), RangeError, "Invalid seed"],
  [() => lenet.initialParameters(MODEL, 1, any({ type: "he" })), TypeError, "Unknown init"],
  [
    () => lenet.initialParameters(MODEL, 1, any({ type: "normal" })),
    RangeError,
    "standardDeviation",
  ],
  [() => zooModel(any("resnet50")), TypeError, "Unknown model"],
  [() => zooModel("mlp", { classCount: NaN }), RangeError, "Invalid classCount"],
  [() => lenet.zooRecipe(any("vgg")), TypeError, "Unknown model"],
  [() => lenet.corr2d([[1, 2], [3]], [[1]]), TypeError, "Invalid input"],
  [() => lenet.corr2d([[1]], any(undefined)), TypeError, "Invalid kernel"],
  [() => lenet.corr2d([[1]], [[1]], { stride: 0 }), RangeError, "Invalid stride"],
  [() => lenet.pad2d([[1]], 0.5), RangeError, "Invalid padding"],
  [() => lenet.pool2d([[1]], 1, any("mean")), TypeError, "Unknown mode"],
  [() => lenet.shardRange(10, { index: 3, count: 3 }), RangeError, "Invalid index"],
  [() => lenet.standardizationOf(any([1, 2])), TypeError, "Invalid images"],
  [() => lenet.byteTransform({ mean: 0, std: 0 }), RangeError, "Invalid standardization"],
  [() => lenet.countCorrect(Uint8Array.of(1), Uint8Array.of()), TypeError, "found 1 and 0"],
  [
    () => lenet.classificationReport(Uint8Array.of(0), Uint8Array.of(4), ["a"]),
    RangeError,
    "class 4 at place 0",
  ],
  [() => lenet.toTensors(MODEL, new Float32Array(2)), RangeError, "length of parameters"],
  [() => lenet.freeze(MODEL, any("fc")), TypeError, "Invalid frozen: expected a list of names"],
  [() => lenet.freeze(any({}), []), TypeError, "Invalid model"],
  [() => lenet.freeze(MODEL, ["conv1"]), RangeError, 'Cannot freeze "conv1"'],
  [() => lenet.replaceHead(any(undefined), 3), TypeError, "Invalid learned"],
  [() => lenet.replaceHead(any({}), 3), TypeError, "Invalid model"],
  [() => lenet.replaceHead(any({ model: MODEL }), 3), TypeError, "Invalid parameters"],
  [
    (session) => train(session, { train: DATA }, { ...PLAN, patience: 2 }),
    TypeError,
    "Cannot have patience without a validation or test set",
  ],
  [() => lenet.summarize(any(undefined)), TypeError, "Invalid model"],
  [() => lenet.loadDataset(any(undefined)), TypeError, "Invalid dataset"],
  [() => lenet.decodePictures([any("a.png")], { height: 1, width: 1 }), TypeError, "picture 0"],
  [() => lenet.decodePictures([], { height: NaN, width: 1 }), RangeError, "Invalid height"],
];

Deno.test(
  "what is wrong is refused by name, in one line, and changes nothing",
  { ignore },
  async () => {
    await using session = await openBackend("reference", MODEL);
    await session.attach(DATA);
    const before = await session.readState();
    for (const [call, kind, text] of WRONG) {
      const { message } = await assertRejects(
        async () => await call(session),
        kind,
        text,
      );
      assert(!message.includes("\n") && message.length < 300, message);
    }
    assertEquals(await session.readState(), before);
  },
);

Deno.test("without a test set, metrics of it are undefined and all else is the same", async () => {
  const seen: unknown[] = [];
  const states = [];
  for (const data of [{ train: DATA }, { train: DATA, test: TEST }]) {
    await using session = await openBackend("reference", MODEL);
    const { progress } = await train(session, data, PLAN, {
      onEpoch: ({ testLoss, testAccuracy }) => void seen.push(testLoss, testAccuracy),
    });
    assertEquals(progress.epochsDone, 2);
    states.push(await session.readState());
  }
  assertEquals(seen.slice(0, 4), Array(4).fill(undefined));
  assertEquals(seen.length, 8);
  assertEquals(states[0], states[1]);
});

const SESSIONS: readonly [BackendName, boolean][] = [
  ["reference", false],
  ["wasm", ignore],
  ["tfjs-cpu", ignore],
  ["tfjs-wasm", ignore],
  ["webgpu", ignoreWebgpu],
];

for (const [name, ignore] of SESSIONS) {
  Deno.test({
    name: `${name}: a call that overlaps another is refused, and the first is not disturbed`,
    ignore,
    async fn() {
      const results = [];
      for (const overlapping of [false, true]) {
        await using session = await openBackend(name, MODEL, { threads: 1 });
        await session.attach(DATA);
        const first = session.train(DATA, steps(20));
        if (overlapping) {
          const others: (() => Promise<unknown>)[] = [
            () => session.train(DATA, steps(1)),
            () => session.evaluate(DATA),
            () => predict(session, TEST),
            () => session.attach(TEST),
            () => session.detach(DATA),
            () => session.readState(),
            () => session.gradients(DATA, Uint32Array.of(0)),
          ];
          for (const other of others) {
            await assertRejects(other, TypeError, "while train has not ended");
          }
        }
        results.push([await first, await session.readState()]);
      }
      assertEquals(results[0], results[1]);
    },
  });

  Deno.test({
    name: `${name}: a disposal ends the call at hand, and every later one is refused`,
    ignore,
    async fn() {
      const session = await openBackend(name, MODEL, { threads: 1 });
      await session.attach(DATA);
      let ended = false;
      const call = assertRejects(() => session.train(DATA, steps(200_000)), TypeError, "disposed")
        .then(() => ended = true);
      await new Promise((resolve) => setTimeout(resolve));
      await session[Symbol.asyncDispose]();
      await call;
      assert(ended);
      await assertRejects(() => session.evaluate(DATA), TypeError, "disposed");
      await assertRejects(() => session.readState(), TypeError, "disposed");
    },
  });

  Deno.test({
    name: `${name}: images that are not attached give the same, and what was detached is gone`,
    ignore,
    async fn() {
      await using session = await openBackend(name, MODEL, { threads: 1 });
      const fresh = [await session.evaluate(TEST), await session.predict(TEST)];
      await assertRejects(() => session.train(TEST, steps(1)), TypeError, "not attached");
      assertEquals([await session.attach(TEST), await session.attach(TEST)], [true, false]);
      assertEquals([await session.evaluate(TEST), await session.predict(TEST)], fresh);
      const labels = any("do not matter");
      assertEquals(await session.predict({ ...TEST, labels }), fresh[1]);
      const training = { train: DATA, test: TEST };
      await train(session, training, { ...PLAN, learningRate: 1e-9, maxSteps: 1 });
      await assertRejects(() => session.train(DATA, steps(1)), TypeError, "not attached");
      assertEquals((await session.train(TEST, steps(1))).steps, 1);
      await session.detach(TEST);
      await session.detach(TEST);
      await assertRejects(() => session.train(TEST, steps(1)), TypeError, "not attached");
    },
  });
}

/** A training of so many steps on the first eight images. */
function steps(count: number) {
  return {
    order: Uint32Array.from({ length: 8 * count }, (_, n) => n % 8),
    batchSize: 8,
    learningRates: new Float32Array(count).fill(0.01),
  };
}

Deno.test("wasm: room is taken and given back in any order, and what stays is not moved", () => {
  const memory = { buffer: new ArrayBuffer(2 ** 16) } as WebAssembly.Memory;
  const store = new DataStore(memory, 1000);
  const images = (size: number, value: number): LabeledImages => {
    const [images, labels] = [new Uint8Array(size).fill(value), Uint8Array.of(value)];
    return { images, labels, count: 1, shape: [1, 1, size] };
  };
  const stays = store.attach(images(3000, 7));
  for (let round = 0; round < 10_000; round++) {
    const sizes = [1000 + round % 900, 20_000 + round % 5000, 5000 - round % 3000];
    const places = sizes.map((size, n) => store.attach(images(size, n)));
    const work = store.prepare(new Uint32Array(round % 500), { classCount: 3 });
    for (const n of [[0, 1, 2], [2, 1, 0], [1, 2, 0]][round % 3]) store.detach(places[n]);
    work.end();
  }
  const bytes = new Uint8Array(memory.buffer);
  assert(bytes.subarray(stays.images, stays.images + 3000).every((byte) => byte === 7));
  assertEquals(bytes[stays.labels], 7);
  const whole = store.attach(images(61_000, 9)); // all that is left, in one piece
  assert(whole.images > stays.labels);
});

Deno.test("wasm: predictions of more images than fit its memory leave nothing behind", {
  ignore,
}, async () => {
  const shape = [1, 1024, 1024] as const;
  const pool = lenet.avgPool2d({ poolSize: 1, stride: 512 });
  const model = sequential([pool, flatten(), linear({ outFeatures: 2 })], { inputShape: shape });
  await using session = await openBackend("wasm", model);
  const count = 550;
  const images = new Uint8Array(count * 2 ** 20); // never touched, so it costs little
  for (let round = 0; round < 2; round++) {
    assertEquals((await session.predict({ images, count, shape })).length, 2 * count);
  }
});

for (const [name, ignore] of SESSIONS.slice(0, 4)) {
  Deno.test({
    name: `${name}: a thousand predictions of different arrays leave memory flat`,
    ignore,
    async fn() {
      await using session = await openBackend(name, MODEL, { threads: 1 });
      const before = tf.memory();
      const rss: number[] = [];
      for (let round = 0; round < 1000; round++) {
        await session.predict({ ...TEST, images: TEST.images.slice() });
        if (round % 100 === 99) rss.push(Deno.memoryUsage().rss);
      }
      assertEquals(tf.memory().numTensors, before.numTensors);
      assert(rss.at(-1)! - rss[4] < 32e6, `${rss}`);
    },
  });
}

Deno.test(
  "sessions on tfjs-cpu and tfjs-wasm that run at once give right answers, and a caller's backend stays",
  {
    ignore,
  },
  async () => {
    await tf.setBackend("cpu");
    const run = async (name: BackendName) => {
      await using session = await openBackend(name, MODEL, { seed: 5, batchSize: 8 });
      await train(session, { train: DATA, test: TEST }, PLAN);
      return (await session.readState()).parameters;
    };
    const expected = await run("reference");
    const names = ["tfjs-cpu", "tfjs-wasm", "tfjs-wasm", "tfjs-cpu"] as const;
    for (const found of await Promise.all(names.map(run))) {
      const difference = found.reduce((most, x, n) => Math.max(most, Math.abs(x - expected[n])), 0);
      assert(difference < 1e-5, `differs by ${difference}`);
    }
    assertEquals(tf.getBackend(), "cpu");
  },
);
