/** What the ranks other than 0 do: what rank 0 tells them, until it tells them to end. */

import type { BackendName, SessionOptions } from "../backends/backend.ts";
import { checkImages } from "../backends/check_data.ts";
import type { LabeledImages } from "../data/dataset.ts";
import { modelOf, type ModelSpec } from "../nn/model_spec.ts";
import { freeze, type Model } from "../nn/sequential.ts";
import { Member } from "./member.ts";
import { chooseParts, openParts, type SharedTraining } from "./open_part.ts";
import { agree, hear, tell } from "./wire.ts";
import type { World } from "./world.ts";

/** What is trained, as a message holds it. */
export interface ToldTraining {
  readonly model: ModelSpec;
  readonly frozen: Model["frozen"];
  readonly options: SessionOptions;
}

/** What rank 0 tells the others; vectors travel beside it. */
export type Command =
  | { readonly type: "choose" } & ToldTraining
  | { readonly type: "open"; readonly backend: BackendName } & ToldTraining
  | { readonly type: "load"; readonly step: number }
  | {
    readonly type: "attach";
    readonly id: number;
    readonly shape: LabeledImages["shape"];
    readonly count: number;
  }
  | { readonly type: "detach"; readonly id: number }
  | { readonly type: "train"; readonly id: number; readonly batchSize: number }
  | { readonly type: "evaluate"; readonly id: number }
  | { readonly type: "close" }
  | { readonly type: "end" };

/** Tells all other ranks that there is nothing more to do. */
export function endFollowers(world: World): void {
  tell(world, { type: "end" } satisfies Command);
}

/** Follows rank 0 to the end.
 *
 * What fails where all ranks learn of it is rank 0's to report; the rest is thrown.
 */
export async function follow(world: World): Promise<void> {
  let member: Member | undefined;
  let model: Model | undefined;
  const data = new Map<number, LabeledImages>();
  for (;;) {
    const { fields: command, parts } = hear<Command>(world);
    switch (command.type) {
      case "end":
        return;
      case "choose":
        await chooseParts(world, heard(command));
        break;
      case "open": {
        const opened = await openParts(world, () => {
          const shared = { backend: command.backend, ...heard(command) };
          model = shared.model;
          return shared;
        });
        if ("value" in opened) member = new Member(world, opened.value);
        break;
      }
      case "load":
        await agree(world, async () => {
          const [parameters, statistics, ...slots] = parts.map((part) => new Float32Array(part));
          await member!.session.loadState({ parameters, statistics, slots, step: command.step });
        });
        break;
      case "attach": {
        const { id, shape, count } = command;
        const attached = await agree(world, () => {
          const [images, labels] = parts.map((part) => new Uint8Array(part));
          const added = { images, labels, shape, count };
          checkImages(model!, added);
          return Promise.resolve(added);
        });
        if ("value" in attached) data.set(id, attached.value);
        break;
      }
      case "detach":
        await member!.detach(data.get(command.id)!);
        data.delete(command.id);
        break;
      case "train": {
        const [order, learningRates] = parts;
        await member!.train(data.get(command.id)!, {
          order: new Uint32Array(order),
          batchSize: command.batchSize,
          learningRates: new Float32Array(learningRates),
        });
        await member!.findStrays();
        break;
      }
      case "evaluate":
        await member!.evaluate(data.get(command.id)!);
        break;
      case "close":
        await member?.session[Symbol.asyncDispose]();
        member = undefined;
        data.clear();
    }
  }
}

function heard({ model, frozen, options }: ToldTraining): SharedTraining {
  return { model: freeze(modelOf(model), frozen), options };
}
