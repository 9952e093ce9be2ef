/** Threads that work in step: a barrier, a doorbell and a heap of work in shared memory. */

import { coreCount } from "../../platform.ts";

const ARRIVED = 0, PHASE = 1, TASKS = 2, FAILED = 3, CLOSED = 4, CLAIMED = 5;

/** Looks at a word before sleeping, 1.6 ms of them: more than a wait lasts whose end is not held up.
 * Sleeping costs far more than that where a host takes its time to wake a core. */
const SPINS = 200_000;

/** A thread of the team has failed; its own message is reported elsewhere. */
export class TeamFailedError extends Error {
  override readonly name = "TeamFailedError";
}

/** One thread's view of its team; all threads use the same words of one memory. */
export class Team {
  readonly #words: Int32Array;
  readonly #threads: number;
  readonly #spins: number;
  readonly #maySleep = maySleep();
  #tasksSeen = 0;

  /** @param address Six words of zeros in shared memory. */
  constructor(memory: WebAssembly.Memory, address: number, threads: number) {
    this.#words = new Int32Array(memory.buffer, address, 6);
    this.#threads = threads;
    this.#spins = threads > coreCount() ? 0 : SPINS;
  }

  /** The next piece of work of this phase, from 0: the next free thread takes it, so that a thread that
   * the machine holds up does less. Pieces start again from 0 when the threads meet.
   */
  claim(): number {
    return Atomics.add(this.#words, CLAIMED, 1);
  }

  /** Waits until all threads are here, and begins a new phase.
   *
   * @throws {TeamFailedError} If one of them has failed.
   */
  meet(): void {
    const phase = Atomics.load(this.#words, PHASE);
    if (Atomics.add(this.#words, ARRIVED, 1) === this.#threads - 1) {
      Atomics.store(this.#words, ARRIVED, 0);
      Atomics.store(this.#words, CLAIMED, 0);
      this.#ring(PHASE);
    } else {
      this.#await(PHASE, phase);
    }
    if (Atomics.load(this.#words, FAILED) !== 0) throw new TeamFailedError();
  }

  /** Tells the other threads that a task has been described. */
  announceTask(): void {
    this.#ring(TASKS);
  }

  /** Waits for a task; false when the team is closed. */
  awaitTask(): boolean {
    this.#await(TASKS, this.#tasksSeen++);
    return Atomics.load(this.#words, CLOSED) === 0;
  }

  /** Sends all threads home. */
  close(): void {
    Atomics.store(this.#words, CLOSED, 1);
    this.#ring(TASKS);
  }

  /** Releases everybody who waits for this thread, which cannot go on. */
  fail(): void {
    Atomics.store(this.#words, FAILED, 1);
    this.#ring(PHASE);
  }

  #ring(word: number): void {
    Atomics.add(this.#words, word, 1);
    Atomics.notify(this.#words, word);
  }

  /** Returns once a word is no longer `old`, or a thread has failed. */
  #await(word: number, old: number): void {
    for (let spin = 0; spin < this.#spins; spin++) {
      if (Atomics.load(this.#words, word) !== old) return;
    }
    while (Atomics.load(this.#words, word) === old && Atomics.load(this.#words, FAILED) === 0) {
      if (this.#maySleep) Atomics.wait(this.#words, word, old);
    }
  }
}

/** Whether this thread may block: a browser's main thread may not, and spins. */
function maySleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
