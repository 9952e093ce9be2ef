/** Text lines of a byte stream. */
export class LineReader {
  readonly #chunks: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#chunks = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line; undefined at the end. */
  async read(): Promise<string | undefined> {
    // Only what is new is searched, so that a line of many chunks costs no more than its length.
    const parts: string[] = [];
    for (let text = this.#text;;) {
      const end = text.indexOf("\n");
      if (end >= 0) {
        parts.push(text.slice(0, end));
        this.#text = text.slice(end + 1);
        return parts.join("");
      }
      parts.push(text);
      const { value } = await this.#chunks.read();
      if (value === undefined) {
        this.#text = "";
        return undefined;
      }
      text = value;
    }
  }

  /** Stops reading. */
  cancel(): Promise<void> {
    return this.#chunks.cancel();
  }
}
