/** A training that all ranks share, seen from rank 0: one session like any other. */

import type {
  Device,
  EvaluationResult,
  Session,
  TrainingState,
  TrainRequest,
  TrainResult,
  Unlabeled,
} from "../backends/backend.ts";
import type { BackendChoice } from "../backends/choose.ts";
import {
  checkImages,
  checkOptions,
  checkRequest,
  checkState,
  notAttached,
} from "../backends/check_data.ts";
import type { EngineOptions } from "../backends/engine.ts";
import { Calls } from "../backends/calls.ts";
import type { LabeledImages } from "../data/dataset.ts";
import { specOf } from "../nn/model_spec.ts";
import type { Model } from "../nn/sequential.ts";
import type { Command, ToldTraining } from "./follow.ts";
import { Member } from "./member.ts";
import { chooseParts, openParts, type SharedOptions, type SharedTraining } from "./open_part.ts";
import { type Part, tell, together } from "./wire.ts";
import { MpiError, type World } from "./world.ts";

/** This rank failed while the others counted on it: nothing is left but to end them all. */
export class RankFailedError extends Error {
  override readonly name = "RankFailedError";
}

/** Chooses a backend for every rank; only rank 0 calls it, the others follow. */
export async function chooseTogether(
  world: World,
  training: SharedTraining,
): Promise<BackendChoice> {
  tell(world, { type: "choose", ...told(training) } satisfies Command);
  return await chooseParts(world, training);
}

/** Opens a session on every rank; only rank 0 calls it, the others follow.
 *
 * Rank 0's word is all that counts: it hands out model, data and parameters, so that no other rank needs
 * files, and every call of the session is one of all ranks.
 *
 * @throws {Error} If a rank cannot open its part.
 */
export async function openTogether(world: World, shared: SharedOptions): Promise<Session> {
  tell(world, { type: "open", backend: shared.backend, ...told(shared) } satisfies Command);
  const opened = await openParts(world, () => shared);
  if ("error" in opened) throw opened.error;
  return new SharedSession(world, opened.value, shared);
}

function told({ model, options }: SharedTraining): ToldTraining {
  return { model: specOf(model), frozen: model.frozen, options };
}

class SharedSession implements Session {
  readonly device: Device;
  readonly #world: World;
  readonly #member: Member;
  readonly #model: Model;
  readonly #options: EngineOptions;
  /** Numbers of the images that the other ranks have. */
  readonly #sent = new Map<LabeledImages, number>();
  #lastId = 0;
  readonly #calls = new Calls();
  /** Whether the others still listen. */
  #usable = true;

  constructor(world: World, session: Session, { model, options }: SharedOptions) {
    const { device } = session;
    const description = `${world.size} MPI ranks (${world.version}), each ${device.description}`;
    this.device = { ...device, description };
    this.#world = world;
    this.#member = new Member(world, session);
    this.#model = model;
    this.#options = checkOptions(model, options);
  }

  loadState(state: TrainingState): Promise<void> {
    return this.#calls.make("loadState", async () => {
      checkState(this.#model, this.#options.optimizer, state);
      const { parameters, statistics = new Float32Array(), slots, step } = state;
      await this.#together(
        { command: { type: "load", step }, parts: [parameters, statistics, ...slots] },
        () => this.#member.session.loadState(state),
      );
    });
  }

  readState(): Promise<TrainingState> {
    return this.#calls.make("readState", () => this.#member.session.readState());
  }

  attach(data: LabeledImages): Promise<boolean> {
    return this.#calls.make("attach", () => this.#attach(data));
  }

  detach(data: LabeledImages): Promise<void> {
    return this.#calls.make("detach", () => this.#detach(data));
  }

  train(data: LabeledImages, request: TrainRequest): Promise<TrainResult> {
    return this.#calls.make("train", async () => {
      const id = this.#sent.get(data);
      if (id === undefined) throw notAttached();
      const { batchSize: maxBatchSize } = this.#options;
      checkRequest(request, { model: this.#model, count: data.count, maxBatchSize });
      const { order, batchSize, learningRates } = request;
      this.#tell({ type: "train", id, batchSize }, [order, learningRates]);
      const { result, strays } = await this.#inStep(async () => ({
        result: await this.#member.train(data, request),
        strays: await this.#member.findStrays(),
      }));
      if (strays.length > 0) {
        const which = strays.length === 1 ? `rank ${strays[0]}` : `ranks ${strays.join(", ")}`;
        throw new Error(
          `Parameters of ${which} differ from those of rank 0 after the same steps: check these ` +
            `machines, and that all are of one kind; go on from the last checkpoint with --resume`,
        );
      }
      return result;
    });
  }

  evaluate(data: LabeledImages): Promise<EvaluationResult> {
    return this.#calls.make("evaluate", async () => {
      const isNew = await this.#attach(data);
      const id = this.#sent.get(data)!;
      this.#tell({ type: "evaluate", id });
      const result = await this.#inStep(() => this.#member.evaluate(data));
      if (isNew) await this.#detach(data);
      return result;
    });
  }

  predict(data: Unlabeled): Promise<Float32Array> {
    return this.#calls.make("predict", () => this.#member.session.predict(data));
  }

  gradients(data: LabeledImages, indices: Uint32Array) {
    return this.#calls.make("gradients", () => this.#member.session.gradients(data, indices));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!await this.#calls.close()) return;
    if (this.#usable) this.#tell({ type: "close" });
    this.#usable = false;
    await this.#member.session[Symbol.asyncDispose]();
  }

  async #attach(data: LabeledImages): Promise<boolean> {
    checkImages(this.#model, data);
    if (this.#sent.has(data)) return false;
    const id = ++this.#lastId;
    const { shape, count, images, labels } = data;
    await this.#together(
      { command: { type: "attach", id, shape, count }, parts: [images, labels] },
      async () => void await this.#member.session.attach(data),
    );
    this.#sent.set(data, id);
    return true;
  }

  async #detach(data: LabeledImages): Promise<void> {
    const id = this.#sent.get(data);
    if (id === undefined) return;
    this.#tell({ type: "detach", id });
    await this.#inStep(() => this.#member.detach(data));
    this.#sent.delete(data);
  }

  #tell(command: Command, parts?: readonly Part[]): void {
    if (!this.#usable) throw new TypeError("Cannot use a session that was disposed or has failed");
    try {
      tell(this.#world, command, parts);
    } catch (error) {
      this.#usable = false;
      throw error;
    }
  }

  /** Work at which a rank may fail: all are told, and go on. */
  async #together(
    { command, parts }: { command: Command; parts: readonly Part[] },
    work: () => Promise<void>,
  ): Promise<void> {
    this.#tell(command, parts);
    try {
      await together(this.#world, work);
    } catch (error) {
      if (error instanceof MpiError) this.#usable = false;
      throw error;
    }
  }

  /** Work in which the ranks wait for each other: a rank that fails there leaves the others waiting. */
  async #inStep<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#usable = false;
      const message = error instanceof Error ? error.message : String(error);
      throw new RankFailedError(message, { cause: error });
    }
  }
}
