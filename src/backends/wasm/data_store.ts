/** Images, labels and the lists that go with a call, in the memory that all threads share. */

import type { LabeledImages } from "../../data/dataset.ts";
import type { Results } from "../engine.ts";
import { Arena, BLOCK } from "./arena.ts";

/** Addresses of attached images. */
export interface Location {
  readonly images: number;
  readonly labels: number;
}

/** What a call adds to its list of images. */
export interface WorkOptions {
  readonly learningRates?: Float32Array;
  readonly divisors?: Float64Array;
  /** Logits of each image to make room for; default 0. */
  readonly classCount?: number;
}

/** The memory behind a session's layout: taken by the first gap that is large enough, and given back,
 * so that what stays is never moved.
 */
export class DataStore {
  readonly #memory: WebAssembly.Memory;
  /** What is taken, in the order of addresses: where it starts and ends. */
  readonly #taken: { readonly start: number; readonly end: number }[] = [];

  readonly #limit: number;

  /**
   * @param start First free address of the memory.
   * @param margin Bytes at its end that are never taken.
   */
  constructor(memory: WebAssembly.Memory, start: number, margin = 0) {
    this.#memory = memory;
    this.#limit = memory.buffer.byteLength - margin;
    this.#take(start);
  }

  /** Copies images and labels. */
  attach({ images, labels }: LabeledImages): Location {
    const places = new Arena(0);
    const [imagesAt, labelsAt] = [images, labels].map(({ length }) => places.allocate(length));
    const start = this.#take(places.end);
    const bytes = new Uint8Array(this.#memory.buffer, start, places.end);
    bytes.set(images, imagesAt);
    bytes.set(labels, labelsAt);
    return { images: start + imagesAt, labels: start + labelsAt };
  }

  /** Gives back what was attached; its place must not be used any more. */
  detach({ images }: Location): void {
    this.#giveBack(images);
  }

  /** Writes the list of a call's images and makes room for its results, until the work ends. */
  prepare(
    order: Uint32Array,
    { learningRates = new Float32Array(), divisors = new Float64Array(), classCount = 0 }:
      WorkOptions = {},
  ): ListedWork {
    const places = new Arena(0);
    const at = {
      indices: places.allocate(4 * order.length),
      losses: places.allocate(4 * (order.length + BLOCK)),
      predictions: places.allocate(order.length + BLOCK),
      learningRates: places.allocate(learningRates.byteLength),
      divisors: places.allocate(divisors.byteLength),
      logits: places.allocate(4 * order.length * classCount),
    };
    const start = this.#take(places.end);
    const { buffer } = this.#memory;
    new Uint32Array(buffer, start + at.indices, order.length).set(order);
    const listed = { learningRates: start + at.learningRates, divisors: start + at.divisors };
    new Float32Array(buffer, listed.learningRates, learningRates.length).set(learningRates);
    new Float64Array(buffer, listed.divisors, divisors.length).set(divisors);
    return {
      ...listed,
      from: (first, count) => ({
        count,
        indices: start + at.indices + 4 * first,
        losses: start + at.losses + 4 * first,
        predictions: start + at.predictions + first,
        logits: start + at.logits + 4 * first * classCount,
      }),
      results: (count) => ({
        losses: new Float32Array(buffer, start + at.losses, count).slice(),
        predictions: new Uint8Array(buffer, start + at.predictions, count).slice(),
        logits: new Float32Array(buffer, start + at.logits, count * classCount).slice(),
      }),
      end: () => this.#giveBack(start),
    };
  }

  #take(byteLength: number): number {
    const limit = this.#limit;
    const size = new Arena(0);
    size.allocate(Math.max(1, byteLength));
    const starts = [0, ...this.#taken.map(({ end }) => end)];
    const ends = [...this.#taken.map(({ start }) => start), limit];
    const place = starts.findIndex((start, gap) => ends[gap] - start >= size.end);
    if (place < 0) {
      const free = starts.reduce((sum, start, gap) => sum + ends[gap] - start, 0);
      throw new RangeError(
        `Cannot make room for ${byteLength} bytes: a session holds ${limit} in all, of which ` +
          `${free} are free; use a smaller batch size, model or dataset`,
      );
    }
    this.#taken.splice(place, 0, { start: starts[place], end: starts[place] + size.end });
    return starts[place];
  }

  #giveBack(address: number): void {
    this.#taken.splice(this.#taken.findIndex(({ start }) => start === address), 1);
  }
}

/** A call's list of images and room for their results. */
export interface ListedWork {
  /** Addresses of the learning rates and divisors. */
  readonly learningRates: number;
  readonly divisors: number;
  /** The addresses for `count` images from the position `first` of the list. */
  from(first: number, count: number): Readonly<
    Record<"count" | "indices" | "losses" | "predictions" | "logits", number>
  >;
  /** Copies the results of the first `count` positions. */
  results(count: number): Results;
  /** Gives the room back. */
  end(): void;
}
