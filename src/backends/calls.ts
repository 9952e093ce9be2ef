/** How calls of a session follow each other, and into what stretches they are cut. */

/** The calls of a session: one at a time, until it is closed. */
export class Calls {
  #current: { readonly name: string; readonly ended: Promise<unknown> } | undefined;
  #closed = false;

  /** Makes a call.
   *
   * @throws {TypeError} If another has not ended, or the session was closed.
   */
  async make<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.requireOpen();
    if (this.#current !== undefined) {
      throw new TypeError(
        `Cannot call ${name} while ${this.#current.name} has not ended: await each call of a ` +
          `session, or open another session`,
      );
    }
    const ended = Promise.resolve().then(work);
    this.#current = { name, ended };
    try {
      return await ended;
    } finally {
      this.#current = undefined;
    }
  }

  /** Refuses further calls and waits for the one that has not ended; false if that was done before. */
  async close(): Promise<boolean> {
    if (this.#closed) return false;
    this.#closed = true;
    await this.#current?.ended.catch(() => {});
    return true;
  }

  /** @throws {TypeError} If the session was closed. */
  requireOpen(): void {
    if (this.#closed) throw new TypeError("Cannot use a session that was disposed");
  }
}

/** Batches that will take about so long, at most twice as many as before.
 *
 * @param count Batches of the stretch that took `elapsedMs`.
 */
export function nextStretch(count: number, elapsedMs: number, aimMs: number): number {
  const fitting = Math.floor(count * aimMs / Math.max(elapsedMs, 0.01));
  return Math.max(1, Math.min(2 * count, fitting));
}
