/** What a run ran on, for the record: versions and hardware, no names of people or paths. */

import { cpus } from "node:os";
import config from "../../deno.json" with { type: "json" };
import { countOf } from "../quote.ts";

/** Version of this program. */
export const VERSION: string = config.version;

/** Versions and hardware of this process. */
export interface Environment {
  readonly lenet: string;
  readonly deno: string;
  readonly v8: string;
  readonly os: string;
  readonly arch: string;
  /** Model name of the processor; "unknown" without permission to ask. */
  readonly cpu: string;
  readonly cores: number;
}

/** Describes this process. */
export function describeEnvironment(): Environment {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "cpus" });
  return {
    lenet: VERSION,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    os: Deno.build.os,
    arch: Deno.build.arch,
    cpu: state === "granted" ? cpus()[0]?.model ?? "unknown" : "unknown",
    cores: navigator.hardwareConcurrency,
  };
}

/** `AMD EPYC, 2 cores, linux x86_64, Deno 2.9.6, lenet 0.2.0`. */
export function machineText({ cpu, cores, os, arch, deno, lenet }: Environment): string {
  return `${cpu}, ${countOf(cores, "core")}, ${os} ${arch}, Deno ${deno}, lenet ${lenet}`;
}
