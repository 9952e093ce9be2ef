import { loadBackend } from "../../src/backends/registry.ts";
import { loadDataset } from "../../src/data/load.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import type { TrainedModel } from "../../src/formats/trained_model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { lenet, zooModel } from "../../src/nn/zoo.ts";
import { countCorrect } from "../../src/train/metrics.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { canRunCommands, ROOT } from "../cli/command.ts";
import { readTorchStage } from "../fixtures/torch.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";

/** Debian's own Python, which its package python3-torch serves. */
const PYTHON = "/usr/bin/python3";
const canRun = canRunCommands() && granted({ name: "run", command: PYTHON });
const isInstalled = canRun && await hasTorch();

Deno.test({
  name:
    "PyTorch loads exported safetensors into nn.Sequential: the same predictions, loss, accuracy" +
    (canRun && !isInstalled ? " (install it: apt-get install python3-torch)" : ""),
  ignore: !isInstalled,
  fn: () =>
    withTempDir(async (folder) => {
      const { after10 } = await readTorchStage("epoch5");
      const other = zooModel("lenet-relu", { standardization: { mean: 0.286, std: 0.353 } });
      const models: TrainedModel[] = [
        { model: lenet(), parameters: after10 },
        { model: other, parameters: initialParameters(other, 3) },
      ];
      const { test } = await loadDataset("sample");
      for (const trained of models) {
        const { model, parameters, statistics } = trained;
        const path = `${folder}/${model.name}.safetensors`;
        await Deno.writeFile(path, encodeSafetensorsModel(trained));
        const { code, stdout, stderr } = await new Deno.Command(PYTHON, {
          args: [`${ROOT}bench/peers/pytorch_eval.py`, path, `${ROOT}data/sample`],
        }).output();
        assert(code === 0, new TextDecoder().decode(stderr));
        const torch = JSON.parse(new TextDecoder().decode(stdout));

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
