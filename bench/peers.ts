/** Other programs that train the same LeNet: child processes that give a sample for each line sent.
 */

import { LineReader } from "./line_reader.ts";

/** How to start a peer, and what to do if it is not there. */
interface Peer {
  readonly name: string;
  /** Programs to try in turn. */
  readonly commands: readonly string[];
  readonly args: readonly string[];
  readonly install: string;
}

/** A peer's rates, in images a second. */
export interface PeerSample {
  readonly train: number;
  readonly evaluate: number;
}

/** Peers that the benchmark looks for. */
export function listPeers(threads: number, batchSize: number): Peer[] {
  const script = (name: string) => new URL(`./peers/${name}`, import.meta.url).pathname;
  const pytorch = (count: number): Peer => ({
    name: `PyTorch, ${count} thread${count > 1 ? "s" : ""}`,
    commands: ["python3", "/usr/bin/python3"], // Debian's package serves Debian's own Python
    args: [script("pytorch_lenet.py"), `${count}`, `${batchSize}`],
    install: "apt-get install python3-torch",
  });
  return [
    pytorch(1),
    ...(threads > 1 ? [pytorch(threads)] : []),
    {
      name: "jax-js wasm, as its documentation writes it",
      commands: ["deno"],
      args: [
        "run",
        "--allow-read",
        "--allow-env",
        "--allow-sys",
        script("jax_lenet.ts"),
        `${batchSize}`,
      ],
      install: "deno cache npm:@jax-js/jax@0.1.25",
    },
  ];
}

/** A running peer. */
export class PeerProcess implements AsyncDisposable {
  readonly name: string;
  readonly version: string;
  readonly #child: Deno.ChildProcess;
  readonly #lines: LineReader;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /** Starts a peer and waits until it has warmed up; undefined if it is not installed. */
  static async start(peer: Peer): Promise<PeerProcess | undefined> {
    for (const command of peer.commands) {
      const child = spawn(command, peer.args);
      if (child === undefined) continue;
      const lines = new LineReader(child.stdout);
      const value = await lines.read();
      if (value !== undefined) {
        return new PeerProcess(peer.name, child, { lines, version: JSON.parse(value).version });
      }
      await child.stdin.close().catch(() => {});
      await child.status;
    }
    return undefined;
  }

  private constructor(
    name: string,
    child: Deno.ChildProcess,
    { lines, version }: { lines: LineReader; version: string },
  ) {
    this.name = name;
    this.version = version;
    this.#child = child;
    this.#lines = lines;
    this.#input = child.stdin.getWriter();
  }

  /** Asks for one sample. */
  async sample(): Promise<PeerSample> {
    await this.#input.write(new TextEncoder().encode("\n"));
    const value = await this.#lines.read();
    if (value === undefined) throw new Error(`Cannot measure ${this.name}: it has ended`);
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // it ends with its input, or has ended already
    await this.#lines.cancel();
    await this.#child.status;
  }
}

function spawn(command: string, args: readonly string[]): Deno.ChildProcess | undefined {
  try {
    const options = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
    return new Deno.Command(command, { args: [...args], ...options }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
