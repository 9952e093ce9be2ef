/** Images, labels and the lists that go with a call, in the memory that all threads share. */

import type { LabeledImages } from "../../data/dataset.ts";
import { Arena, BLOCK } from "./arena.ts";

/** Addresses of attached images. */
export interface Location {
  readonly images: number;
  readonly labels: number;
}

/** What a call adds to its list of images. */
export interface WorkOptions {
  readonly learningRates?: Float32Array;
  /** Logits of each image to make room for; default 0. */
  readonly classCount?: number;
}

/** Data of a session. */
export class DataStore {
  readonly #memory: WebAssembly.Memory;
  readonly #arena: Arena;
  readonly #locations = new Map<LabeledImages, Location>();
  #work = { start: 0, byteLength: 0 };

  /** @param start First free address of the memory. */
  constructor(memory: WebAssembly.Memory, start: number) {
    this.#memory = memory;
    this.#arena = new Arena(0);
    this.#reserve(start);
  }

  has(data: LabeledImages): boolean {
    return this.#locations.has(data);
  }

  /** Copies images and labels, unless they are here already. */
  attach(data: LabeledImages): void {
    if (this.has(data)) return;
    const images = this.#copy(data.images);
    const labels = this.#copy(data.labels);
    this.#locations.set(data, { images, labels });
  }

  locate(data: LabeledImages): Location {
    return this.#locations.get(data)!;
  }

  /** Writes the list of a call's images and makes room for its results. */
  prepare(order: Uint32Array, { learningRates, classCount = 0 }: WorkOptions = {}): Work {
    const sizes = {
      indices: 4 * order.length,
      losses: 4 * (order.length + BLOCK),
      predictions: order.length + BLOCK,
      learningRates: 4 * (learningRates?.length ?? 0),
      logits: 4 * order.length * classCount,
    };
    const places = new Arena(0);
    const at = Object.entries(sizes).map(([name, bytes]) =>
      [name, places.allocate(bytes)] as const
    );
    if (places.end > this.#work.byteLength) {
      // Twice what is needed, so that growing calls cannot use up the memory piece by piece.
      const byteLength = this.#work.byteLength === 0 ? places.end : 2 * places.end;
      this.#work = { start: this.#reserve(byteLength), byteLength };
    }
    const { start } = this.#work;
    const addresses = Object.fromEntries(at.map(([name, place]) => [name, start + place]));
    const work = new Work(this.#memory, addresses as unknown as WorkAddresses, classCount);
    const { buffer } = this.#memory;
    new Uint32Array(buffer, work.indices, order.length).set(order);
    if (learningRates) {
      new Float32Array(buffer, work.learningRates, learningRates.length).set(learningRates);
    }
    return work;
  }

  #copy(bytes: Uint8Array): number {
    const address = this.#reserve(bytes.length);
    new Uint8Array(this.#memory.buffer, address, bytes.length).set(bytes);
    return address;
  }

  #reserve(byteLength: number): number {
    const free = this.#memory.buffer.byteLength - this.#arena.end;
    if (byteLength > free) {
      throw new RangeError(
        `Cannot make room for ${byteLength} bytes: a session holds ` +
          `${this.#memory.buffer.byteLength} in all, of which ${free} are free; ` +
          `use a smaller batch size, model or dataset`,
      );
    }
    return this.#arena.allocate(byteLength);
  }
}

interface WorkAddresses {
  readonly indices: number;
  readonly losses: number;
  readonly predictions: number;
  readonly learningRates: number;
  readonly logits: number;
}

/** A call's list of images and their results. */
export class Work {
  readonly indices: number;
  readonly learningRates: number;
  readonly #memory: WebAssembly.Memory;
  readonly #addresses: WorkAddresses;
  readonly #classCount: number;

  constructor(memory: WebAssembly.Memory, addresses: WorkAddresses, classCount: number) {
    this.#memory = memory;
    this.#addresses = addresses;
    this.#classCount = classCount;
    this.indices = addresses.indices;
    this.learningRates = addresses.learningRates;
  }

  /** The addresses for `count` images from the position `first` of the list. */
  from(first: number, count: number) {
    const { indices, losses, predictions, logits } = this.#addresses;
    return {
      count,
      indices: indices + 4 * first,
      losses: losses + 4 * first,
      predictions: predictions + first,
      logits: logits + 4 * first * this.#classCount,
    };
  }

  /** Views of the results of the positions start..end (exclusive). */
  results(start: number, end: number) {
    const { losses, predictions, logits, count } = this.from(start, end - start);
    const { buffer } = this.#memory;
    return {
      losses: new Float32Array(buffer, losses, count),
      predictions: new Uint8Array(buffer, predictions, count),
      logits: new Float32Array(buffer, logits, count * this.#classCount),
    };
  }
}
