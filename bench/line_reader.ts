/** Text lines of a byte stream. */
export class LineReader {
  readonly #chunks: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#chunks = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line; undefined at the end. */
  async read(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { value } = await this.#chunks.read();
      if (value === undefined) return undefined;
      this.#text += value;
    }
  }

  /** Stops reading. */
  cancel(): Promise<void> {
    return this.#chunks.cancel();
  }
}
