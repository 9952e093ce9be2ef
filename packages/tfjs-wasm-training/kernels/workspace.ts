import {
  type DataType,
  getKernel,
  type KernelConfig,
  type KernelFunc,
  type NamedAttrMap,
  type NamedTensorInfoMap,
  type TensorInfo,
  util,
} from "npm:@tensorflow/tfjs-core@4.22.0";
import type { BackendWasm } from "npm:@tensorflow/tfjs-backend-wasm@4.22.0";

/** Values of a tensor, seen in place on the backend's heap. */
export type HeapView = Float32Array | Int32Array | Uint8Array;

/** The kernels of the published wasm backend that a training kernel replaces, by name. */
const publishedKernels = new Map<string, KernelConfig>();

/** Remembers the published kernel that is about to be replaced, for the replacement to build on. */
export function keepPublishedKernel(config: KernelConfig): void {
  publishedKernels.set(config.kernelName, config);
}

/** One kernel call: scratch tensors on the backend's heap that are freed when the call ends. */
export class Workspace {
  readonly #backend: BackendWasm;
  readonly #scratch = new Set<TensorInfo>();

  constructor(backend: object) {
    this.#backend = backend as BackendWasm;
  }

  /** Runs a kernel as it is registered now: the replacement where there is one. */
  run(kernelName: string, inputs: NamedTensorInfoMap, attrs: object = {}): TensorInfo {
    return this.#call(getKernel(kernelName, "wasm"), inputs, attrs)[0];
  }

  /** Runs a kernel as published with the wasm backend, and returns all its outputs. */
  published(kernelName: string, inputs: NamedTensorInfoMap, attrs: object = {}): TensorInfo[] {
    const config = publishedKernels.get(kernelName) ?? getKernel(kernelName, "wasm");
    return this.#call(config, inputs, attrs);
  }

  /** Returns a scratch tensor with undefined content. */
  allocate(shape: number[], dtype: DataType = "float32"): TensorInfo {
    const tensor = this.#own(this.#backend.makeOutput(shape, dtype));
    if (this.#backend.getMemoryOffset(tensor.dataId) === 0 && util.sizeFromShape(shape) > 0) {
      throw new RangeError(
        `Cannot allocate ${dtype} [${shape}] as the heap of the wasm backend is full; ` +
          `dispose tensors or lower the batch size`,
      );
    }
    return tensor;
  }

  /** Returns a scratch tensor of zeros. */
  zeros(shape: number[], dtype: DataType = "float32"): TensorInfo {
    const tensor = this.allocate(shape, dtype);
    this.view(tensor).fill(0);
    return tensor;
  }

  /** Returns a scratch tensor with the same content but storage of its own. */
  copy(tensor: TensorInfo): TensorInfo {
    const copied = this.allocate(tensor.shape, tensor.dtype);
    this.view(copied).set(this.view(tensor));
    return copied;
  }

  /** Returns a scratch tensor on the same storage. */
  share(tensor: TensorInfo): TensorInfo {
    this.#backend.incRef(tensor.dataId);
    return this.#own({ dataId: tensor.dataId, shape: tensor.shape, dtype: tensor.dtype });
  }

  /** Calls the values of a scratch tensor, 4 bytes each, by another type. */
  rename(tensor: TensorInfo, dtype: DataType): TensorInfo {
    this.#backend.dataIdMap.get(tensor.dataId).dtype = dtype;
    tensor.dtype = dtype;
    return tensor;
  }

  /** The shape that the storage was written with, which reshaping leaves as it was. */
  storedShape(tensor: TensorInfo): number[] {
    return this.#backend.dataIdMap.get(tensor.dataId).shape;
  }

  /** Returns the tensor itself, or a scratch copy of another type, its values without a fraction where
   * that type has none; what is not 0 then is true.
   */
  convert(x: TensorInfo, dtype: DataType): TensorInfo {
    if (x.dtype === dtype) return x;
    const converted = this.allocate(x.shape, dtype);
    const from = this.view(x);
    const to = this.view(converted);
    if (dtype !== "bool") to.set(from);
    else for (let i = 0; i < to.length; i++) to[i] = (from[i] | 0) === 0 ? 0 : 1;
    return converted;
  }

  /** Returns the tensor itself, or one with the axes in another order. */
  transpose(x: TensorInfo, perm: number[]): TensorInfo {
    return perm.every((from, to) => from === to) ? x : this.run("Transpose", { x }, { perm });
  }

  /** Returns a scratch tensor of the same values in another shape. */
  reshape(x: TensorInfo, shape: number[]): TensorInfo {
    const reshaped = this.share(x);
    reshaped.shape = shape;
    return reshaped;
  }

  /** The values of a tensor. An allocation may grow the heap, which ends every earlier view. */
  view(tensor: TensorInfo): HeapView {
    return this.#backend.typedArrayFromHeap(tensor) as HeapView;
  }

  /** The texts of a tensor of strings, which lies outside the heap. */
  strings({ dataId }: TensorInfo): string[] {
    const texts = this.#backend.readSync(dataId) as unknown as Uint8Array[];
    return texts.map((bytes) => util.decodeString(bytes));
  }

  floats(tensor: TensorInfo): Float32Array {
    return this.view(tensor) as Float32Array;
  }

  /** Takes a tensor out of the scratch set, so that it outlives the call; of an input, a share. */
  release(tensor: TensorInfo): TensorInfo {
    const released = this.#scratch.has(tensor) ? tensor : this.share(tensor);
    this.#scratch.delete(released);
    return released;
  }

  free(): void {
    for (const { dataId } of this.#scratch) this.#backend.disposeData(dataId);
    this.#scratch.clear();
  }

  #call({ kernelFunc }: KernelConfig, inputs: NamedTensorInfoMap, attrs: object): TensorInfo[] {
    const output = kernelFunc({ inputs, attrs: attrs as NamedAttrMap, backend: this.#backend });
    return [output as TensorInfo | TensorInfo[]].flat().map((tensor) => this.#own(tensor));
  }

  #own(tensor: TensorInfo): TensorInfo {
    this.#scratch.add(tensor);
    return tensor;
  }
}

/** A kernel written against a workspace: it returns tensors of the workspace.
 *
 * @typeParam InputNames The names of the tensors that TensorFlow.js passes.
 * @typeParam Attrs The attributes that TensorFlow.js passes.
 */
export type WorkspaceKernel<InputNames extends string, Attrs> = (
  workspace: Workspace,
  inputs: Record<InputNames, TensorInfo>,
  attrs: Attrs,
) => TensorInfo | TensorInfo[];

/** Makes a TensorFlow.js kernel that frees its scratch tensors, also when it fails. */
export function toKernelFunc<InputNames extends string, Attrs>(
  kernel: WorkspaceKernel<InputNames, Attrs>,
): KernelFunc {
  return ({ inputs, attrs, backend }) => {
    const workspace = new Workspace(backend);
    try {
      const named = inputs as Record<InputNames, TensorInfo>;
      const outputs = kernel(workspace, named, (attrs ?? {}) as unknown as Attrs);
      return Array.isArray(outputs)
        ? outputs.map((output) => workspace.release(output))
        : workspace.release(outputs);
    } finally {
      workspace.free();
    }
  };
}
