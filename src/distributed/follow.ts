/** What the ranks other than 0 do: what rank 0 tells them, until it tells them to end. */

import type { BackendName, SessionOptions } from "../backends/backend.ts";
import type { LabeledImages } from "../data/dataset.ts";
import { modelOf, type ModelSpec } from "../nn/model_spec.ts";
import { Member } from "./member.ts";
import { openPart } from "./open_part.ts";
import { hear, RankError, tell, together } from "./wire.ts";
import type { World } from "./world.ts";

/** What rank 0 tells the others; vectors travel beside it. */
export type Command =
  | {
    readonly type: "open";
    readonly backend: BackendName;
    readonly model: ModelSpec;
    readonly options: SessionOptions;
  }
  | { readonly type: "load"; readonly step: number }
  | { readonly type: "attach"; readonly shape: LabeledImages["shape"]; readonly count: number }
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
 * What fails where ranks do not wait for each other is rank 0's to report; the rest is thrown.
 */
export async function follow(world: World): Promise<void> {
  let member: Member | undefined;
  let data: LabeledImages[] = [];
  for (;;) {
    const { fields: command, parts } = hear<Command>(world);
    if (command.type === "end") return;
    try {
      switch (command.type) {
        case "open": {
          const shared = { ...command, model: modelOf(command.model) };
          const session = await together(world, () => openPart(world, shared));
          member = new Member(world, session);
          break;
        }
        case "load": {
          const [parameters, ...slots] = parts.map((part) => new Float32Array(part));
          const state = { parameters, slots, step: command.step };
          await together(world, () => member!.session.loadState(state));
          break;
        }
        case "attach": {
          const [images, labels] = parts.map((part) => new Uint8Array(part));
          const added = { images, labels, shape: command.shape, count: command.count };
          data.push(added);
          await together(world, () => member!.session.attach(added));
          break;
        }
        case "train": {
          const [order, learningRates] = parts;
          await member!.train(data[command.id], {
            order: new Uint32Array(order),
            batchSize: command.batchSize,
            learningRates: new Float32Array(learningRates),
          });
          await member!.findStrays();
          break;
        }
        case "evaluate":
          await member!.evaluate(data[command.id]);
          break;
        case "close":
          await member?.session[Symbol.asyncDispose]();
          member = undefined;
          data = [];
      }
    } catch (error) {
      const known = error instanceof RankError ||
        ["open", "load", "attach"].includes(command.type);
      if (!known) throw error;
    }
  }
}
