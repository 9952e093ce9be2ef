/** Sessions that share a training are together what one session is. */

import type { SessionOptions } from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { avgPool2d, conv2d, flatten, linear, sigmoid, tanh } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";
import { largestRelativeDifference, randomImages } from "./cases.ts";

const model = sequential([
  conv2d({ outChannels: 3, kernelSize: 3 }),
  sigmoid(),
  avgPool2d({ poolSize: 2 }),
  flatten(),
  linear({ outFeatures: 7 }),
  tanh(),
  linear({ outFeatures: 3 }),
], { inputShape: [1, 8, 8] });

const optimizer = { type: "sgd", momentum: 0 } as const;

for (const name of ["wasm"] as const) {
  Deno.test({
    name: `${name}: shards add up to the whole step`,
    ignore: !granted({ name: "read" }),
    async fn() {
      for (const [batchSize, count] of [[300, 1], [300, 2], [29, 3], [3, 5]]) {
        const data = randomImages(model, batchSize, 6);
        const step = async (shard: SessionOptions["shard"]) => {
          const backend = await loadBackend(name);
          await using session = await backend.open(model, {
            optimizer,
            batchSize,
            threads: 2,
            shard,
          });
          await session.loadState({
            parameters: initialParameters(model, 1),
            slots: [],
            step: 0,
          });
          await session.attach(data);
          const { losses, corrects } = await session.train(data, {
            order: Uint32Array.from(data.labels.keys()),
            batchSize,
            learningRates: Float32Array.of(0.5),
          });
          return { loss: losses[0], correct: corrects[0], ...await session.readState() };
        };
        const whole = await step(undefined);
        // One after the other, each session first leaves its gradients, then gets their sum.
        const sum = new Float32Array(model.parameterCount);
        let loss = 0, correct = 0;
        for (let index = 0; index < count; index++) {
          const part = await step({
            index,
            count,
            sumGradients: (gradients) => gradients.forEach((value, i) => sum[i] += value),
          });
          loss += part.loss;
          correct += part.correct;
        }
        assertAlmostEquals(loss, whole.loss, 1e-5);
        assertEquals(correct, whole.correct);
        const { parameters } = await step({
          index: count - 1,
          count,
          sumGradients: (gradients) => gradients.set(sum),
        });
        const difference = largestRelativeDifference(model, parameters, whole.parameters);
        assert(difference < 1e-5, `parameters differ by ${difference}`);
      }
    },
  });
}
