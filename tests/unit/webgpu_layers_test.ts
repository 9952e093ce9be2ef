/** What the `webgpu` engine makes of layers that train differently from how they answer, and the limits of
 * what it can hold; the parity table tests what it shares with the others. */

import type { Session } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { chooseAdapter, describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { createWebgpuBackend, webgpuBackend } from "../../src/backends/webgpu/backend.ts";
import { cutBatch } from "../../src/backends/webgpu/chunk.ts";
import { CommandStream, FIRST_MACS } from "../../src/backends/webgpu/command_stream.ts";
import { Compiler } from "../../src/backends/webgpu/compiler.ts";
import { Gpu } from "../../src/backends/webgpu/gpu.ts";
import type { Kernel } from "../../src/backends/webgpu/kernel.ts";
import { HARDWARE_TUNING } from "../../src/backends/webgpu/tuning.ts";
import { WorkBuffers } from "../../src/backends/webgpu/work_buffers.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import {
  batchNorm1d,
  batchNorm2d,
  conv2d,
  flatten,
  linear,
  maxPool2d,
  relu,
  tanh,
} from "../../src/nn/layers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { lenet } from "../../src/nn/zoo.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { randomImages } from "../parity/cases.ts";
import { differences, trained } from "../parity/trained.ts";

const ignore = (await describeAdapters()).length === 0;
const HARDWARE = createWebgpuBackend({ tuning: HARDWARE_TUNING });
const SGD = { type: "sgd", momentum: 0 } as const;

const NORMALIZED = sequential([
  conv2d({ outChannels: 5, kernelSize: 3, bias: false }),
  batchNorm2d(),
  relu(),
  maxPool2d({ poolSize: 2 }),
  flatten(),
  linear({ outFeatures: 3 }),
], { inputShape: [2, 8, 8] });

/** Layers that are tiles of which the last are part empty, one whose outputs do not fit a workgroup's
 * memory, two in one kernel. */
const WIDE = sequential([
  flatten(),
  linear({ outFeatures: 37, bias: false }),
  batchNorm1d(),
  tanh(),
  linear({ outFeatures: 300 }),
  relu(),
  linear({ outFeatures: 45 }),
  tanh(),
  linear({ outFeatures: 6 }),
], { inputShape: [2, 7, 7] });

for (const [name, model] of [["wide linear layers", WIDE], ["LeNet", lenet()]] as const) {
  Deno.test({
    name: `webgpu equals the reference, tuned for hardware, more than a group: ${name}`,
    ignore,
    async fn() {
      const expected = await trained(referenceBackend, model);
      assertEquals(differences(model, await trained(HARDWARE, model), expected), []);
    },
  });
}

Deno.test({
  name: "webgpu takes the variance of values that are far from 0, of features and of maps",
  ignore,
  async fn() {
    const standardization = { mean: -100, std: 1 };
    const models = [
      [batchNorm2d({ momentum: 1 }), flatten(), linear({ outFeatures: 2 })],
      [flatten(), batchNorm1d({ momentum: 1 }), linear({ outFeatures: 2 })],
    ].map((specs) => sequential(specs, { inputShape: [3, 4, 4], standardization }));
    for (const model of models) {
      const [actual, expected] = [
        await trained(webgpuBackend, model),
        await trained(referenceBackend, model),
      ];
      for (const [index, value] of expected.statistics.entries()) {
        const difference = Math.abs(actual.statistics[index] / value - 1);
        assert(difference < 1e-3, `statistic ${index} is off by ${difference}`);
      }
    }
  },
});

Deno.test({
  name: "webgpu adds a channel up in parts, where it is large and its rows do not divide",
  ignore,
  async fn() {
    const specs = [
      batchNorm2d(),
      maxPool2d({ poolSize: 20 }),
      flatten(),
      linear({ outFeatures: 2 }),
    ];
    const model = sequential(specs, { inputShape: [2, 101, 43] });
    const actual = await trained(webgpuBackend, model);
    assertEquals(differences(model, actual, await trained(referenceBackend, model)), []);
  },
});

Deno.test({
  name: "webgpu carries batch norm, activation and pooling out with the convolution, when asked",
  ignore,
  async fn() {
    await using session = await open(webgpuBackend, NORMALIZED, 1);
    const labels: string[] = [];
    const { createComputePipelineAsync } = GPUDevice.prototype;
    GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
      labels.push(descriptor.label!);
      return createComputePipelineAsync.call(this, descriptor);
    };
    try {
      await session.evaluate(randomImages(NORMALIZED, 3, 1));
    } finally {
      GPUDevice.prototype.createComputePipelineAsync = createComputePipelineAsync;
    }
    assertEquals(labels.toSorted(), [
      "conv2d_pool_forward 0",
      "gather_images",
      "linear_layers forward",
    ]);
  },
});

