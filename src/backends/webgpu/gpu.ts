/** A session's part of a GPU device: its buffers, and what went wrong with the device. */

import type { AdapterChoice } from "../backend.ts";
import { oneLine, openDevice, type SharedDevice } from "./shared_device.ts";

const LOSS_NEWS_MS = 500;

/** A GPU device, of which a session frees what it made itself.
 *
 * WebGPU reports most errors out of band and goes on with zeros. Here they are collected, and thrown by
 * the next {@linkcode Gpu.check}, as one line.
 */
export class Gpu {
  /** The device, which other sessions may use too. */
  readonly device: GPUDevice;
  /** Name of the adapter for people to read. */
  readonly name: string;
  /** Whether the adapter is emulated by the CPU. */
  readonly software: boolean;
  readonly #reports: SharedDevice["reports"];
  readonly #buffers = new Set<GPUBuffer>();

  /** Opens the device of an adapter, or takes part in one that is open.
   *
   * @throws {BackendUnavailableError} If there is no such adapter.
   * @throws {Error} If it gives no device.
   */
  static async open(choice: AdapterChoice = {}): Promise<Gpu> {
    return new Gpu(await openDevice(choice));
  }

  private constructor({ device, name, software, reports }: SharedDevice) {
    this.device = device;
    this.name = name;
    this.software = software;
    this.#reports = reports;
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
    if (memory) {
      throw new Error(
        `Cannot ${what}: ${this.name} is out of memory; use a smaller batch size, model or dataset`,
      );
    }
    if (error) throw new Error(`Cannot ${what}: ${this.name} reports ${oneLine(error.message)}`);
    if ("failure" in outcome) throw outcome.failure;
    return outcome.value;
  }

  /** Waits until the device has done all that was submitted. */
  async finish(): Promise<void> {
    await this.device.queue.onSubmittedWorkDone();
    this.check();
  }

  /** Throws what the device reported since it was opened, whichever session it was about: who shares a
   * device with a fault cannot trust it.
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

  /** Frees all buffers. */
  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
  }
}

function attempt<T>(create: () => T): { readonly value: T } | { readonly failure: unknown } {
  try {
    return { value: create() };
  } catch (failure) {
    return { failure };
  }
}
