/** From kernels to pipelines and bind groups. */

import { CHUNK_BYTES } from "./chunk.ts";
import type { Gpu } from "./gpu.ts";
import { type Binding, foldWorkgroups, type Kernel, shaderOf } from "./kernel.ts";
import { oneLine } from "./shared_device.ts";

/** A kernel that is ready to be dispatched. */
export interface CompiledKernel {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Kernel["workgroups"];
  readonly macs?: number;
  readonly shared?: Kernel["shared"];
}

/** A kernel's code, compiled. */
interface Program {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Programs of a device by their code; those used last come last. */
type Programs = Map<string, Promise<Program>>;

/** Programs that a device keeps: those of ten networks or so. */
const MOST_PROGRAMS = 256;

const programsOf = new WeakMap<GPUDevice, Programs>();

const BUFFER_TYPES: Record<Binding["access"], GPUBufferBindingType> = {
  read: "read-only-storage",
  write: "storage",
  uniform: "uniform",
};

/** Compiles a session's kernels, each once; equal code is compiled once for all sessions of a device. */
export class Compiler {
  readonly #gpu: Gpu;
  readonly #chunks: GPUBuffer;
  readonly #compiled = new WeakMap<Kernel, Promise<CompiledKernel>>();
  readonly #programs: Programs;

  /** Every kernel finds its chunk's record in `chunks`, at the offset it is dispatched with. */
  constructor(gpu: Gpu, chunks: GPUBuffer) {
    this.#gpu = gpu;
    this.#chunks = chunks;
    this.#programs = programsOf.get(gpu.device) ?? new Map();
    programsOf.set(gpu.device, this.#programs);
  }

  /** Compiles kernels side by side.
   *
   * @throws {Error} If the device refuses one.
   */
  compile(kernels: readonly Kernel[]): Promise<CompiledKernel[]> {
    return Promise.all(kernels.map((kernel) => {
      let compiled = this.#compiled.get(kernel);
      if (compiled === undefined) {
        compiled = this.#compile(kernel);
        this.#compiled.set(kernel, compiled);
      }
      return compiled;
    }));
  }

  async #compile(whole: Kernel): Promise<CompiledKernel> {
    const { maxComputeWorkgroupsPerDimension } = this.#gpu.device.limits;
    const kernel = foldWorkgroups(whole, maxComputeWorkgroupsPerDimension);
    const { label, workgroups, macs, shared } = kernel;
    const { pipeline, layout } = await this.#program(kernel);
    const bindGroup = await this.#gpu.guard(
      `bind the buffers of ${label}`,
      () => this.#createBindGroup(kernel, layout),
    );
    return { label, pipeline, bindGroup, workgroups, macs, shared };
  }

  #program(kernel: Kernel): Promise<Program> {
    const code = shaderOf(kernel);
    const program = this.#programs.get(code) ?? this.#createProgram(kernel, code);
    this.#programs.delete(code);
    this.#programs.set(code, program);
    program.catch(() => this.#programs.delete(code));
    if (this.#programs.size > MOST_PROGRAMS) {
      const [oldest] = this.#programs.keys();
      this.#programs.delete(oldest);
    }
    return program;
  }

  async #createProgram({ label, bindings }: Kernel, code: string): Promise<Program> {
    const { device, name } = this.#gpu;
    const { pending, layout } = await this.#gpu.guard(`compile ${label}`, () => {
      const chunk: GPUBufferBindingLayout = { type: "uniform", hasDynamicOffset: true };
      const layout = device.createBindGroupLayout({
        label,
        entries: [chunk, ...bindings.map(({ access }) => ({ type: BUFFER_TYPES[access] }))].map(
          (buffer, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer }),
        ),
      });
      const pending = device.createComputePipelineAsync({
        label,
        layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: { module: device.createShaderModule({ label, code }), entryPoint: "main" },
      });
      pending.catch(() => {}); // awaited below, unless the module was refused first
      return { pending, layout };
    });
    try {
      return { pipeline: await pending, layout };
    } catch (error) {
      throw new Error(`Cannot compile ${label}: ${name} reports ${oneLine(error)}`);
    }
  }

  #createBindGroup({ label, bindings }: Kernel, layout: GPUBindGroupLayout): GPUBindGroup {
    const chunk = { buffer: this.#chunks, offset: 0, size: CHUNK_BYTES };
    return this.#gpu.device.createBindGroup({
      label,
      layout,
      entries: [
        chunk,
        ...bindings.map(({ buffer, offset = 0, size }) => ({ buffer, offset, size })),
      ]
        .map((resource, binding) => ({ binding, resource })),
    });
  }
}
