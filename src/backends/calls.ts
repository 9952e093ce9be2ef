/** The order of a session's calls. */

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
