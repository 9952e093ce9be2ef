/** Networks that PyTorch is given as expressions compute what the reference does. */

import { Oracle } from "../../src/compare/agreement.ts";
import type { ComparisonPlan } from "../../src/compare/plan.ts";
import { startPeers } from "../../src/compare/peers.ts";
import { torchGroups, torchModel, torchOptimizer } from "../../src/formats/pytorch.ts";
import { initialParameters } from "../../src/nn/init.ts";
import {
  batchNorm1d,
  batchNorm2d,
  conv2d,
  flatten,
  globalAvgPool2d,
  leakyRelu,
  linear,
  maxPool2d,
  relu,
  residual,
  tanh,
} from "../../src/nn/layers.ts";
import { completeOptimizer } from "../../src/nn/optimizers.ts";
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { MODEL_NAMES, zooModel } from "../../src/nn/zoo.ts";
import { assertEquals, assertMatch } from "../assert.ts";
import { canRunCommands } from "../cli/command.ts";
import { granted } from "../permissions.ts";
import { randomImages } from "./cases.ts";

/** Debian's own Python, which its package python3-torch serves. */
const PYTHON = "/usr/bin/python3";
const canRun = canRunCommands() && granted({ name: "run", command: PYTHON });

const block = sequential([
  conv2d({ outChannels: 3, kernelSize: [3, 2], stride: [2, 1], padding: [1, 0] }),
  residual([conv2d({ outChannels: 5, kernelSize: 3, padding: 1 }), tanh()], [
    conv2d({ outChannels: 5, kernelSize: 1 }),
  ]),
  residual([relu()]),
  maxPool2d({ poolSize: [2, 1], stride: [1, 2] }),
  flatten(),
  linear({ outFeatures: 4 }),
], { name: "block", inputShape: [2, 9, 8] });
const norm = sequential([
  conv2d({ outChannels: 6, kernelSize: 3, padding: 1, bias: false }),
  batchNorm2d(),
  leakyRelu(0.1),
  conv2d({ outChannels: 6, kernelSize: 3, groups: 2 }),
  maxPool2d({ poolSize: 3, stride: 2, padding: 1 }),
  residual([conv2d({ outChannels: 6, kernelSize: 3, padding: 1, bias: false }), batchNorm2d()]),
  globalAvgPool2d(),
  flatten(),
  linear({ outFeatures: 8, bias: false }),
  batchNorm1d(),
  linear({ outFeatures: 3 }),
], { name: "norm", inputShape: [2, 9, 8] });

function planOf(model: Model): ComparisonPlan {
  const classNames = Array.from({ length: model.classCount }, (_, label) => `${label}`);
  const data = { train: randomImages(model, 24, 1), test: randomImages(model, 8, 2) };
  return {
    ...{ model, batchSize: 4, learningRate: 0.05, seed: 1, repeats: 1, budgetMs: 1, threads: 1 },
    dataset: { name: "noise", classNames, ...data, digest: "" },
    parameters: initialParameters(model, 1),
  };
}

const stack = new AsyncDisposableStack();
const [peer] = canRun ? await startPeers(["pytorch"], stack) : [];
const isThere = peer?.description !== undefined;

for (const model of [block, norm, ...MODEL_NAMES.map((name) => zooModel(name))]) {
  Deno.test({
    name: `PyTorch trains ${model.name} from its layers as the reference does` +
      (canRun && !isThere ? " (install it: apt-get install python3-torch)" : ""),
    ignore: !isThere,
    sanitizeOps: false, // the process serves all tests
    sanitizeResources: false,
    async fn() {
      const plan = planOf(model);
      await using session = await peer.open(plan);
      const agreement = await new Oracle().judge(peer, session, { plan });
      assertEquals(agreement.verdict, "agrees", JSON.stringify(agreement));
      await session.load(plan.parameters);
      assertEquals(await session.readParameters(), plan.parameters);
      const { accuracy } = await session.evaluate(8);
      assertEquals(8 * accuracy, Math.round(8 * accuracy));
    },
  });
}

Deno.test("PyTorch is given layers with their names, and an optimiser's constants", () => {
  const lines = torchModel(block.specs, block.inputShape).split("\n");
  assertEquals(
    lines.slice(0, 4),
    [
      "nn.Sequential(OrderedDict([",
      '    ("0", nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0))),',
      '    ("1", Residual(nn.Sequential(OrderedDict([',
      '        ("0", nn.Conv2d(3, 5, 3, padding=1)),',
    ],
  );
  const adam = completeOptimizer({ type: "adam" });
  assertEquals(
    torchOptimizer(adam, "0.5"),
    "Adam(groups, lr=0.5, betas=(0.9, 0.999), eps=1e-8)",
  );
  assertEquals(torchGroups(adam), "model.parameters()");
  const sgd = completeOptimizer({ type: "sgd", momentum: 0.9, weightDecay: 0.1, nesterov: true });
  assertMatch(torchOptimizer(sgd, "RATE"), /^SGD\(groups, lr=RATE, momentum=0\.9, nesterov=True\)/);
  assertMatch(
    torchGroups(sgd),
    /dim\(\) > 1\], "weight_decay": 0\.1\}[^]*<= 1\], "weight_decay": 0\}/,
  );
});

globalThis.addEventListener("unload", () => void stack.disposeAsync());
