/** The peers as the benchmark sees them: a rate of training and one of evaluation for each turn. */

import { peerCommands, PeerMissingError, type PeerName, PeerProcess } from "../src/report/peers.ts";
import type { LabeledImages } from "../src/data/dataset.ts";

/** A peer's rates, in images a second. */
export interface PeerSample {
  readonly train: number;
  readonly evaluate: number;
}

/** A peer with its threads and the images of a sample; jax-js takes seconds for a thousand. */
export interface PeerTurn {
  readonly name: string;
  readonly peer: PeerName;
  readonly command: string;
  readonly threads: number;
  readonly images: number;
}

/** Peers that the benchmark looks for: PyTorch of every Python, jax-js. */
export function listPeers(threads: number, batchSize: number): PeerTurn[] {
  const peers = (peer: PeerName, turn: Omit<PeerTurn, "peer" | "command">) =>
    peerCommands(peer).map((command): PeerTurn => ({ ...turn, peer, command }));
  const counts = [...new Set([1, threads])];
  return [
    ...counts.flatMap((count) => {
      const name = `PyTorch, ${count} thread${count > 1 ? "s" : ""}`;
      return peers("pytorch", { name, threads: count, images: 8 * batchSize });
    }),
    ...peers("jax-js", { name: "jax-js wasm", threads: 1, images: batchSize }),
  ];
}

/** A peer that has its data and has warmed up. */
export class BenchPeer implements AsyncDisposable {
  readonly #process: PeerProcess;
  readonly #order: Uint32Array;
  readonly #batchSize: number;

  private constructor(process: PeerProcess, order: Uint32Array, batchSize: number) {
    this.#process = process;
    this.#order = order;
    this.#batchSize = batchSize;
  }

  /** Starts a peer; the text that says how to install it if it is missing. */
  static async start(
    { peer, command, threads, images }: PeerTurn,
    { data, parameters, batchSize }: {
      readonly data: LabeledImages;
      readonly parameters: Float32Array;
      readonly batchSize: number;
    },
  ): Promise<BenchPeer | string> {
    try {
      const process = await PeerProcess.start(peer, threads, [command]);
      await process.attach("train", data);
      await process.attach("test", data);
      await process.load(parameters);
      const order = Uint32Array.from({ length: images }, (_, index) => index % data.count);
      const started = new BenchPeer(process, order, batchSize);
      await started.sample();
      return started;
    } catch (error) {
      if (error instanceof PeerMissingError) return error.message;
      throw error;
    }
  }

  /** For example "PyTorch 2.5.1". */
  get description(): string {
    return this.#process.description;
  }

  /** Trains on the sample's images and evaluates as many. */
  async sample(): Promise<PeerSample> {
    const { length } = this.#order;
    const options = { batchSize: this.#batchSize, learningRate: 0.01 };
    const { losses, elapsedMs } = await this.#process.train(this.#order, options);
    if (!losses.every(Number.isFinite)) throw new Error(`${this.description} diverged`);
    const evaluation = await this.#process.evaluate(length);
    return { train: 1000 * length / elapsedMs, evaluate: 1000 * length / evaluation.elapsedMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
