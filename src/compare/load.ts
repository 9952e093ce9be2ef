/** How much of a machine others use while something is measured. */

import { cpus } from "node:os";
import process from "node:process";

/** Cores that others kept busy: programs beside the measured ones, and the host's other guests. */
export interface Load {
  /** Just before anything was measured. */
  readonly before: number;
  /** On average while it was. */
  readonly during: number;
}

/** Share of the cores above which others' work shows in rates. */
const BUSY = 0.1;

/** Takes the time that nobody accounts for: all cores' time, less idle time, less the own. */
export class LoadMeter {
  readonly #startedMs = performance.now();
  readonly #idleMs = idleMs();
  readonly #peers: readonly { readonly cpuMs: number }[];
  readonly #ownMs: number;

  /** @param peers Child processes that are measured too, with the time of theirs so far. */
  constructor(peers: readonly { readonly cpuMs: number }[] = []) {
    this.#peers = peers;
    this.#ownMs = ownMs(peers);
  }

  /** Cores that others kept busy since the meter was made, 0 or more; undefined where it cannot be told. */
  others(): number | undefined {
    const idle = idleMs();
    if (idle === undefined || this.#idleMs === undefined) return undefined;
    const elapsedMs = performance.now() - this.#startedMs;
    const busyMs = elapsedMs * navigator.hardwareConcurrency - (idle - this.#idleMs);
    return Math.max(0, (busyMs - (ownMs(this.#peers) - this.#ownMs)) / elapsedMs);
  }
}

/** Watches an idle second of this process. */
export async function loadBefore(): Promise<number | undefined> {
  const meter = new LoadMeter();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return meter.others();
}

/** What to be told of a load; nothing where it is too small to matter. */
export function loadWarnings({ before, during }: Load): string[] {
  const cores = navigator.hardwareConcurrency;
  if (Math.max(before, during) <= BUSY * cores) return [];
  return [
    `The machine was busy: others used ${before.toFixed(1)} of its ${cores} cores before and ` +
    `${during.toFixed(1)} during the measurement; rates are too low, most of all those of peers ` +
    `on all threads: measure again when it is quiet`,
  ];
}

/** Idle time of all cores since the machine started; undefined without permission or support. */
function idleMs(): number | undefined {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "cpus" });
  if (state !== "granted") return undefined;
  const idle = cpus().reduce((sum, { times }) => sum + times.idle, 0);
  return idle > 0 ? idle : undefined;
}

function ownMs(peers: readonly { readonly cpuMs: number }[]): number {
  const { user, system } = process.cpuUsage();
  return peers.reduce((sum, { cpuMs }) => sum + cpuMs, (user + system) / 1000);
}
