/** Other programs that train the same networks: child processes that answer JSON lines. */

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Device } from "../backends/backend.ts";
import type { LabeledImages } from "../data/dataset.ts";
import type { Model } from "../nn/sequential.ts";
import type { Standardization } from "../nn/standardization.ts";
import type { Contender, Runner, StepOptions } from "./contender.ts";
import { torchLayers } from "./torch_program.ts";

/** How to start a peer, and what to do if it is not there. */
interface Peer {
  readonly title: string;
  /** What it is, to follow its version. */
  readonly kind: string;
  /** Programs by which it may be installed; each may be another version of it. */
  readonly commands: readonly string[];
  readonly args: readonly string[];
  readonly install: string;
  /** Whether the number of its threads can be chosen. */
  readonly threaded: boolean;
  /** Known to need seconds for a step of 256 images. */
  readonly slow?: boolean;
  /** Whether it trains LeNet alone, which is written by hand in it. */
  readonly lenetOnly?: boolean;
}

const JAX = "0.1.25";

const PYTORCH = {
  title: "PyTorch",
  commands: ["python3", "/usr/bin/python3"], // Debian's package serves Debian's own Python
  install: "pip install torch, or on Debian: apt-get install python3-torch",
  threaded: true,
};

const CUDA = { ...PYTORCH, threaded: false };

const JAX_JS = {
  title: "jax-js",
  commands: ["deno"],
  install: `deno cache npm:@jax-js/jax@${JAX}`,
  threaded: false,
  lenetOnly: true,
};

const PEERS = {
  "pytorch": { ...PYTORCH, kind: "eager, CPU", args: python("eager") },
  "pytorch-compile": { ...PYTORCH, kind: "torch.compile, CPU", args: python("compile") },
  "pytorch-cuda": { ...CUDA, kind: "eager, CUDA", args: python("cuda") },
  "pytorch-cuda-tf32": { ...CUDA, kind: "eager with TF32, CUDA", args: python("cuda-tf32") },
  "pytorch-cuda-compile": { ...CUDA, kind: "torch.compile, CUDA", args: python("cuda-compile") },
  "pytorch-cuda-graph": { ...CUDA, kind: "a step as a CUDA graph", args: python("cuda-graph") },
  "jax-js": {
    ...JAX_JS,
    kind: "WebAssembly, as its documentation writes it",
    args: deno("jax_peer.ts", "wasm"),
    slow: true,
  },
  "jax-js-tuned": {
    ...JAX_JS,
    kind: "WebAssembly, convolutions tuned by hand",
    args: deno("jax_peer.ts", "wasm", "tuned"),
  },
  "jax-js-webgpu": { ...JAX_JS, kind: "WebGPU", args: deno("jax_peer.ts", "webgpu") },
} satisfies Record<string, Peer>;

/** Name of a peer on the command line. */
export type PeerName = keyof typeof PEERS;

/** Names of all peers. */
export const PEER_NAMES = Object.keys(PEERS) as PeerName[];

/** Programs by which a peer may be installed. */
export function peerCommands(name: PeerName): readonly string[] {
  return PEERS[name].commands;
}

/** Name, images and classes of what jax-js trains. */
const OF_LENET = "lenet 1,28,28 10";

/** Bytes of images in one line to a peer: small enough that no buffer grows without end. */
const CHUNK_BYTES = 2 ** 20;

/** Thrown where a peer is not installed, or may not be started; the message says what to do. */
export class PeerMissingError extends Error {
  /** Name of the class. */
  override readonly name = "PeerMissingError";
}

