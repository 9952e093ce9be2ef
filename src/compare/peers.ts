/** Other programs that train the same networks: child processes that answer JSON lines. */

import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { BackendUnavailableError, type Device } from "../backends/backend.ts";
import type { LabeledImages } from "../data/dataset.ts";
import { torchModel } from "../formats/pytorch.ts";
import type { Standardization } from "../nn/standardization.ts";
import type { Contender, ContenderSession } from "./contender.ts";
import type { OpenPlan } from "./plan.ts";

/** How to start a peer, and what to do if it is not there. */
interface Program {
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
} satisfies Record<string, Program>;

/** Name of a peer on the command line. */
export type PeerName = keyof typeof PEERS;

/** Names of all peers. */
export const PEER_NAMES = Object.keys(PEERS) as PeerName[];

/** A contender that is a program of its own, started already, or found missing. */
export interface Peer extends Contender {
  /** For example "PyTorch 2.15.0, eager, CPU"; left out of one that is missing. */
  readonly description?: string;
  /** Time that processors have spent on it, in milliseconds, as of its last reply. */
  readonly cpuMs: number;
}

/** Starts peers now: later on this process may have given back the permission to.
 *
 * @param stack Ends them.
 * @param everyProgram Whether each peer is started by every program that has another version of it, and
 * not only by the first.
 */
export async function startPeers(
  names: Iterable<PeerName>,
  stack: AsyncDisposableStack,
  { everyProgram = false }: { readonly everyProgram?: boolean } = {},
): Promise<Peer[]> {
  const peers = new Map<string, Peer>();
  for (const name of new Set(names)) {
    const { commands, threaded, slow = false }: Program = PEERS[name];
    const errors: BackendUnavailableError[] = [];
    const groups = everyProgram ? commands.map((command) => [command]) : [commands];
    for (const group of groups) {
      try {
        const peer = stack.use(await PeerProcess.start(name, group));
        if (!peers.has(peer.description)) peers.set(peer.description, peer);
      } catch (error) {
        if (!(error instanceof BackendUnavailableError)) throw error;
        errors.push(error);
      }
    }
    if (errors.length < groups.length) continue;
    const open = () => Promise.reject(errors[0]);
    peers.set(name, { name, outside: true, threaded, slow, cpuMs: 0, open });
  }
  return [...peers.values()];
}

/** Name, images and classes of what jax-js trains. */
const OF_LENET = "lenet 1,28,28 10";

/** Bytes of images in one line to a peer: small enough that no buffer grows without end. */
const CHUNK_BYTES = 2 ** 20;

/** What a program says when its libraries are loaded. */
interface Hello {
  readonly version: string;
  readonly device: string;
  readonly software?: boolean;
  /** Why it cannot take part. */
  readonly missing?: string | null;
}

/** A running peer, which may hold several networks. Requests must not overlap. */
class PeerProcess implements Peer, AsyncDisposable {
  readonly name: PeerName;
  readonly outside = true;
  readonly threaded: boolean;
  readonly slow: boolean;
  readonly description: string;
  readonly #device: Omit<Device, "threads">;
  #cpuMs = 0;
  readonly #sets = new Map<LabeledImages, number>();
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /** Starts a peer and waits until its libraries are loaded.
   *
   * @param commands Programs to try in turn.
   * @throws {BackendUnavailableError} If it is not installed, or this process may not start it.
   */
  static async start(name: PeerName, commands: readonly string[]): Promise<PeerProcess> {
    if (Deno.build.standalone) {
      throw new BackendUnavailableError(
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
        const { value } = await iterator.next();
        const hello: Hello = JSON.parse(value ?? `{"missing":${JSON.stringify(reason)}}`);
        if (!hello.missing) return new PeerProcess(name, hello, { child, lines: iterator });
        reason = hello.missing;
        await child.stdin.close().catch(() => {});
        await child.status;
      } catch (error) {
        if (error instanceof Deno.errors.NotCapable) {
          reason = `needs the permission --allow-run=${command}: use deno task compare:peers`;
        } else if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    throw new BackendUnavailableError(reason);
  }

  private constructor(
    name: PeerName,
    { version, device, software = false }: Hello,
    { child, lines }: {
      readonly child: Deno.ChildProcess;
      readonly lines: AsyncIterator<string>;
    },
  ) {
    const { title, kind, threaded, slow = false }: Program = PEERS[name];
    const isGpu = device !== "CPU";
    this.name = name;
    this.threaded = threaded;
    this.slow = slow;
    this.description = `${title} ${version}, ${kind}`;
    const description = isGpu ? `${this.description} on ${device}` : this.description;
    this.#device = { kind: isGpu ? "gpu" : "cpu", description, software };
    this.#child = child;
    this.#lines = lines;
    this.#input = child.stdin.getWriter();
  }

  get cpuMs(): number {
    return this.#cpuMs;
  }

  /** Opens a network in it; the process ends with its owner, and not with this. */
  async open({ model, dataset, parameters, threads: asked }: OpenPlan): Promise<ContenderSession> {
    const { lenetOnly }: Program = PEERS[this.name];
    if (lenetOnly && `${model.name} ${model.inputShape} ${model.classCount}` !== OF_LENET) {
      throw new BackendUnavailableError(
        "trains the model lenet on grey images of 28x28 with 10 classes only",
      );
    }
    const threads = this.threaded ? asked ?? navigator.hardwareConcurrency : 1;
    const trainSet = await this.#attach(dataset.train, model.standardization);
    const testSet = await this.#attach(dataset.test, model.standardization);
    const description = torchModel(model.specs, model.inputShape);
    const { network } = await this.#ask("open", { model: description });
    const session: ContenderSession = {
      device: { ...this.#device, threads },
      load: (parameters) => this.#ask("load", { network, parameters: toBase64(parameters) }),
      train: async (order, { batchSize, learningRate }) => {
        const request = { network, set: trainSet, threads, batchSize, learningRate };
        const reply = await this.#ask("train", { ...request, order: toBase64(order) });
        return { ...reply, losses: toFloats(reply.losses) };
      },
      evaluate: async (count) => {
        const request = { network, set: testSet, threads, count };
        const { correct, elapsedMs } = await this.#ask("evaluate", request);
        return { accuracy: correct / count, elapsedMs };
      },
      readParameters: async () => toFloats((await this.#ask("read", { network })).parameters),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    await session.load(parameters);
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // it ends with its input, or has ended already
    await this.#lines.return?.();
    await this.#child.status;
  }

  /** Gives it images once; they stay in its memory. */
  async #attach(data: LabeledImages, { mean, std }: Standardization): Promise<number> {
    const known = this.#sets.get(data);
    if (known !== undefined) return known;
    const { images, labels, count, shape } = data;
    const imageSize = images.length / count;
    const chunk = Math.max(1, Math.floor(CHUNK_BYTES / imageSize));
    const index = this.#sets.size;
    for (let start = 0; start < count; start += chunk) {
      await this.#ask("attach", {
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
  async #ask(ask: string, request: object): Promise<any> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify({ ask, ...request })}\n`));
    const { value: reply } = await this.#lines.next();
    if (reply === undefined) throw new Error(`Cannot measure ${this.name}: it has ended`);
    const { cpuMs, ...answer } = JSON.parse(reply);
    this.#cpuMs = cpuMs;
    return answer;
  }
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
