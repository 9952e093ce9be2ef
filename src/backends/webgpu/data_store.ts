/** Data sets on the device, as packed bytes. */

import type { LabeledImages } from "../../data/dataset.ts";
import type { Gpu } from "./gpu.ts";
import { roundUp } from "./tensors.ts";

/** A data set's buffers. */
export interface DeviceImages {
  /** One buffer, or several where one would exceed what can be bound. */
  readonly images: readonly GPUBuffer[];
  /** Images in each buffer but the last. */
  readonly imagesPerBuffer: number;
  /** A byte a label. */
  readonly labels: GPUBuffer;
}

/** Copies data sets to a device, and frees them. */
export class DataStore {
  readonly #gpu: Gpu;
  readonly #bytesPerBuffer: number;

  /** @param bytesPerBuffer Most bytes of a buffer; default: all that can be bound. */
  constructor(gpu: Gpu, bytesPerBuffer: number = Infinity) {
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
    this.#gpu = gpu;
    this.#bytesPerBuffer = Math.min(bytesPerBuffer, maxStorageBufferBindingSize, maxBufferSize);
  }

  /** Copies a data set to the device. */
  attach(data: LabeledImages): Promise<DeviceImages> {
    return this.#gpu.guard(`copy ${data.count} images to the GPU`, () => this.#upload(data));
  }

  /** Frees a data set's buffers. */
  detach({ images, labels }: DeviceImages): void {
    for (const buffer of [...images, labels]) this.#gpu.destroyBuffer(buffer);
  }

  #upload({ images, labels, count, shape }: LabeledImages): DeviceImages {
    const pixels = shape[0] * shape[1] * shape[2];
    const pitch = roundUp(pixels, 4);
    // Whatever the count, so that kernels which know it need not be compiled for each.
    const imagesPerBuffer = Math.max(1, Math.floor(this.#bytesPerBuffer / pitch));
    const buffers: GPUBuffer[] = [];
    for (let first = 0; first < count; first += imagesPerBuffer) {
      const part = images.subarray(first * pixels, (first + imagesPerBuffer) * pixels);
      buffers.push(this.#uploadBytes("images", padRows(part, pixels, pitch)));
    }
    return { images: buffers, imagesPerBuffer, labels: this.#uploadBytes("labels", labels) };
  }

  #uploadBytes(label: string, bytes: Uint8Array): GPUBuffer {
    const size = Math.max(4, roundUp(bytes.length, 4));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    const buffer = this.#gpu.createBuffer(label, size, usage);
    const whole = bytes.length - bytes.length % 4;
    const { queue } = this.#gpu.device;
    queue.writeBuffer(buffer, 0, bytes as BufferSource, 0, whole);
    if (whole < bytes.length) {
      const rest = new Uint8Array(4);
      rest.set(bytes.subarray(whole));
      queue.writeBuffer(buffer, whole, rest);
    }
    return buffer;
  }
}

/** Copies rows so that each starts at a multiple of `pitch`. */
function padRows(bytes: Uint8Array, length: number, pitch: number): Uint8Array {
  if (length === pitch) return bytes;
  const rows = bytes.length / length;
  const padded = new Uint8Array(rows * pitch);
  for (let row = 0; row < rows; row++) {
    padded.set(bytes.subarray(row * length, (row + 1) * length), row * pitch);
  }
  return padded;
}
