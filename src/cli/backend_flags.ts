/** Opening the backend that the flags ask for, with errors that say what else there is. */

import {
  type BackendName,
  BackendUnavailableError,
  type Session,
  type SessionOptions,
} from "../backends/backend.ts";
import { BACKEND_NAMES, chooseBackend, listAvailable, loadBackend } from "../backends/registry.ts";
import type { Model } from "../nn/sequential.ts";
import { quietDrivers } from "./quiet_drivers.ts";

/** Values of `--backend`. */
export const BACKEND_CHOICES: readonly (BackendName | "auto")[] = ["auto", ...BACKEND_NAMES];

/** A session and how its backend came to be chosen. */
export interface OpenedSession {
  readonly session: Session;
  readonly backend: BackendName;
  /** Why `auto` chose it; undefined if it was asked for by name. */
  readonly reason?: string;
}

/** Opens a session on the backend asked for, or on the fastest one.
 *
 * @throws {BackendUnavailableError} If a backend asked for by name is not available; says which are.
 */
export async function openSession(
  name: BackendName | "auto",
  model: Model,
  options: SessionOptions,
): Promise<OpenedSession> {
  quietDrivers();
  const choice = name === "auto" ? await chooseBackend() : { name, reason: undefined };
  const backend = await loadBackend(choice.name);
  try {
    const session = await backend.open(model, options);
    return { session, backend: choice.name, reason: choice.reason };
  } catch (error) {
    if (!(error instanceof BackendUnavailableError)) throw error;
    const available = (await listAvailable()).join(", ");
    throw new BackendUnavailableError(
      `Backend "${choice.name}" is not available: ${error.message}; available here: ${available}`,
    );
  }
}
