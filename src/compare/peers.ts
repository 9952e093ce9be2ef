/** Other programs that train the same LeNet: child processes that answer JSON lines. */

import { fileURLToPath } from "node:url";
import type { LabeledImages } from "../data/dataset.ts";
import type { ChannelStandardization } from "../nn/standardization.ts";
import { LineReader } from "./line_reader.ts";

/** Name of a peer on the command line. */
export type PeerName = "pytorch" | "jax-js";

/** Names of all peers. */
export const PEER_NAMES: readonly PeerName[] = ["pytorch", "jax-js"];

const TITLES: Readonly<Record<PeerName, string>> = { "pytorch": "PyTorch", "jax-js": "jax-js" };

/** How to start a peer, and what to do if it is not there. */
interface Peer {
  /** Programs by which it may be installed. */
  readonly commands: readonly string[];
  readonly args: (threads: number) => readonly string[];
  /** What it is, to follow its version. */
  readonly kind: string;
  readonly install: string;
}

const PEERS: Readonly<Record<PeerName, Peer>> = {
  "pytorch": {
    commands: ["python3", "/usr/bin/python3"], // Debian's package serves Debian's own Python
    args: (threads) => [scriptPath("pytorch_lenet.py"), `${threads}`],
    kind: "eager, CPU",
    install: "pip install torch, or on Debian: apt-get install python3-torch",
  },
  "jax-js": {
    commands: ["deno"],
    args: () =>
      ["run", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys"]
        .concat(scriptPath("jax_lenet.ts")),
    kind: "WebAssembly, as its documentation writes it",
    install: "deno cache npm:@jax-js/jax@0.1.25",
  },
};

/** Programs by which a peer may be installed; each may be another version of it. */
export function peerCommands(name: PeerName): readonly string[] {
  return PEERS[name].commands;
}

/** Bytes of images in one line to a peer: small enough that no buffer grows without end. */
const CHUNK_BYTES = 2 ** 20;

/** What a peer did in some steps. */
export interface PeerTraining {
  /** Mean loss of each step's batch. */
  readonly losses: Float32Array;
  /** Correct predictions in all batches; undefined if the peer does not count them. */
  readonly correct?: number;
  /** By the peer's own clock. */
  readonly elapsedMs: number;
}

/** Thrown where a peer is not installed, or may not be started; the message says what to do. */
export class PeerMissingError extends Error {
  /** Name of the class. */
  override readonly name = "PeerMissingError";
}

/** A running peer. Requests must not overlap. */
export class PeerProcess implements AsyncDisposable {
  readonly name: PeerName;
  /** For example "PyTorch 2.5.1, eager, CPU". */
  readonly description: string;
  #threads: number;
  #cpuMs = 0;
  readonly #child: Deno.ChildProcess;
  readonly #lines: LineReader;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /** Starts a peer and waits until its libraries are loaded.
   *
   * @param commands Programs to try in turn.
   * @throws {PeerMissingError} If it is not installed, or this process may not start it.
   */
  static async start(
    name: PeerName,
    threads: number,
    commands: readonly string[] = peerCommands(name),
  ): Promise<PeerProcess> {
    if (Deno.build.standalone) {
      throw new PeerMissingError(
        "not part of the compiled program; use deno task compare:peers in the project's folder",
      );
    }
    const { args, install } = PEERS[name];
    let refused = "";
    for (const command of commands) {
      try {
        const child = spawn(command, args(threads));
        const lines = new LineReader(child.stdout);
        const hello = await lines.read();
        if (hello !== undefined) return new PeerProcess(name, child, { lines, hello });
        await child.stdin.close().catch(() => {});
        await child.status;
      } catch (error) {
        if (error instanceof Deno.errors.NotCapable) refused ||= command;
        else if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    throw new PeerMissingError(
      refused
        ? `needs the permission --allow-run=${refused}: use deno task compare:peers`
        : `not installed; ${install}`,
    );
  }

  private constructor(
    name: PeerName,
    child: Deno.ChildProcess,
    { lines, hello }: { lines: LineReader; hello: string },
  ) {
    const { version, threads } = JSON.parse(hello);
    this.name = name;
    this.description = `${TITLES[name]} ${version}, ${PEERS[name].kind}`;
    this.#threads = threads;
    this.#child = child;
    this.#lines = lines;
    this.#input = child.stdin.getWriter();
  }

  /** Threads that it computes with. */
  get threads(): number {
    return this.#threads;
  }

  /** Time that processors have spent on it, in milliseconds, as of its last reply. */
  get cpuMs(): number {
    return this.#cpuMs;
  }

  /** Chooses how many threads it computes with, where it has any to choose. */
  async setThreads(threads: number): Promise<void> {
    if (threads !== this.#threads) this.#threads = (await this.#ask({ threads })).threads;
  }

  /** Gives it images to train on, or to evaluate, in place of those it had; they stay in memory. */
  async attach(
    set: "train" | "test",
    { images, labels, count }: LabeledImages,
    standardization: ChannelStandardization = { mean: 0, std: 1 },
  ): Promise<void> {
    const imageSize = images.length / count;
    const chunk = Math.floor(CHUNK_BYTES / imageSize);
    for (let start = 0; start < count; start += chunk) {
      await this.#ask({
        set,
        restart: start === 0,
        ...standardization,
        images: images.subarray(start * imageSize, (start + chunk) * imageSize).toBase64(),
        labels: labels.subarray(start, start + chunk).toBase64(),
      });
    }
  }

  /** Sets all parameters, in PyTorch's order and layout. */
  async load(parameters: Float32Array): Promise<void> {
    await this.#ask({ parameters: [...parameters] });
  }

  /** Trains with plain SGD on attached images. */
  async train(
    order: Uint32Array,
    { batchSize, learningRate }: { readonly batchSize: number; readonly learningRate: number },
  ): Promise<PeerTraining> {
    const reply = await this.#ask({ train: [...order], batchSize, learningRate });
    return { ...reply, losses: numbers(reply.losses) };
  }

  /** Evaluates the first images of the test set. */
  evaluate(count: number): Promise<{ readonly correct: number; readonly elapsedMs: number }> {
    return this.#ask({ evaluate: count });
  }

  /** Reads all parameters, in PyTorch's order and layout. */
  async read(): Promise<Float32Array> {
    return numbers((await this.#ask({ read: true })).parameters);
  }

  // deno-lint-ignore no-explicit-any -- the peers' replies, each described where it is used
  async #ask(request: unknown): Promise<any> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
    const reply = await this.#lines.read();
    if (reply === undefined) throw new Error(`Cannot measure ${this.name}: it has ended`);
    const { cpuMs, ...answer } = JSON.parse(reply);
    this.#cpuMs = cpuMs;
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // it ends with its input, or has ended already
    await this.#lines.cancel();
    await this.#child.status;
  }
}

function spawn(command: string, args: readonly string[]): Deno.ChildProcess {
  const options = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
  return new Deno.Command(command, { args: [...args], ...options }).spawn();
}

function scriptPath(name: string): string {
  return fileURLToPath(new URL(`./peers/${name}`, import.meta.url));
}

/** JSON has no NaN: what is not finite comes as null. */
function numbers(values: readonly (number | null)[]): Float32Array {
  return Float32Array.from(values, (value) => value ?? NaN);
}
