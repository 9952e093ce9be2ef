/** Counts what a step asks of a GPU, kernel by kernel: rounds of loads, workgroups, bytes, barriers.
 *
 *     deno run bench/webgpu_counts.ts                 LeNet, 256 images, tuned for hardware
 *     deno run bench/webgpu_counts.ts resnet8 64      another model, and another batch
 *
 * It needs no GPU: it reads the shaders that one would be given.
 */

// deno-lint-ignore-file no-console
import { markdownTable } from "markdown-table";
import { DeviceState } from "../src/backends/webgpu/device_state.ts";
import type { Gpu } from "../src/backends/webgpu/gpu.ts";
import type { Kernel } from "../src/backends/webgpu/kernel.ts";
import { gatherImages } from "../src/backends/webgpu/kernels/gather_images.ts";
import { buildNetwork } from "../src/backends/webgpu/network.ts";
import { layParameters } from "../src/backends/webgpu/parameter_layout.ts";
import { HARDWARE_TUNING } from "../src/backends/webgpu/tuning.ts";
import { type ModelName, zooModel } from "../src/nn/zoo.ts";
import { countWaits, type Waits } from "./wgsl_rounds.ts";

/** Microseconds of a kernel by itself, of a round of loads, and of a barrier of a workgroup: fitted to what
 * the H200 took for kernels of 2 to 325 rounds. */
const COST = { kernel: 4, round: 0.33, barrier: 0.1 };

/** Limits of WebGPU's defaults, but for what Chromium gives. */
const LIMITS = { maxStorageBuffersPerShaderStage: 10, maxUniformBufferBindingSize: 65_536 };

/** Kernels of a training step of one batch, as the engine dispatches them. */
export function kernelsOf(name: ModelName, batchSize: number): Kernel[] {
  const createBuffer = (label: string, size: number) => ({ label, size });
  const gpu = { device: { limits: LIMITS }, createBuffer } as unknown as Gpu;
  const model = zooModel(name);
  const optimizer = { type: "sgd", momentum: 0 } as const;
  const state = new DeviceState(gpu, model, { layout: layParameters(model), optimizer });
  const network = buildNetwork(gpu, model, {
    ...{ state, optimizer, seed: 0, mode: "train", capacity: batchSize, tuning: HARDWARE_TUNING },
  });
  const bytes = (label: string, size: number) => gpu.createBuffer(label, size, 0);
  const pixels = model.inputShape.reduce((product, size) => product * size, 1);
  const order = bytes("order", 4 * batchSize);
  const images = [bytes("images", batchSize * pixels)];
  const gather = gatherImages({ images, imagesPerBuffer: 60_000, order }, network, HARDWARE_TUNING);
  const loss = network.loss({
    order,
    labels: bytes("labels", batchSize),
    losses: bytes("losses", 4 * batchSize),
    predictions: bytes("predictions", 4 * batchSize),
  });
  return [gather, ...network.before, loss, ...network.after, ...network.update];
}

function groupsOf(count: number): number {
  return Math.ceil(count / HARDWARE_TUNING.invocations);
}

function workgroupsOf({ workgroups: [x, y, z] }: Kernel, count: number): number[] {
  return [typeof x === "number" ? x : x.perGroup * groupsOf(count), y, z];
}

/** The most that any workgroup waits for, of some in each dimension. */
export function waitsOf(kernel: Kernel, count: number): Waits {
  const { code, bindings } = kernel;
  const groups = groupsOf(count);
  const chunk = { groups, count, first: 0, update: 1, accumulate: 0 };
  const names = bindings.filter(({ access }) => access !== "uniform").map(({ name }) => name);
  const [xs, ys, zs] = workgroupsOf(kernel, count).map((
    size,
  ) => [...new Set(Array.from({ length: 3 }, (_, n) => Math.floor(n * (size - 1) / 2)))]);
  let most: Waits = { rounds: 0, barriers: 0 };
  for (const x of xs) {
    for (const y of ys) {
      for (const z of zs) {
        const waits = countWaits(code, names, { group: [x, y, z], chunk });
        if (waits.rounds >= most.rounds) most = waits;
      }
    }
  }
  return most;
}

/** Whether each kernel must wait for one before it, as a device tracks the buffers that they use. */
function dependencies(kernels: readonly Kernel[]): boolean[] {
  let used = new Map<GPUBuffer, "read" | "write">();
  return kernels.map(({ bindings }) => {
    const uses = bindings.map(({ buffer, access }) =>
      [buffer, access === "write" ? "write" : "read"] as const
    );
    const waits = uses.some(([buffer, use]) =>
      used.get(buffer) === "write" || (used.get(buffer) === "read" && use === "write")
    );
    if (waits) used = new Map();
    for (const [buffer, use] of uses) if (used.get(buffer) !== "write") used.set(buffer, use);
    return waits;
  });
}

function printCounts(name: ModelName, count: number): void {
  const kernels = kernelsOf(name, count);
  const waiting = dependencies(kernels);
  const totals = { rounds: 0, barriers: 0, bytes: 0, µs: 0 };
  /** The longest of each row of kernels that do not wait for each other. */
  const longest: number[] = [];
  const rows = kernels.map((kernel, index) => {
    const { label, code, bindings } = kernel;
    const { rounds, barriers } = waitsOf(kernel, count);
    const workgroup = /@workgroup_size\((\d+)(?:, (\d+))?\)/.exec(code)!.slice(1).map((n) =>
      Number(n ?? 1)
    );
    const bytes = bindings.reduce((sum, { buffer, size = buffer.size }) => sum + size, 0);
    const µs = COST.kernel + COST.round * rounds + COST.barrier * barriers;
    totals.rounds += rounds;
    totals.barriers += barriers;
    totals.bytes += bytes;
    totals.µs += µs;
    if (waiting[index] || index === 0) longest.push(0);
    longest.push(Math.max(longest.pop()!, µs));
    return [
      label,
      waiting[index] ? "yes" : "",
      `${workgroupsOf(kernel, count).reduce((product, size) => product * size)} x ${
        workgroup[0] * workgroup[1]
      }`,
      ...[rounds, barriers].map(String),
      (bytes / 1e6).toFixed(2),
      µs.toFixed(0),
    ];
  });
  const head = ["kernel", "waits", "workgroups", "rounds", "barriers", "MB", "µs"];
  const sum = [
    "sum",
    `${waiting.filter(Boolean).length}`,
    "",
    `${totals.rounds}`,
    `${totals.barriers}`,
  ];
  rows.push([...sum, (totals.bytes / 1e6).toFixed(2), totals.µs.toFixed(0)]);
  console.log(markdownTable([head, ...rows], { align: ["l", "l", ...Array(5).fill("r")] }));
  const sideBySide = longest.reduce((sum, µs) => sum + µs, 0);
  console.log(
    `\n${sideBySide.toFixed(0)} µs where kernels that wait for none of each other run side by side`,
  );
}

if (import.meta.main) {
  const [name = "lenet", count = "256"] = Deno.args;
  printCounts(name as ModelName, Number(count));
}
