/** A device that remembers what went wrong, and everything that was made on it. */

import { adapterName, requiredLimits } from "./adapters.ts";

const LONGEST_MESSAGE = 300;
const LOSS_NEWS_MS = 500;

/** A GPU device.
 *
 * WebGPU reports most errors out of band and goes on with zeros. Here they are collected, and thrown by
 * the next {@linkcode Gpu.check}, as one line.
 */
export class Gpu {
  readonly device: GPUDevice;
  /** Name of the adapter for people to read. */
  readonly name: string;
  /** Whether the adapter is emulated by the CPU. */
  readonly software: boolean;
  readonly #buffers = new Set<GPUBuffer>();
  readonly #reports: Reports;

  /** Opens a device with all that its adapter allows. */
  static async open(adapter: GPUAdapter): Promise<Gpu> {
    const features: GPUFeatureName[] = ["timestamp-query"];
    try {
      const device = await adapter.requestDevice({
        requiredFeatures: features.filter((feature) => adapter.features.has(feature)),
        requiredLimits: requiredLimits(adapter),
      });
      return new Gpu(device, adapter);
    } catch (error) {
      throw new Error(`Cannot open ${adapterName(adapter)}: ${oneLine(messageOf(error))}`);
    }
  }

  private constructor(device: GPUDevice, adapter: GPUAdapter) {
    this.device = device;
    this.name = adapterName(adapter);
    this.software = adapter.info.isFallbackAdapter;
    this.#reports = watch(device);
  }

  /** Makes a buffer of zeros, that {@linkcode Gpu.destroy} frees. */
  createBuffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const { maxBufferSize } = this.device.limits;
    if (size > maxBufferSize) {
      throw new RangeError(
        `Cannot make buffer "${label}" of ${size} bytes: ${this.name} allows ${maxBufferSize}`,
      );
    }
    const buffer = this.device.createBuffer({ label, size, usage });
    this.#buffers.add(buffer);
    return buffer;
  }

  /** Frees a buffer before its time. */
  destroyBuffer(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    buffer.destroy();
  }

  /** Number of buffers that are not yet freed. */
  get bufferCount(): number {
    return this.#buffers.size;
  }

  /** Runs `create`, which must not wait for anything, and throws what the device reports about it.
   *
   * @throws {Error} If the device runs out of memory or refuses something.
   */
  async guard<T>(what: string, create: () => T): Promise<T> {
    const filters: GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];
    for (const filter of filters) this.device.pushErrorScope(filter);
    const outcome = attempt(create);
    const reports = filters.map(() => this.device.popErrorScope()); // the last pushed comes first
    const [internal, memory, validation] = await Promise.all(reports);
    const error = validation ?? internal;
    if (memory) throw new Error(`Cannot ${what}: ${this.name} is out of memory`);
    if (error) throw new Error(`Cannot ${what}: ${this.name} reports ${oneLine(error.message)}`);
    if ("failure" in outcome) throw outcome.failure;
    return outcome.value;
  }

  /** Waits until the device has done all that was submitted. */
  async finish(): Promise<void> {
    await this.device.queue.onSubmittedWorkDone();
    this.check();
  }

  /** Throws what the device reported since it was opened.
   *
   * @throws {Error} If it reported anything.
   */
  check(): void {
    const { first } = this.#reports;
    if (first !== undefined) throw new Error(`${this.name} reports ${oneLine(first)}`);
  }

  /** Throws as {@linkcode Gpu.check}, after waiting for the news of a lost device: it comes later than
   * the failures that the loss leads to.
   */
  async checkLoss(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const moment = new Promise((resolve) => timer = setTimeout(resolve, LOSS_NEWS_MS));
    await Promise.race([this.device.lost, moment]);
    clearTimeout(timer);
    this.check();
  }

  /** Frees all buffers and the device. */
  destroy(): void {
    this.#reports.closed = true;
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    this.device.destroy();
  }
}

/** The first error that a device reported out of band. */
interface Reports {
  first?: string;
  /** The device is to go: its loss is no error. */
  closed?: boolean;
}

/** Collects a device's reports. The callbacks hold nothing but the list: a runtime keeps them while the
 * device lives, so that one that led to the device would keep it for ever. */
function watch(device: GPUDevice): Reports {
  const reports: Reports = {};
  device.addEventListener("uncapturederror", (event) => {
    reports.first ??= (event as GPUUncapturedErrorEvent).error.message;
  });
  device.lost.then(({ message, reason }) => {
    if (!reports.closed) reports.first ??= `device lost: ${message || reason}`;
  });
  return reports;
}

function attempt<T>(create: () => T): { readonly value: T } | { readonly failure: unknown } {
  try {
    return { value: create() };
  } catch (failure) {
    return { failure };
  }
}

/** A driver's message, which may go on for pages, as one line. */
export function oneLine(message: string): string {
  const line = message.replace(/\s+/g, " ").trim();
  return line.length > LONGEST_MESSAGE ? `${line.slice(0, LONGEST_MESSAGE)}...` : line;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