Deno.test({
  name: "webgpu makes little room for one image, and none for a training that is not asked for",
  ignore,
  async fn() {
    let bytes = 0;
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      bytes += descriptor.size;
      return createBuffer.call(this, descriptor);
    };
    try {
      await using session = await open(webgpuBackend, NORMALIZED, 1);
      const made = async (count: number) => {
        const before = bytes;
        await session.predict(randomImages(NORMALIZED, count, 1));
        return bytes - before;
      };
      const [one, many] = [await made(1), await made(200)];
      assert(4 * one <= many, `${one} bytes for one image, ${many} for 200`);
      const perImage = 4 * (2 * 8 * 8 + 8 * 3 * 3 + 4) * 4;
      assert(many <= 256 * perImage, `${many} bytes for 200 images`);
    } finally {
      GPUDevice.prototype.createBuffer = createBuffer;
    }
  },
});

Deno.test({
  name: "webgpu loses no NaN in a maximum, joined to a convolution or by itself",
  ignore,
  async fn() {
    for (const pool of [{ poolSize: 2 }, { poolSize: 3, stride: 2, padding: 1 }]) {
      const model = sequential([
        conv2d({ outChannels: 1, kernelSize: 1, bias: false }),
        maxPool2d(pool),
        flatten(),
        linear({ outFeatures: 2, bias: false }),
      ], { inputShape: [1, 4, 4] });
      const data = { ...randomImages(model, 3, 1), images: new Uint8Array(48).fill(9) };
      data.images[16 + 5] = 0; // times infinity
      const logits = [];
      for (const backend of [webgpuBackend, referenceBackend]) {
        await using session = await backend.open(model, { optimizer: SGD, batchSize: 3 });
        const parameters = new Float32Array(model.parameterCount).fill(1);
        parameters[0] = Infinity;
        await session.loadState({ parameters, slots: [], step: 0 });
        logits.push(await session.predict(data));
      }
      assertEquals(logits[0], logits[1]);
      assertEquals([...logits[0]].map(Number.isNaN), [false, false, true, true, false, false]);
    }
  },
});

Deno.test({
  name: "webgpu refuses batches whose statistics it could not take",
  ignore,
  async fn() {
    const specs = [
      batchNorm2d(),
      maxPool2d({ poolSize: 64 }),
      flatten(),
      linear({ outFeatures: 2 }),
    ];
    const model = sequential(specs, { inputShape: [4, 512, 512] });
    const { maxStorageBufferBindingSize } = (await chooseAdapter()).limits;
    const most = Math.floor(maxStorageBufferBindingSize / (4 * 4 * 512 * 512));
    const { message } = await assertRejects(
      () => webgpuBackend.open(model, { optimizer: SGD, batchSize: most + 1 }),
      RangeError,
      `Cannot train model "sequential" on batches of ${most + 1} images: its batch norms need`,
    );
    assert(message.endsWith("use a smaller batch size"), message);
  },
});

Deno.test({
  name: "webgpu saturates tanh, and loses no NaN in it",
  ignore,
  async fn() {
    const model = sequential([flatten(), linear({ outFeatures: 3 }), tanh()], {
      inputShape: [1, 1, 1],
    });
    await using session = await webgpuBackend.open(model, { optimizer: SGD, batchSize: 1 });
    const parameters = Float32Array.of(0, 0, 0, 1e4, -100, NaN);
    await session.loadState({ parameters, slots: [], step: 0 });
    assertEquals([...await session.predict(randomImages(model, 1, 1))], [1, -1, NaN]);
  },
});

Deno.test({
  name: "webgpu cuts work into command buffers by its multiply-adds, and by the device's speed",
  ignore,
  async fn() {
    const gpu = await Gpu.open();
    const { submit } = GPUQueue.prototype;
    try {
      const stream = new CommandStream(gpu);
      const [work, compiler] = [new WorkBuffers(gpu), new Compiler(gpu, stream.chunks)];
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
      const buffer = gpu.createBuffer("runs", 16, usage);
      const count: Kernel = {
        label: "count_runs",
        code: "@compute @workgroup_size(1) fn main() { runs[0] += 1u; }",
        bindings: [{ name: "runs", type: "array<u32>", access: "write", buffer }],
        workgroups: [1, 1, 1],
        macs: FIRST_MACS / 25,
      };
      const kernels = await compiler.compile([count, { ...count, label: "again" }, { ...count }]);
      const [chunk] = cutBatch({ first: 0, count: 10, update: false }, { capacity: 10, group: 1 });
      let submits = 0;
      GPUQueue.prototype.submit = function (buffers) {
        submits++;
        return submit.call(this, buffers);
      };
      const job = { chunk, kernels };
      assertEquals(stream.submit([job, job]), 6 * 10 * FIRST_MACS / 25);
      assertEquals(submits, 3); // two kernels each
      stream.measured(FIRST_MACS, 10);
      stream.submit([job, job]);
      assertEquals(submits, 4);
      const [bytes] = await work.read([{ buffer, byteLength: 4 }]);
      assertEquals(new Uint32Array(bytes)[0], 12);
    } finally {
      GPUQueue.prototype.submit = submit;
      gpu.destroy();
    }
  },
});

async function open(
  backend: Pick<typeof referenceBackend, "open">,
  model: Model,
  batchSize: number,
): Promise<Session> {
  const session = await backend.open(model, { optimizer: SGD, batchSize, seed: 7 });
  const [parameters, statistics] = [initialParameters(model, 1), initialStatistics(model)];
  await session.loadState({ parameters, statistics, slots: [], step: 5 });
  return session;
}
