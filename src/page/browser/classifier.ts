/** The model on the best engine of the browser. */

import type { Backend, Session } from "../../backends/backend.ts";
import { referenceBackend } from "../../backends/reference/backend.ts";
import { wasmBackend } from "../../backends/wasm/backend.ts";
import { webgpuBackend } from "../../backends/webgpu/backend.ts";
import type { NamedModel } from "../page_model.ts";

/** Name of an engine that a page has. */
export type EngineName = "webgpu" | "wasm" | "reference";

/** What the reader asks for: an engine by name, or the first that can run of those that give single answers
 * soonest: a GPU is for training.
 */
export type EngineChoice = EngineName | "auto";

const ENGINES: Readonly<Record<EngineName, Backend>> = {
  webgpu: webgpuBackend,
  wasm: wasmBackend,
  reference: referenceBackend,
};

/** Logits of a picture. */
export interface Answer {
  readonly logits: Float32Array;
  readonly elapsedMs: number;
}

/** A model that answers; if its engine fails and nobody asked for that one, the next takes over. */
export class Classifier {
  readonly choice: EngineChoice;
  readonly #trained: NamedModel;
  /** Engines that may still be tried, the one in use first. */
  readonly #engines: EngineName[];
  /** Why engines before the one in use are not. */
  readonly #refusals: string[] = [];
  #session: Session | undefined;

  constructor(trained: NamedModel, choice: EngineChoice) {
    this.#trained = trained;
    this.choice = choice;
    this.#engines = choice === "auto" ? ["wasm", "reference"] : [choice];
  }

  /** What runs, for people to read. */
  get engine(): string {
    const threads = this.#session?.device.kind === "cpu" ? ", one thread" : "";
    return `${this.#engines[0]} (${this.#session?.device.description}${threads})`;
  }

  /** Why nothing faster runs, one reason an engine. */
  get refusals(): readonly string[] {
    return this.#refusals;
  }

  /** Runs the model on one picture; calls must not overlap.
   *
   * @param pixels [channels, height, width] of the model's input.
   * @throws {Error} If no engine that may be used can run here.
   */
  async classify(pixels: Uint8Array): Promise<Answer> {
    while (true) {
      const [name] = this.#engines;
      if (name === undefined) throw new Error(this.#refusals.join("; "));
      try {
        return await this.#classify(name, pixels);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#refusals.push(`${name} cannot run: ${reason}`);
        this.#engines.shift();
        this.#session = undefined; // what is left of it may fail again when it is told to end
      }
    }
  }

  /** Frees all memory. */
  async dispose(): Promise<void> {
    await this.#session?.[Symbol.asyncDispose]();
    this.#session = undefined;
  }

  async #classify(name: EngineName, pixels: Uint8Array): Promise<Answer> {
    this.#session ??= await this.#open(name);
    return await this.#predict(this.#session, pixels);
  }

  async #open(name: EngineName): Promise<Session> {
    const { model, parameters, statistics } = this.#trained;
    const session = await ENGINES[name].open(model, {
      optimizer: { type: "sgd", momentum: 0 },
      batchSize: 1,
      threads: 1, // more would need shared memory, which a page from a file cannot send to workers
    });
    try {
      await session.loadState({ parameters, statistics, slots: [], step: 0 });
      // The first picture pays for compiling; nobody waits for this one.
      const [channels, height, width] = model.inputShape;
      await this.#predict(session, new Uint8Array(channels * height * width));
      return session;
    } catch (error) {
      await session[Symbol.asyncDispose]().catch(() => {}); // the next engine needs its memory
      throw error;
    }
  }

  async #predict(session: Session, images: Uint8Array): Promise<Answer> {
    const { inputShape: shape } = this.#trained.model;
    const start = performance.now();
    const logits = await session.predict({ images, count: 1, shape });
    return { logits, elapsedMs: performance.now() - start };
  }
}
