/** The float64 reference against central differences, and against known answers. */

import { lossAndGradients, type TrainingBatch } from "../../src/backends/reference/network.ts";
import { updateParameters } from "../../src/backends/reference/optimizer.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import { createRandom } from "../../src/random.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { caseModel, PARITY_CASES, randomImages } from "../parity/cases.ts";

const STEP = 1e-5;
const CHECKED_PARAMETERS = 40;

for (const parityCase of PARITY_CASES) {
  Deno.test(`gradients equal central differences: ${parityCase.name}`, () => {
    const model = caseModel(parityCase);
    const data = randomImages(model, 3, 1);
    const batch: () => TrainingBatch = () => ({
      images: Float64Array.from(data.images, (p) => p / 255),
      labels: data.labels,
      ...{ mode: "train", batchSize: data.count, seed: 4, step: 5, sum() {} },
      indices: Uint32Array.from({ length: data.count }, (_, n) => n),
      statistics: Float64Array.from(initialStatistics(model)),
    });
    const parameters = Float64Array.from(initialParameters(model, 2));
    const { gradients } = lossAndGradients(model, parameters, batch());
    const random = createRandom(3, "choice");
    const meanLoss = (index: number, change: number) => {
      const changed = parameters.slice();
      changed[index] += change;
      return lossAndGradients(model, changed, batch()).losses.reduce((sum, loss) => sum + loss, 0) /
        data.count;
    };
    let checked = 0;
    for (let trial = 0; trial < CHECKED_PARAMETERS; trial++) {
      const index = random.below(model.parameterCount);
      const tensor = model.parameters.findLast(({ offset }) => offset <= index)!;
      if (!tensor.trained) {
        assertEquals(gradients[index], 0);
        continue;
      }
      const [above, here, below] = [STEP, 0, -STEP].map((change) => meanLoss(index, change));
      // Where the slopes of both sides differ, a relu or a maximum switches within the step.
      if (Math.abs((above - here) - (here - below)) > 1e-3 * STEP) continue;
      const tolerance = 1e-7 * Math.max(1, Math.abs(gradients[index]));
      assertAlmostEquals(gradients[index], (above - below) / (2 * STEP), tolerance);
      checked++;
    }
    assert(checked > CHECKED_PARAMETERS / 5, `only ${checked} parameters could be checked`);
  });
}

Deno.test("momentum adds to the velocity before the update, as PyTorch's SGD", () => {
  const [parameters, velocity] = [Float64Array.of(1), Float64Array.of(0)];
  const gradients = Float64Array.of(0.5);
  for (const step of [1, 2]) {
    updateParameters(
      { type: "sgd", momentum: 0.9 },
      { parameters, gradients, slots: [velocity] },
      { learningRate: 0.1, step },
    );
  }
  assertAlmostEquals(velocity[0], 0.95, 1e-12); // 0.5, then 0.9 * 0.5 + 0.5
  assertAlmostEquals(parameters[0], 1 - 0.1 * 0.5 - 0.1 * 0.95, 1e-12);
});

Deno.test("Adam's first update has the size of the learning rate", () => {
  const parameters = Float64Array.of(1, 1);
  updateParameters(
    { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    {
      parameters,
      gradients: Float64Array.of(1e-3, -40),
      slots: [new Float64Array(2), new Float64Array(2)],
    },
    { learningRate: 0.01, step: 1 },
  );
  assertAlmostEquals(parameters[0], 0.99, 1e-6);
  assertAlmostEquals(parameters[1], 1.01, 1e-6);
});
