/** Random numbers by counter: the same on every engine, and random. */

import {
  compileKernels,
  createMemory,
  instantiateKernels,
} from "../../src/backends/wasm/kernels.ts";
import { RANDOM_WGSL } from "../../src/backends/webgpu/kernel.ts";
import { type Counter, createRandom, drawAt, streamKey } from "../../src/random.ts";
import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "../assert.ts";

const EXTREMES = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** Keys and counters: all extremes, and thousands between. */
const PLACES: readonly (readonly [key: number, counter: Counter])[] = [
  ...EXTREMES.flatMap((key) =>
    EXTREMES.flatMap((step) =>
      EXTREMES.flatMap((image) => EXTREMES.map((unit) => [key, { step, image, unit }] as const))
    )
  ),
  ...Array.from({ length: 8_000 }, (_, n) => {
    const random = createRandom(n, "places");
    const [key, step, image, unit] = [0, 0, 0, 0].map(() => random.below(2 ** (1 + n % 32)));
    return [key, { step, image, unit }] as const;
  }),
];

const EXPECTED = PLACES.map(([key, counter]) => drawAt(key, counter));

Deno.test("numbers by counter are the same on every machine, for ever", () => {
  const key = streamKey(7, "dropout 3");
  assertEquals(key, 1_563_840_283);
  const units = [0, 1, 2].map((unit) => drawAt(key, { step: 5, image: 59_999, unit }));
  assertEquals(units, [313_933_449, 2_484_579_987, 1_175_314_614]);
});

for (const build of ["relaxed", "plain"] as const) {
  Deno.test(`the wasm kernels draw the same numbers: ${build}`, async () => {
    const { module } = await compileKernels(build);
    const kernels = instantiateKernels(module, createMemory());
    const drawn = PLACES.map(([key, { step, image, unit }]) =>
      kernels.drawAt(key, step, image, unit) >>> 0
    );
    assertEquals(drawn, EXPECTED);
  });
}

const adapter = await navigator.gpu?.requestAdapter();

Deno.test({
  name: "WGSL draws the same numbers",
  ignore: adapter === undefined || adapter === null,
  fn: async () => {
    const device = await adapter!.requestDevice();
    const places = Uint32Array.from(
      PLACES.flatMap(([key, { step, image, unit }]) => [key, step, image, unit]),
    );
    assertEquals(await drawOnDevice(device, places), EXPECTED);
    device.destroy();
  },
});

async function drawOnDevice(
  device: GPUDevice,
  places: Uint32Array<ArrayBuffer>,
): Promise<number[]> {
  const count = places.length / 4;
  const code = `${RANDOM_WGSL}
@group(0) @binding(0) var<storage, read> places: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> drawn: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ${count}u) { return; }
  let place = places[id.x];
  drawn[id.x] = draw_at(place.x, place.y, place.z, place.w);
}`;
  const { STORAGE, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
  const buffer = (size: number, usage: number) => device.createBuffer({ size, usage });
  const input = buffer(places.byteLength, STORAGE | COPY_DST);
  const output = buffer(4 * count, STORAGE | COPY_SRC);
  const staging = buffer(4 * count, COPY_DST | MAP_READ);
  device.queue.writeBuffer(input, 0, places);
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [input, output].map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(count / 64));
  pass.end();
  encoder.copyBufferToBuffer(output, 0, staging, 0, 4 * count);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return [...new Uint32Array(staging.getMappedRange())];
}

const COUNT = 2 ** 16;

/** Ways through the counters, as engines go through them. */
const WALKS: Readonly<Record<string, (n: number) => number>> = {
  "units of an image": (unit) => drawAt(streamKey(0, "dropout 1"), { step: 0, image: 0, unit }),
  "a unit of all images": (image) => drawAt(streamKey(0, "dropout 1"), { step: 1, image, unit: 0 }),
  "a unit of an image in all steps": (step) =>
    drawAt(streamKey(1, "x"), { step, image: 9, unit: 4 }),
  "few units of few images in few steps": (n) =>
    drawAt(streamKey(2, "x"), { step: n >> 11, image: n >> 5 & 63, unit: n & 31 }),
  "streams": (n) => drawAt(streamKey(3, `dropout ${n}`), { step: 0, image: 0, unit: 0 }),
  "seeds": (seed) => drawAt(streamKey(seed, "dropout 1"), { step: 0, image: 0, unit: 0 }),
};

for (const [name, walk] of Object.entries(WALKS)) {
  Deno.test(`numbers by counter are even, and neighbours are independent: ${name}`, () => {
    const values = Array.from({ length: COUNT }, (_, n) => walk(n));
    // 255 degrees of freedom: standard deviation 22.6; five of them.
    for (const shift of [0, 8, 16, 24]) {
      const counts = new Array<number>(256).fill(0);
      for (const value of values) counts[value >>> shift & 255]++;
      assertAlmostEquals(chiSquare(counts), 255, 113, `byte at ${shift}`);
    }
    // Pairs of neighbours by their high four bits, and of those 32 apart.
    for (const distance of [1, 32]) {
      const counts = new Array<number>(256).fill(0);
      for (let n = 0; n + distance < COUNT; n++) {
        counts[(values[n] >>> 28) << 4 | values[n + distance] >>> 28]++;
      }
      assertAlmostEquals(chiSquare(counts), 255, 113, `pairs ${distance} apart`);
    }
    for (let bit = 0; bit < 32; bit++) {
      const ones = values.reduce((sum, value) => sum + (value >>> bit & 1), 0);
      assertAlmostEquals(ones, COUNT / 2, 5 * Math.sqrt(COUNT) / 2, `bit ${bit}`);
    }
  });
}

Deno.test("each bit of a counter turns half of the bits of what is drawn", () => {
  for (const field of ["key", "step", "image", "unit"] as const) {
    for (let bit = 0; bit < 32; bit++) {
      let turned = 0;
      for (let n = 0; n < 512; n++) {
        const at = { key: 77 * n, step: n, image: 5 * n, unit: 3 * n };
        const other = { ...at, [field]: (at[field] ^ 1 << bit) >>> 0 };
        const difference = drawAt(at.key, at) ^ drawAt(other.key, other);
        assertNotEquals(difference, 0);
        for (let place = 0; place < 32; place++) turned += difference >>> place & 1;
      }
      // 16384 bits, of which half: standard deviation 64.
      assertAlmostEquals(turned, 8192, 5 * 64, `bit ${bit} of ${field}`);
    }
  }
});

function chiSquare(counts: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const expected = total / counts.length;
  assert(expected > 5);
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}
