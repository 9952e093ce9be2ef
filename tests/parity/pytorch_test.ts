import { loadBackend } from "../../src/backends/registry.ts";
import { loadDataset } from "../../src/data/load.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import {
  avgPool2d,
  batchNorm1d,
  batchNorm2d,
  conv2d,
  dropout,
  flatten,
  leakyRelu,
  linear,
  maxPool2d,
  residual,
} from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { lenet, zooModel } from "../../src/nn/zoo.ts";
import { countCorrect } from "../../src/train/metrics.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { canRunCommands, linesOf, ROOT } from "../cli/command.ts";
import { readTorchStage } from "../fixtures/torch.ts";
import { granted } from "../permissions.ts";
import { randomlyLearned } from "../random_models.ts";
import { withTempDir } from "../temp.ts";

/** Debian's own Python, which its package python3-torch serves. */
const PYTHON = "/usr/bin/python3";
const canRun = canRunCommands() && granted({ name: "run", command: PYTHON });
const isInstalled = canRun && await hasTorch();

/** Layers that no model of the zoo has. */
const OTHERS = sequential([
  conv2d({ name: "start", outChannels: 4, kernelSize: 3, stride: 2, bias: false }),
  batchNorm2d({ momentum: 0.3, eps: 1e-3 }),
  leakyRelu(0.2),
  maxPool2d({ poolSize: 3, stride: 2, padding: 1 }),
  conv2d({ outChannels: 8, kernelSize: 3, padding: 1, groups: 4 }),
  avgPool2d({ poolSize: 2, padding: 1 }),
  flatten(),
  dropout(0.3),
  residual([linear({ outFeatures: 20, bias: false }), batchNorm1d()], [
    linear({ outFeatures: 20 }),
  ]),
  linear({ outFeatures: 10 }),
], { name: "others" });

Deno.test({
  name:
    "PyTorch loads exported safetensors into its modules: the same predictions, loss, accuracy" +
    (canRun && !isInstalled ? " (install it: apt-get install python3-torch)" : ""),
  ignore: !isInstalled,
  fn: () =>
    withTempDir(async (folder) => {
      const { after10 } = await readTorchStage("epoch5");
      const other = zooModel("lenet-relu", { standardization: { mean: 0.286, std: 0.353 } });
      const models: TrainedModel[] = [
        { model: lenet(), parameters: after10 },
        ...[other, OTHERS, ...(["lenet-bn", "resnet8"] as const).map((name) => zooModel(name))]
          .map((model) => ({ model, ...randomlyLearned(model, 3) })),
      ];
      const { test } = await loadDataset("sample");
      const paths = models.map((_, n) => `${folder}/${n}.safetensors`);
      for (const [n, trained] of models.entries()) {
        await Deno.writeFile(paths[n], encodeSafetensorsModel(trained));
      }
      const { code, stdout, stderr } = await new Deno.Command(PYTHON, {
        args: [`${ROOT}bench/peers/pytorch_eval.py`, ...paths, `${ROOT}data/sample`],
      }).output();
      assert(code === 0, new TextDecoder().decode(stderr));
      const lines = linesOf(new TextDecoder().decode(stdout));
      assertEquals(lines.length, models.length);
      for (const [n, { model, parameters, statistics }] of models.entries()) {
        const torch = JSON.parse(lines[n]);
        const backend = await loadBackend("wasm");
        const optimizer = { type: "sgd", momentum: 0 } as const;
        await using session = await backend.open(model, { optimizer, batchSize: 1 });
        await session.loadState({ parameters, statistics, slots: [], step: 0 });
        await session.attach(test);
        const { loss, predictions } = await session.evaluate(test);
        assertEquals(torch.predictions, [...predictions]);
        assertEquals(torch.accuracy, countCorrect(predictions, test.labels) / test.count);
        assertAlmostEquals(torch.loss, loss, 1e-5);
        if (model.name === "lenet") assert(torch.accuracy > 0.75, `accuracy ${torch.accuracy}`);
      }
    }),
});

async function hasTorch(): Promise<boolean> {
  const find = "import importlib.util as i, sys; sys.exit(i.find_spec('torch') is None)";
  try {
    return (await new Deno.Command(PYTHON, { args: ["-c", find] }).output()).success;
  } catch {
    return false;
  }
}
