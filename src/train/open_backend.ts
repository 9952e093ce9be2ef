/** Opening a session that is ready to train: the first thing a program does. */

import type { BackendName, Session, SessionOptions } from "../backends/backend.ts";
import { chooseBackend } from "../backends/choose.ts";
import { BACKEND_NAMES, openSession } from "../backends/registry.ts";
import { checkModelArgument, checkName, checkObject } from "../check.ts";
import { initialParameters, initialStatistics, type WeightInit } from "../nn/init.ts";
import type { Model } from "../nn/sequential.ts";

/** What a session is opened with; everything has a default. */
export interface OpenOptions extends SessionOptions {
  /** Parameters to start from, flat, as {@linkcode fromTensors} makes them; default: drawn. */
  readonly parameters?: Float32Array;
  /** Running statistics that were trained with the parameters, if the model has any. */
  readonly statistics?: Float32Array;
  /** Draws the parameters, and what engines draw in training; default 0. */
  readonly seed?: number;
  /** How they are drawn; default Xavier uniform. */
  readonly init?: WeightInit;
}

/** Opens a backend for a model, with parameters in place.
 *
 * The optimiser is plain SGD and the largest batch 256, unless the options say otherwise. Dispose the
 * session when it has done its work: `await using` does.
 *
 * @param name A backend, or `auto`: what {@linkcode chooseBackend} chooses.
 * @throws {BackendUnavailableError} If it cannot run here; the message says which can.
 * @throws {TypeError} If there is no such backend, a model or an option is not one, or there are not as
 * many parameters as the model has; no session is left then.
 * @throws {RangeError} If a number is out of range, or the model does not fit.
 * @example Open the fastest backend of this machine
 * ```ts
 * import { lenet, openBackend } from "@lenet/lenet";
 *
 * await using session = await openBackend("auto", lenet(), { batchSize: 64, seed: 1 });
 *
 * const { parameters } = await session.readState();
 * if (parameters.length !== 61_706) throw new Error("expected LeNet's parameters");
 * ```
 */
export async function openBackend(
  name: BackendName | "auto",
  model: Model,
  options: OpenOptions = {},
): Promise<Session> {
  checkName("backend", name, ["auto", ...BACKEND_NAMES]);
  checkModelArgument(model);
  checkObject("options", options);
  const { parameters, statistics, seed = 0, init, ...sessionOptions } = options;
  const drawn = parameters ?? initialParameters(model, seed, init);
  const chosen = name === "auto" ? (await chooseBackend(model, sessionOptions)).name : name;
  const session = await openSession(chosen, model, { ...sessionOptions, seed });
  try {
    const measured = statistics ?? (parameters ? undefined : initialStatistics(model));
    await session.loadState({ parameters: drawn, statistics: measured, slots: [], step: 0 });
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]().catch(() => {}); // what it was refused for says more
    throw error;
  }
}