/** A running peer, which may hold several networks. Requests must not overlap. */
export class PeerProcess implements AsyncDisposable {
  readonly name: PeerName;
  /** For example "PyTorch 2.15.0, eager, CPU". */
  readonly description: string;
  readonly device: Pick<Device, "kind" | "description" | "software">;
  #cpuMs = 0;
  #setCount = 0;
  readonly #sets = new Map<LabeledImages, number>();
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /** Starts a peer and waits until its libraries are loaded.
   *
   * @param commands Programs to try in turn.
   * @throws {PeerMissingError} If it is not installed, or this process may not start it.
   */
  static async start(name: PeerName, commands = peerCommands(name)): Promise<PeerProcess> {
    if (Deno.build.standalone) {
      throw new PeerMissingError(
        "not part of the compiled program; use deno task compare:peers in the project's folder",
      );
    }
    const { args, install } = PEERS[name];
    let reason = `not installed; ${install}`;
    for (const command of commands) {
      try {
        const options = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
        const child = new Deno.Command(command, { args, ...options }).spawn();
        const lines = createInterface({ input: Readable.fromWeb(child.stdout as never) });
        const iterator = lines[Symbol.asyncIterator]();
        const { value: hello } = await iterator.next();
        const { missing, ...facts } = JSON.parse(hello ?? `{"missing":${JSON.stringify(reason)}}`);
        if (!missing) return new PeerProcess(name, child, { lines: iterator, ...facts });
        reason = missing;
        await child.stdin.close().catch(() => {});
        await child.status;
      } catch (error) {
        if (error instanceof Deno.errors.NotCapable) {
          reason = `needs the permission --allow-run=${command}: use deno task compare:peers`;
        } else if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    throw new PeerMissingError(reason);
  }

  private constructor(
    name: PeerName,
    child: Deno.ChildProcess,
    { lines, version, device, software = false }: {
      readonly lines: AsyncIterator<string>;
      readonly version: string;
      readonly device: string;
      readonly software?: boolean;
    },
  ) {
    const { title, kind } = PEERS[name];
    const isGpu = device !== "CPU";
    this.name = name;
    this.description = `${title} ${version}, ${kind}`;
    const description = isGpu ? `${this.description} on ${device}` : this.description;
    this.device = { kind: isGpu ? "gpu" : "cpu", description, software };
    this.#child = child;
    this.#lines = lines;
    this.#input = child.stdin.getWriter();
  }

  /** Time that processors have spent on it, in milliseconds, as of its last reply. */
  get cpuMs(): number {
    return this.#cpuMs;
  }

  /** Gives it images once; they stay in its memory. */
  async attach(data: LabeledImages, { mean, std }: Standardization): Promise<number> {
    const known = this.#sets.get(data);
    if (known !== undefined) return known;
    const { images, labels, count, shape } = data;
    const imageSize = images.length / count;
    const chunk = Math.max(1, Math.floor(CHUNK_BYTES / imageSize));
    const index = this.#setCount++;
    for (let start = 0; start < count; start += chunk) {
      await this.ask("attach", {
        ...{ index, shape, mean, std },
        images: images.subarray(start * imageSize, (start + chunk) * imageSize).toBase64(),
        labels: labels.subarray(start, start + chunk).toBase64(),
      });
    }
    this.#sets.set(data, index);
    return index;
  }

  /** Sends a request and resolves with the reply.
   *
   * @throws {Error} If the peer has ended.
   */
  // deno-lint-ignore no-explicit-any -- the peers' replies, each described where it is used
  async ask(ask: string, request: object): Promise<any> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify({ ask, ...request })}\n`));
    const { value: reply } = await this.#lines.next();
    if (reply === undefined) throw new Error(`Cannot measure ${this.name}: it has ended`);
    const { cpuMs, ...answer } = JSON.parse(reply);
    this.#cpuMs = cpuMs;
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // it ends with its input, or has ended already
    await this.#lines.return?.();
    await this.#child.status;
  }
}

/** Starts a peer now: later on this process may have given back the permission to. */
export async function startPeer(name: PeerName): Promise<PeerProcess | PeerMissingError> {
  try {
    return await PeerProcess.start(name);
  } catch (error) {
    if (error instanceof PeerMissingError) return error;
    throw error;
  }
}

/** A program of its own, started already, or the reason why it could not be. */
export function peerContender(name: PeerName, peer: PeerProcess | PeerMissingError): Contender {
  const { threaded, slow = false, lenetOnly = false }: Peer = PEERS[name];
  return {
    ...{ name, outside: true, threaded, slow },
    async open({ model, dataset, parameters, threads = navigator.hardwareConcurrency }) {
      if (peer instanceof PeerMissingError) throw peer;
      if (lenetOnly && `${model.name} ${model.inputShape} ${model.classCount}` !== OF_LENET) {
        throw new PeerMissingError(
          "trains the model lenet on grey images of 28x28 with 10 classes only",
        );
      }
      const runner = await openRunner(peer, { model, threads: threaded ? threads : 1, dataset });
      await runner.load(parameters);
      return runner;
    },
  };
}

/** The process ends with its owner, who started it: a runner's disposal leaves it as it is. */
async function openRunner(
  peer: PeerProcess,
  { model, threads, dataset: { train, test } }: {
    readonly model: Model;
    readonly threads: number;
    readonly dataset: { readonly train: LabeledImages; readonly test: LabeledImages };
  },
): Promise<Runner> {
  const [trainSet, testSet] = [
    await peer.attach(train, model.standardization),
    await peer.attach(test, model.standardization),
  ];
  const { network } = await peer.ask("open", { layers: torchLayers(model) });
  return {
    device: { ...peer.device, threads },
    load: (parameters) => peer.ask("load", { network, parameters: toBase64(parameters) }),
    async train(order, { batchSize, learningRate }: StepOptions) {
      const request = { network, set: trainSet, threads, batchSize, learningRate };
      const reply = await peer.ask("train", { ...request, order: toBase64(order) });
      return { ...reply, losses: toFloats(reply.losses) };
    },
    async evaluate(count) {
      const reply = await peer.ask("evaluate", { network, set: testSet, threads, count });
      return { accuracy: reply.correct / count, elapsedMs: reply.elapsedMs };
    },
    readParameters: async () => toFloats((await peer.ask("read", { network })).parameters),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function python(mode: string): string[] {
  return [scriptPath("pytorch_peer.py"), mode];
}

function deno(script: string, ...args: readonly string[]): string[] {
  const permissions = ["--no-prompt", "--allow-read", "--allow-env", "--allow-sys"];
  return ["run", ...permissions, scriptPath(script), JAX, ...args];
}

function scriptPath(name: string): string {
  return fileURLToPath(new URL(`./peers/${name}`, import.meta.url));
}

function toBase64({ buffer, byteOffset, byteLength }: Float32Array | Uint32Array): string {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).toBase64();
}

function toFloats(text: string): Float32Array {
  return new Float32Array(Uint8Array.fromBase64(text).buffer);
}
