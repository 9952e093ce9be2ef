/** Opening the backend that the flags ask for, with errors that say what else there is. */

import type { BackendName, Session, SessionOptions } from "../backends/backend.ts";
import { chooseBackend } from "../backends/choose.ts";
import {
  BACKEND_NAMES,
  openSession as openAlone,
  orSayWhatIsAvailable,
} from "../backends/registry.ts";
import type { World } from "../distributed/world.ts";
import { invocation } from "../quote.ts";
import type { Model } from "../nn/sequential.ts";
import type { FlagTable, FlagValues } from "./flag_types.ts";

const CHOICES: readonly (BackendName | "auto")[] = ["auto", ...BACKEND_NAMES];

/** The flags of every command that opens a session. */
export const DEVICE_FLAGS = {
  backend: { type: "choice", choices: CHOICES, default: "auto", help: "what computes" },
  threads: { type: "integer", min: 1, max: 256, defaultText: "all cores", help: "CPU threads" },
  exact: {
    type: "boolean",
    help: "convolutions product by product on wasm: slower, the bits of version 0.1",
  },
  "device-index": {
    type: "integer",
    min: 0,
    help: `which GPU of those that ${invocation("devices")} lists, for webgpu`,
  },
  "power-preference": {
    type: "choice",
    choices: ["high-performance", "low-power"],
    help: "which kind of GPU, for webgpu",
  },
} as const satisfies FlagTable;

/** The values of {@linkcode DEVICE_FLAGS} that a session is opened with. */
export function deviceOptions({ threads, exact, deviceIndex, powerPreference }: FlagValues<
  typeof DEVICE_FLAGS
>): Pick<SessionOptions, "threads" | "exact" | "adapter"> {
  return { threads, exact, adapter: { deviceIndex, powerPreference } };
}

/** A session and how its backend came to be chosen. */
export interface OpenedSession {
  readonly session: Session;
  readonly backend: BackendName;
  /** Why `auto` chose it; undefined if it was asked for by name. */
  readonly reason?: string;
}

/** Opens a session on the backend asked for, or on the fastest one.
 *
 * @param world The processes that share it; default: this one alone.
 * @throws {BackendUnavailableError} If a backend asked for by name is not available; says which are.
 */
export async function openSession(
  name: BackendName | "auto",
  model: Model,
  options: SessionOptions,
  world?: World,
): Promise<OpenedSession> {
  quietDrivers();
  // Imported only when asked for: a run without MPI loads nothing of it.
  const group = world && { world, ...await import("../distributed/session.ts") };
  const { name: backend, reason } = name !== "auto"
    ? { name }
    : group
    ? await group.chooseTogether(group.world, { model, options })
    : await chooseBackend(model, options);
  const session = group
    ? await orSayWhatIsAvailable(
      backend,
      () => group.openTogether(group.world, { backend, model, options }),
    )
    : await openAlone(backend, model, options);
  return { session, backend, reason };
}

const RUNTIME_DIR = "XDG_RUNTIME_DIR";

/** Keeps graphics drivers from writing to a terminal; call before asking for a GPU adapter.
 *
 * Mesa prints "error: XDG_RUNTIME_DIR is invalid or not set" where no desktop session has set it. The
 * folder is not used for computing. Does nothing without permission to set the variable.
 */
export function quietDrivers(): void {
  const { state } = Deno.permissions.querySync({ name: "env", variable: RUNTIME_DIR });
  if (state === "granted" && Deno.env.get(RUNTIME_DIR) === undefined) {
    Deno.env.set(RUNTIME_DIR, "/tmp");
  }
}
