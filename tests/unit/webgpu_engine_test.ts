/** What is particular to the `webgpu` engine; the parity table tests what it shares with the others. */

import { BackendUnavailableError, type Session } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { chooseAdapter, describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import {
  createWebgpuBackend,
  openEngine,
  webgpuBackend,
} from "../../src/backends/webgpu/backend.ts";
import { updateChunk } from "../../src/backends/webgpu/chunk.ts";
import { CommandStream } from "../../src/backends/webgpu/command_stream.ts";
import { Compiler } from "../../src/backends/webgpu/compiler.ts";
import { Gpu } from "../../src/backends/webgpu/gpu.ts";
import { A_GROUP, foldWorkgroups, type Kernel } from "../../src/backends/webgpu/kernel.ts";
import { HARDWARE_TUNING, SOFTWARE_TUNING } from "../../src/backends/webgpu/tuning.ts";
import { WorkBuffers } from "../../src/backends/webgpu/work_buffers.ts";
import type { LabeledImages } from "../../src/data/dataset.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { conv2d, flatten, linear, maxPool2d, relu, tanh } from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { lenet } from "../../src/nn/zoo.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { largestRelativeDifference, randomImages } from "../parity/cases.ts";
import { randomGraph } from "../random_graphs.ts";

const SGD = { type: "sgd", momentum: 0 } as const;
const TUNINGS = { software: SOFTWARE_TUNING, hardware: HARDWARE_TUNING };
const LINEAR = sequential([flatten(), linear({ outFeatures: 2 })], { inputShape: [1, 2, 2] });
const ignore = (await describeAdapters()).length === 0;
/** Most parameters that any model may have: some GPUs can bind them all. */
const LARGEST_MODEL = 2 ** 28;

for (const [tuningName, tuning] of Object.entries(TUNINGS)) {
  for (const seed of [1, 2, 3, 4]) {
    Deno.test({
      name: `webgpu equals the reference on random model ${seed}, tuned for ${tuningName}`,
      ignore,
      async fn() {
        const model = randomGraph(createRandom(seed, "webgpu models"));
        const data = randomImages(model, 9, seed);
        const indices = Uint32Array.of(8, 0, 3, 3, 5);
        const [actual, expected] = [
          await gradientsOf(createWebgpuBackend({ tuning }), model, { data, indices }),
          await gradientsOf(referenceBackend, model, { data, indices }),
        ];
        const difference = largestRelativeDifference(model, actual.gradients, expected.gradients);
        assert(difference <= 1e-4, `${JSON.stringify(model.specs)}: differs by ${difference}`);
        assert(Math.abs(actual.loss - expected.loss) <= 1e-5);
      },
    });
  }
}

Deno.test({
  name: "webgpu cuts a batch that is larger than its buffers, and images that fill several buffers",
  ignore,
  async fn() {
    const specs = [flatten(), linear({ outFeatures: 5 }), tanh(), linear({ outFeatures: 3 })];
    const model = sequential(specs, { inputShape: [1, 3, 2] });
    const data = randomImages(model, 2500, 3);
    const indices = Uint32Array.from(data.labels, (_, index) => 2499 - index);
    const backend = createWebgpuBackend({ bytesPerBuffer: 8 * 900 });
    const [actual, expected] = [
      await gradientsOf(backend, model, { data, indices }),
      await gradientsOf(referenceBackend, model, { data, indices }),
    ];
    const difference = largestRelativeDifference(model, actual.gradients, expected.gradients);
    assert(difference <= 1e-4, `differs by ${difference}`);
  },
});

Deno.test({
  name: "webgpu repeats a run bit for bit",
  ignore,
  async fn() {
    const model = lenet();
    const data = randomImages(model, 70, 1);
    const runs = [];
    for (let run = 0; run < 2; run++) {
      await using session = await open(model, { batchSize: 32 });
      await session.attach(data);
      const { losses } = await session.train(data, request(data, 32, 0.1));
      runs.push({ losses, ...await session.readState() });
    }
    assertEquals(runs[0], runs[1]);
  },
});

Deno.test({
  name: "webgpu reports progress, and a stop leaves as many steps as it says",
  ignore,
  async fn() {
    const model = tinyModel();
    const data = randomImages(model, 3000, 1);
    await using session = await open(model, { batchSize: 1 });
    await session.attach(data);
    const stop = new AbortController();
    const progress: number[] = [];
    const result = await session.train(data, {
      ...request(data, 1, 0.01),
      signal: stop.signal,
      onProgress(steps) {
        progress.push(steps);
        stop.abort();
      },
    });
    assert(result.steps > 0 && result.steps < 3000, `found ${result.steps} steps`);
    assertEquals(progress.at(-1), result.steps);
    assertEquals(result.losses.length, result.steps);
    assertEquals((await session.readState()).step, result.steps);
  },
});

Deno.test({
  name: "webgpu frees every buffer, session after session",
  ignore,
  async fn() {
    const data = randomImages(LINEAR, 4, 1);
    using counts = countBuffers();
    for (let round = 0; round < 50; round++) {
      const session = await open(LINEAR, { batchSize: 4 });
      await session.attach(data);
      await session.train(data, request(data, 4, 0.1));
      await session.predict(data);
      await session[Symbol.asyncDispose]();
      await assertRejects(() => session.evaluate(data), TypeError, "disposed");
    }
    assert(counts.created > 500);
    assertEquals(counts.alive, 0);
  },
});

Deno.test({
  name: "webgpu makes no buffer in a step",
  ignore,
  async fn() {
    const model = tinyModel();
    const data = randomImages(model, 40, 1);
    await using session = await open(model, { batchSize: 4 });
    await session.attach(data);
    await session.train(data, request(data, 4, 0.1));
    await session.evaluate(data);
    using counts = countBuffers();
    await session.train(data, request(data, 4, 0.1));
    await session.evaluate(data);
    assertEquals(counts.created, 0);
  },
});

Deno.test({
  name: "webgpu waits for the device once a call, and not for the state after a training",
  ignore,
  async fn() {
    const model = tinyModel();
    const data = randomImages(model, 40, 1);
    await using session = await open(model, { batchSize: 4 });
    await session.attach(data);
    const { mapAsync } = GPUBuffer.prototype;
    const { onSubmittedWorkDone } = GPUQueue.prototype;
    let waits: string[] = [];
    GPUBuffer.prototype.mapAsync = function (...about) {
      waits.push("map");
      return mapAsync.apply(this, about);
    };
    GPUQueue.prototype.onSubmittedWorkDone = function () {
      waits.push("done");
      return onSubmittedWorkDone.call(this);
    };
    const waitsOf = async (call: () => Promise<unknown>) => {
      waits = [];
      await call();
      return waits;
    };
    try {
      let stretches = 0;
      const onProgress = () => stretches++;
      const epoch = { ...request(data, 4, 0.1), onProgress };
      const found = await waitsOf(() => session.train(data, epoch));
      assertEquals(found, [...Array(stretches - 1).fill("done"), "map"]);
      assertEquals(await waitsOf(() => session.readState()), []);
      assertEquals(await waitsOf(() => session.readState()), ["map"]);
      assertEquals(await waitsOf(() => session.evaluate(data)), ["map"]);
      assertEquals(await waitsOf(() => session.predict(data)), ["map"]);
      await session.train(data, request(data, 4, 0.1));
      const trained = await session.readState();
      assertEquals(trained, await session.readState()); // read with the results, and now
      await session.train(data, request(data, 4, 0.1));
      await session.loadState(trained);
      assertEquals(await session.readState(), trained);
    } finally {
      GPUBuffer.prototype.mapAsync = mapAsync;
      GPUQueue.prototype.onSubmittedWorkDone = onSubmittedWorkDone;
    }
  },
});

Deno.test({
  name: "webgpu frees the buffers of images that are detached, or attached for one call",
  ignore,
  async fn() {
    await using session = await open(LINEAR, { batchSize: 4 });
    const sets = Array.from({ length: 20 }, (_, seed) => randomImages(LINEAR, 24 - seed, seed));
    await session.predict(sets[0]);
    await session.evaluate(sets[0]);
    await session.attach(sets[0]);
    await session.train(sets[0], request(sets[0], 4, 0.1));
    const [counts, pipelines] = [countBuffers(), countPipelines()];
    try {
      for (const data of sets) {
        await session.predict(data);
        await session.evaluate(data);
        await session.attach(data);
        await session.train(data, request(data, 4, 0.1));
        await session.detach(data);
      }
      assert(counts.created >= 3 * 2 * 19, `made ${counts.created} buffers`);
      assertEquals(counts.alive, 0);
      assertEquals(pipelines.compiled, 0); // for any number of images
    } finally {
      counts[Symbol.dispose]();
      pipelines[Symbol.dispose]();
    }
  },
});

Deno.test({
  name: "webgpu lays out more workgroups than a dimension may have: a leading ReLU of 300 x 300",
  ignore,
  async fn() {
    const specs = [relu(), maxPool2d({ poolSize: 50 }), flatten(), linear({ outFeatures: 2 })];
    const model = sequential(specs, { inputShape: [3, 300, 300] });
    const data = randomImages(model, 3, 1);
    const indices = Uint32Array.of(2, 0, 1);
    const [actual, expected] = [
      await gradientsOf(webgpuBackend, model, { data, indices }),
      await gradientsOf(referenceBackend, model, { data, indices }),
    ];
    const difference = largestRelativeDifference(model, actual.gradients, expected.gradients);
    assert(difference <= 1e-4, `differs by ${difference}`);
  },
});

Deno.test({
  name: "webgpu finds every group again of a kernel that was folded, and folds no other",
  ignore,
  async fn() {
    const gpu = await Gpu.open();
    try {
      const stream = new CommandStream(gpu);
      const [work, compiler] = [new WorkBuffers(gpu), new Compiler(gpu, stream.chunks)];
      const chunk = { ...updateChunk([]), groups: 3 };
      for (const [x, y, z] of [[7, 5, 3], [12, 3, 2], [A_GROUP, 5, 4], [A_GROUP, 7, 2]] as const) {
        const [width, height] = [typeof x === "number" ? x : 3, y];
        const count = width * height * z;
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
        const buffer = gpu.createBuffer("seen", 4 * count, usage);
        const kernel: Kernel = {
          label: "count_groups",
          code: `@compute @workgroup_size(1)
fn main(@builtin(local_invocation_id) local: vec3u, @builtin(workgroup_id) group: vec3u) {
  seen[(group.z * ${height}u + group.y) * ${width}u + group.x] += 1u + local.x;
}`,
          bindings: [{ name: "seen", type: "array<u32>", access: "write", buffer }],
          workgroups: [x, y, z],
        };
        assertEquals(foldWorkgroups(kernel, 12), kernel);
        const folded = foldWorkgroups(kernel, typeof x === "number" ? 10 : 5);
        assertEquals(folded === kernel, y === 5);
        stream.submit([{ chunk, kernels: await compiler.compile([folded]) }]);
        const [bytes] = await work.read([{ buffer, byteLength: 4 * count }]);
        assertEquals(new Uint32Array(bytes), new Uint32Array(count).fill(1));
      }
    } finally {
      gpu.destroy();
    }
  },
});

Deno.test({
  name: "webgpu describes its adapters",
  ignore,
  async fn() {
    const [adapter] = await describeAdapters();
    assert(adapter.name !== "");
    assert(adapter.limits.maxStorageBufferBindingSize >= 2 ** 27);
    await using session = await open(tinyModel(), { batchSize: 1 });
    assertEquals(session.device.kind, "gpu");
    assertEquals(session.device.software, adapter.software);
    assertMatch(session.device.description, /^WebGPU on ./);
  },
});

Deno.test({
  name: "webgpu refuses an adapter that is not there",
  ignore,
  async fn() {
    const options = { optimizer: SGD, batchSize: 1, adapter: { deviceIndex: 99 } };
    await assertRejects(
      () => webgpuBackend.open(tinyModel(), options),
      BackendUnavailableError,
      "no WebGPU adapter has index 99: there",
    );
  },
});

Deno.test({
  name: "webgpu turns a device's errors into one line",
  ignore,
  async fn() {
    const gpu = await Gpu.open();
    try {
      const chunks = gpu.createBuffer("chunks", 256, GPUBufferUsage.UNIFORM);
      const kernel = { label: "broken", bindings: [], workgroups: [1, 1, 1] } as const;
      const refused = await assertRejects(
        () => new Compiler(gpu, chunks).compile([{ ...kernel, code: "fn main( {" }]),
        Error,
        "Cannot compile broken: ",
      );
      assert(!refused.message.includes("\n"));
      gpu.check();
      gpu.device.createBuffer({ size: 16, usage: 0 });
      gpu.device.queue.writeBuffer(chunks, 0, new Uint8Array(4)); // it was not made to be written
      const late = await assertRejects(() => gpu.finish(), Error, " reports ");
      assert(!late.message.includes("\n"));
    } finally {
      gpu.destroy();
    }
  },
});

async function mostBound(): Promise<number> {
  return (await chooseAdapter()).limits.maxStorageBufferBindingSize;
}

Deno.test({
  name: "a model whose parameters webgpu cannot bind is refused by size",
  ignore: ignore || await mostBound() > 4 * LARGEST_MODEL,
  async fn() {
    const outFeatures = Math.ceil(await mostBound() / 4 / 64 ** 2);
    const layers = [flatten(), linear({ outFeatures }), linear({ outFeatures: 2 })];
    const model = sequential(layers, { inputShape: [1, 64, 64] });
    const { message } = await assertRejects(
      () => webgpuBackend.open(model, { optimizer: SGD, batchSize: 1 }),
      RangeError,
      "its parameters take",
    );
    assert(message.endsWith("use a smaller model or the wasm backend"), message);
  },
});

Deno.test({
  name:
    "webgpu says in one line that its device was lost, also in a training, and never goes on with zeros",
  ignore,
  async fn() {
    const data = randomImages(LINEAR, 4, 1);
    {
      await using session = await open(LINEAR, { batchSize: 4 });
      await session.attach(data);
      await session.train(data, request(data, 4, 0.1));
      (await Gpu.open()).device.destroy();
      const uses: (() => Promise<unknown>)[] = [
        () => session.train(data, request(data, 4, 0.1)),
        () => session.evaluate(data),
        () => session.predict(data),
        () => session.readState(),
      ];
      for (const use of uses) {
        const { message } = await assertRejects(use, Error, "lost");
        assert(!message.includes("\n"), message);
      }
    }
    const many = randomImages(LINEAR, 4000, 1);
    await using next = await open(LINEAR, { batchSize: 4 });
    await next.attach(many);
    assertEquals((await next.train(many, request(many, 4, 0.1))).steps, 1000);
    const { device } = await Gpu.open();
    const halfWay = { ...request(many, 4, 0.1), onProgress: () => device.destroy() };
    const { message } = await assertRejects(() => next.train(many, halfWay), Error, "lost");
    assert(!message.includes("\n"), message);
  },
});

Deno.test({
  name: "webgpu sessions, one after the other or side by side, share a device and its pipelines",
  ignore,
  async fn() {
    const data = randomImages(LINEAR, 4, 1);
    const use = async (session: Session) => {
      await session.attach(data);
      await session.train(data, request(data, 4, 0.1));
      return { state: await session.readState(), logits: await session.predict(data) };
    };
    const first = await open(LINEAR, { batchSize: 4 });
    const expected = await use(first);
    await first[Symbol.asyncDispose]();
    using counts = countPipelines();
    const [second, third] = await Promise.all([1, 2].map(() => open(LINEAR, { batchSize: 4 })));
    assertEquals(await Promise.all([use(second), use(third)]), [expected, expected]);
    await second[Symbol.asyncDispose]();
    assertEquals(await third.predict(data), expected.logits);
    await third[Symbol.asyncDispose]();
    assertEquals(counts.compiled, 0);
  },
});

Deno.test({
  name: "webgpu times every kernel of a step",
  ignore: ignore || !(await chooseAdapter()).features.has("timestamp-query"),
  async fn() {
    const data = randomImages(lenet(), 8, 1);
    const engine = await openEngine(lenet(), { optimizer: SGD, batchSize: 8, seed: 0 });
    engine.load({
      parameters: initialParameters(lenet(), 1),
      statistics: new Float32Array(),
      slots: [],
    });
    const times = await engine.timeKernels(await engine.attach(data), Uint32Array.of(0, 1, 2));
    engine.dispose();
    assert(times.length <= 12, `found ${times.length} dispatches a step`);
    assert(times.every(({ microseconds }) => microseconds >= 0 && microseconds < 1e7));
    assert(times.some(({ microseconds }) => microseconds > 0));
    assert(times.some(({ name }) => name === "conv2d_pool_forward conv2"));
  },
});

function tinyModel(): Model {
  return sequential([
    conv2d({ outChannels: 2, kernelSize: 3 }),
    relu(),
    flatten(),
    linear({ outFeatures: 2 }),
  ], { inputShape: [1, 5, 5] });
}

/** Convolutions, pools and activations as they come, on a small image. */

async function open(model: Model, { batchSize }: { batchSize: number }): Promise<Session> {
  const session = await webgpuBackend.open(model, { optimizer: SGD, batchSize });
  await session.loadState({ parameters: initialParameters(model, 1), slots: [], step: 0 });
  return session;
}

async function gradientsOf(
  backend: Pick<typeof referenceBackend, "open">,
  model: Model,
  { data, indices }: { data: LabeledImages; indices: Uint32Array },
) {
  await using session = await backend.open(model, { optimizer: SGD, batchSize: indices.length });
  await session.loadState({ parameters: initialParameters(model, 7), slots: [], step: 0 });
  await session.attach(data);
  return await session.gradients(data, indices);
}

function request(data: LabeledImages, batchSize: number, learningRate: number) {
  return {
    order: Uint32Array.from(data.labels, (_, index) => index),
    batchSize,
    learningRates: new Float32Array(Math.ceil(data.count / batchSize)).fill(learningRate),
  };
}

/** Counts pipelines that are compiled until it is disposed. */
function countPipelines() {
  const { createComputePipelineAsync } = GPUDevice.prototype;
  const counts = {
    compiled: 0,
    [Symbol.dispose]() {
      GPUDevice.prototype.createComputePipelineAsync = createComputePipelineAsync;
    },
  };
  GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
    counts.compiled++;
    return createComputePipelineAsync.call(this, descriptor);
  };
  return counts;
}

/** Counts buffers that are made and destroyed until it is disposed. */
function countBuffers() {
  const alive = new Set<GPUBuffer>();
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  const counts = {
    created: 0,
    get alive() {
      return alive.size;
    },
    [Symbol.dispose]() {
      GPUDevice.prototype.createBuffer = createBuffer;
      GPUBuffer.prototype.destroy = destroy;
    },
  };
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    counts.created++;
    alive.add(buffer);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () {
    alive.delete(this);
    return destroy.call(this);
  };
  return counts;
}
