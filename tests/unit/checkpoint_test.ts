/** Checkpoints and run folders on a real disk: exact round trips, and damage that is noticed. */
import fc from "fast-check";
import { decodeSafetensors, encodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { encodeSafetensorsModel } from "../../src/formats/safetensors/model.ts";
import { initialParameters } from "../../src/nn/init.ts";
import { modelOf, specOf } from "../../src/nn/model_spec.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { readBounded } from "../../src/read_bounded.ts";
import { parseRunConfig, type RunConfig } from "../../src/run/config.ts";
import { claimFolder, requireVacant } from "../../src/run/files.ts";
import { readMetrics, RunFolder } from "../../src/run/folder.ts";
import {
  decodeCheckpoint,
  encodeCheckpoint,
  readCheckpoint,
  type SavedCheckpoint,
} from "../../src/run/checkpoint.ts";
import { type Checkpoint, type EpochMetrics, NOT_STARTED } from "../../src/train/progress.ts";
import { writeAtomic } from "../../src/write_atomic.ts";
import { flatten, type LayerSpec, linear } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { sha256Hex } from "../../src/sha256.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { canUseTemp, namesIn, withTempDir } from "../temp.ts";

Deno.test("layers that are called like optimiser memory come back from a checkpoint", () => {
  const layers = [flatten(), linear({ name: "slot0", outFeatures: 4 })];
  const last = linear({ name: "slot1", outFeatures: 3 });
  for (const specs of [[...layers, linear({ outFeatures: 3 })], [...layers, last]]) {
    const model = sequential(specs, { inputShape: [1, 2, 2] });
    const [parameters, ...slots] = [1, 2, 3].map((seed) => initialParameters(model, seed));
    const saved = { ...SAVED, state: { parameters, slots, step: 5 } };
    const bytes = encodeCheckpoint(model, saved);
    assertEquals(decodeCheckpoint(bytes, "checkpoint", model), saved);
    // As version 0.1 named them.
    const { tensors, metadata: { sha256: _, ...metadata } } = decodeSafetensors(
      bytes,
      "checkpoint",
    );
    const old = new Map([...tensors].map(([name, tensor]) => [name.replace(/^.*:/, ""), tensor]));
    const sha256 = sha256Hex(encodeSafetensors({ tensors: old, metadata }));
    const written = encodeSafetensors({ tensors: old, metadata: { ...metadata, sha256 } });
    assertEquals(decodeCheckpoint(written, "checkpoint", model), saved);
  }
});

const ignore = !canUseTemp();
const MODEL = zooModel("softmax", { inputShape: [1, 2, 2], classCount: 3 });

const CHECKPOINT: Checkpoint = {
  state: {
    parameters: initialParameters(MODEL, 1),
    slots: [initialParameters(MODEL, 2), initialParameters(MODEL, 3)],
    step: 5,
  },
  progress: {
    epochsDone: 1,
    step: 5,
    partial: { steps: 2, images: 8, lossSum: 17.123456789012345, correct: 3, trainMs: 12.5 },
    bestAccuracy: 1 / 3,
  },
};

const SAVED: SavedCheckpoint = { ...CHECKPOINT, configuration: { "plan.seed": 3 } };

const CONFIG: RunConfig = {
  started: "2026-01-02T03:04:05.000Z",
  model: specOf(MODEL),
  dataset: {
    name: "sample",
    digest: "00",
    trainCount: 11,
    testCount: 7,
    classNames: ["a", "b", "c"],
  },
  plan: {
    epochs: 2,
    batchSize: 4,
    learningRate: 0.1,
    schedule: "constant",
    seed: 0,
    shuffle: true,
  },
  optimizer: { type: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  init: { type: "normal", standardDeviation: 0.01 },
  backend: "reference",
  device: { kind: "cpu", description: "float64 TypeScript", threads: 1, software: false },
  environment: {
    lenet: "0.1.0",
    deno: "2.9.6",
    v8: "15.0",
    os: "linux",
    arch: "x86_64",
    cpu: "unknown",
    cores: 2,
  },
};

function metricsOf(epoch: number): EpochMetrics {
  return {
    epoch,
    step: 3 * epoch,
    trainLoss: 1,
    trainAccuracy: 0.5,
    testLoss: 1,
    testAccuracy: 0.5,
    trainMs: 10,
    evalMs: 1,
    imagesPerSecond: 1100,
  };
}

Deno.test({
  name: "a checkpoint comes back bit for bit, optimiser memory and progress included",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const path = `${folder}/checkpoint.safetensors`;
      await writeAtomic(path, encodeCheckpoint(MODEL, SAVED));
      assertEquals(await readCheckpoint(path, MODEL), SAVED);
      const state = { ...CHECKPOINT.state, slots: [] };
      const plain = { state, progress: NOT_STARTED, configuration: null };
      await writeAtomic(path, encodeCheckpoint(MODEL, plain));
      assertEquals(await readCheckpoint(path, MODEL), plain);
      assertEquals(await namesIn(folder), ["checkpoint.safetensors"]);
    }),
});

Deno.test({
  name: "a damaged checkpoint is a SyntaxError or a TypeError that names the file",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const path = `${folder}/checkpoint.safetensors`;
      await writeAtomic(path, encodeCheckpoint(MODEL, SAVED));
      const whole = await Deno.readFile(path);
      const damage = fc.record({
        at: fc.nat({ max: whole.length - 1 }),
        byte: fc.integer({ min: 1, max: 255 }),
        length: fc.oneof(fc.constant(whole.length), fc.nat({ max: whole.length })),
      });
      const check = async ({ at, byte, length }: { at: number; byte: number; length: number }) => {
        const bytes = whole.slice(0, length);
        if (at < length) bytes[at] ^= byte;
        await Deno.writeFile(path, bytes);
        try {
          // White space and the like may change; nothing that counts may.
          assertEquals(await readCheckpoint(path, MODEL), SAVED);
        } catch (error) {
          assert(error instanceof SyntaxError || error instanceof TypeError, String(error));
          assert(error.message.includes(path), error.message);
        }
      };
      await fc.assert(fc.asyncProperty(damage, check), { seed: 1998, numRuns: 500 });
    }),
});

Deno.test({
  name: "files that are no checkpoint of the model are refused with what to do",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const path = `${folder}/file.safetensors`;
      const { parameters } = CHECKPOINT.state;
      const trained = { model: MODEL, parameters, classNames: ["a", "b", "c"] };
      await writeAtomic(path, encodeSafetensorsModel(trained));
      const noProgress = "holds no training progress; use it with --init instead";
      await assertRejects(() => readCheckpoint(path, MODEL), SyntaxError, noProgress);
      await writeAtomic(path, encodeCheckpoint(MODEL, SAVED));
      await assertRejects(() => readCheckpoint(path, zooModel("softmax")), TypeError, "must be [");
      const { tensors } = decodeSafetensors(await Deno.readFile(path), path);
      const { partial: _, ...incomplete } = CHECKPOINT.progress;
      for (const progress of [incomplete, { ...CHECKPOINT.progress, step: -1 }, null, 3]) {
        const metadata = { updates: "5", progress: JSON.stringify(progress) };
        await Deno.writeFile(path, encodeSafetensors({ tensors, metadata }));
        await assertRejects(() => readCheckpoint(path, MODEL), SyntaxError, noProgress);
      }
      await assertRejects(() => readCheckpoint(`${folder}/none`, MODEL), Deno.errors.NotFound);
    }),
});

Deno.test({
  name: "a file too large to be a checkpoint is not read",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const path = `${folder}/large`;
      await Deno.writeFile(path, new Uint8Array());
      await Deno.truncate(path, 2 ** 29 + 1); // sparse: takes no room on the disk
      await assertRejects(() => readBounded(path), RangeError, "it has 536870913 bytes, more than");
    }),
});

Deno.test({
  name: "a model's file can rebuild the model it holds",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const path = `${folder}/model.safetensors`;
      const { parameters } = CHECKPOINT.state;
      const trained = { model: MODEL, parameters, classNames: ["a", "b", "c"] };
      await writeAtomic(path, encodeSafetensorsModel(trained));
      const { metadata } = decodeSafetensors(await Deno.readFile(path), path);
      const { classNames, ...description } = JSON.parse(metadata.lenet);
      assertEquals(modelOf(description), MODEL);
      assertEquals([metadata.format, classNames.length], ["pt", 3]);
    }),
});

Deno.test({
  name:
    "a run folder can be gone on with from the start, and drops what its checkpoint has not seen",
  ignore,
  fn: () =>
    withTempDir(async (temporary) => {
      const path = `${temporary}/run`;
      const { state, progress } = CHECKPOINT;
      const folder = await RunFolder.create(path, CONFIG, { ...state, slots: [], step: 0 });
      const start = await RunFolder.open(path);
      assertEquals([start.config, start.checkpoint.progress], [CONFIG, NOT_STARTED]);

      await folder.logSteps(1, {
        steps: 3,
        losses: Float32Array.of(1, 2, 3),
        corrects: Uint32Array.of(1, 2, 3),
      });
      await folder.saveEpoch(metricsOf(1), { state, progress });
      // A crash after the second epoch's lines, of which the last is cut off, before its checkpoint.
      const append = { append: true };
      await Deno.writeTextFile(
        `${path}/metrics.jsonl`,
        JSON.stringify(metricsOf(2)) + "\n",
        append,
      );
      await Deno.writeTextFile(`${path}/steps.jsonl`, '{"step":6,"loss":1}\n{"step":7,"lo', append);

      const { config, checkpoint } = await RunFolder.open(path);
      assertEquals(checkpoint, CHECKPOINT);
      await Deno.writeTextFile(`${path}/model.safetensors.tmp-7`, "half", append);
      const { backend, device } = CONFIG;
      const resumption = { started: CONFIG.started, step: 5, backend, device };
      const plan = { ...config.plan, epochs: 4 };
      const changed = { ...config, plan };
      const again = await RunFolder.resume(path, { config: changed, checkpoint, resumption });
      assertEquals(again.history, [metricsOf(1)]);
      assert(!(await namesIn(path)).includes("model.safetensors.tmp-7"), "it is still there");
      assertEquals(await readMetrics(path), [metricsOf(1)]);
      const steps = (await Deno.readTextFile(`${path}/steps.jsonl`)).trim().split("\n");
      assertEquals(steps.map((line) => JSON.parse(line)), [
        { step: 1, loss: 1, correct: 1, batchSize: 4 },
        { step: 2, loss: 2, correct: 2, batchSize: 4 },
        { step: 3, loss: 3, correct: 3, batchSize: 3 },
      ]);
      const recorded = JSON.parse(await Deno.readTextFile(`${path}/config.json`));
      assertEquals([recorded.plan.epochs, recorded.resumed], [4, [resumption]]);
      await assertRejects(
        () => RunFolder.create(path, CONFIG, state),
        TypeError,
        `Cannot start in ${path}: it holds `,
      );
    }),
});

Deno.test({
  name: "where a checkpoint is damaged or gone, the one before it is used, and kept",
  ignore,
  fn: () =>
    withTempDir(async (temporary) => {
      const path = `${temporary}/run`;
      const newest = `${path}/checkpoint.safetensors`;
      const { state, progress } = CHECKPOINT;
      const folder = await RunFolder.create(path, CONFIG, { ...state, slots: [], step: 0 });
      await folder.saveEpoch(metricsOf(1), CHECKPOINT);
      await folder.saveCheckpoint({ state, progress: { ...progress, step: 6 } });
      assertEquals((await RunFolder.open(path)).damage, undefined);

      const whole = await Deno.readFile(newest);
      const damaged = whole.slice();
      damaged[damaged.length - 3] ^= 1; // a bit of the last number
      await Deno.writeFile(newest, damaged);
      const { damage, ...found } = await RunFolder.open(path);
      assertEquals([found.checkpoint, damage], [CHECKPOINT, "checkpoint.safetensors is damaged"]);
      await Deno.remove(newest);
      assertEquals((await RunFolder.open(path)).damage, "There is no checkpoint.safetensors");

      await Deno.writeFile(newest, damaged);
      const { backend, device } = CONFIG;
      const resumption = { started: CONFIG.started, step: 5, backend, device };
      const again = await RunFolder.resume(path, { ...found, damage, resumption });
      assertEquals((await RunFolder.open(path)).damage, undefined);
      // However the next saving ends, there is a good checkpoint.
      await again.saveCheckpoint({ state, progress: { ...progress, step: 7 } });
      await Deno.writeFile(newest, damaged);
      assertEquals((await RunFolder.open(path)).checkpoint, CHECKPOINT);
      await Deno.writeFile(`${path}/checkpoint.previous.safetensors`, damaged);
      await assertRejects(() => RunFolder.open(path), SyntaxError, "checksum does not match");
    }),
});

Deno.test({
  name: "metrics that lack an epoch of the checkpoint, or have one twice, are not gone on with",
  ignore,
  fn: () =>
    withTempDir(async (temporary) => {
      const path = `${temporary}/run`;
      const { state, progress } = CHECKPOINT;
      const folder = await RunFolder.create(path, CONFIG, { ...state, slots: [], step: 0 });
      await folder.saveEpoch(metricsOf(1), { state, progress: { ...progress, epochsDone: 2 } });
      const run = await RunFolder.open(path);
      const { backend, device } = CONFIG;
      const resumption = { started: CONFIG.started, step: 5, backend, device };
      const before = await namesIn(path);
      const cases: [number[], string][] = [
        [[], "found none; put the file back, or start a new run with --init"],
        [[1], "metrics.jsonl must hold epochs 1 to 2 in order, found 1; put"],
        [[2, 1], "found 2, 1;"],
        [[1, 1, 2, 3], "found 1, 1, 2;"],
      ];
      for (const [epochs, expected] of cases) {
        const lines = epochs.map((epoch) => JSON.stringify(metricsOf(epoch)) + "\n").join("");
        await Deno.writeTextFile(`${path}/metrics.jsonl`, lines);
        await assertRejects(
          () => RunFolder.resume(path, { ...run, resumption }),
          TypeError,
          expected,
        );
        assertEquals(await Deno.readTextFile(`${path}/metrics.jsonl`), lines);
      }
      assertEquals(await namesIn(path), before);
    }),
});

Deno.test({
  name: "a checkpoint that was made with another configuration is refused by the field",
  ignore,
  fn: () =>
    withTempDir(async (temporary) => {
      const path = `${temporary}/run`;
      await RunFolder.create(path, CONFIG, { ...CHECKPOINT.state, slots: [], step: 0 });
      const { plan, dataset } = CONFIG;
      const cases: [Partial<RunConfig>, string][] = [
        [{ plan: { ...plan, seed: 1 } }, "with plan.seed 0, config.json says 1; put"],
        [{ plan: { ...plan, learningRate: 1 } }, "with plan.learningRate 0.1, config.json says 1"],
        [{ dataset: { ...dataset, digest: "01" } }, 'dataset.digest "00", config.json says "01"'],
        [{ optimizer: { type: "sgd", momentum: 0 } }, 'with optimizer {"type":"adam"'],
        [{ loss: { labelSmoothing: 0.1 } }, "with loss nothing, config.json says {"],
        [{ clipNorm: 2 }, "with clipNorm nothing, config.json says 2"],
        [{ plan: { ...CONFIG.plan, warmup: 1 } }, "with plan.warmup nothing, config.json says 1"],
        [{ model: { ...CONFIG.model, name: "mine" } }, 'with model {"name":"softmax"'],
      ];
      for (const [change, reason] of cases) {
        await Deno.writeTextFile(`${path}/config.json`, JSON.stringify({ ...CONFIG, ...change }));
        await assertRejects(() => RunFolder.open(path), TypeError, reason);
      }
      const longer = { ...CONFIG, plan: { ...plan, epochs: 9, targetAccuracy: 0.5 } };
      await Deno.writeTextFile(`${path}/config.json`, JSON.stringify(longer));
      assertEquals((await RunFolder.open(path)).config, longer);
    }),
});

Deno.test({
  name:
    "a configuration whose layers make no model, or whose names are not its classes', is refused",
  ignore,
  fn: () =>
    withTempDir(async (temporary) => {
      const path = `${temporary}/run`;
      await RunFolder.create(path, CONFIG, { ...CHECKPOINT.state, slots: [], step: 0 });
      const { model, dataset } = CONFIG;
      const layers: LayerSpec[] = [{ type: "flatten" }, { type: "linear", outFeatures: 1e9 }];
      const cases: [Partial<RunConfig>, string][] = [
        [{ model: { ...model, layers } }, 'invalid outFeatures of linear "1": expected a whole'],
        [{ dataset: { ...dataset, classNames: ["a"] } }, "it has names for 1 classes, its model 3"],
      ];
      const file = `${path}/config.json`;
      for (const [change, reason] of cases) {
        await Deno.writeTextFile(file, JSON.stringify({ ...CONFIG, ...change }));
        const expected = `Cannot read ${file} as the configuration of a run: ${reason}`;
        await assertRejects(() => RunFolder.open(path), SyntaxError, expected);
      }
    }),
});

Deno.test({
  name: "a folder in which a start was killed is free; one that holds anything else is not",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await Deno.writeTextFile(`${folder}/checkpoint.safetensors`, "");
      await Deno.writeTextFile(`${folder}/checkpoint.previous.safetensors`, "");
      await Deno.writeTextFile(`${folder}/config.json.tmp-12`, "");
      await requireVacant(folder);
      await Deno.writeTextFile(`${folder}/notes.txt`, "");
      const { message } = await assertRejects(() => requireVacant(folder), TypeError);
      // There is no run that could be gone on with.
      assert(message.endsWith('it holds "notes.txt" already; choose another --out'), message);
    }),
});

Deno.test({
  name: "a folder is claimed by one at a time, and is free again once the claim has ended",
  ignore: ignore || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      {
        using _claim = await claimFolder(folder);
        await assertRejects(() => claimFolder(folder), TypeError, "another process is at work");
      }
      using _again = await claimFolder(folder);
      assertEquals(await namesIn(folder), []);
    }),
});

Deno.test({
  name: "a file that replaces another is written whole or not at all, also where the disk lies",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const [path, previous] = [`${folder}/file`, `${folder}/file.previous`];
      await writeAtomic(path, "first", { previous });
      await writeAtomic(path, "second", { previous });
      assertEquals(await Deno.readTextFile(previous), "first");
      using _lie = readingWrongly(path);
      await assertRejects(() => writeAtomic(path, "third", { previous }), Error, "Cannot save");
      assertEquals(await Deno.readTextFile(path), "second");
      assertEquals(await Deno.readTextFile(previous), "first");
      assertEquals(await namesIn(folder), ["file", "file.previous"]);
    }),
});

/** A disk that gives back a wrong byte of what is written for a file. */
function readingWrongly(path: string): Disposable {
  const { readFile } = Deno;
  Deno.readFile = async (file, options) => {
    const bytes = await readFile(file, options);
    if (String(file).startsWith(`${path}.tmp-`)) bytes[0] ^= 1;
    return bytes;
  };
  return {
    [Symbol.dispose]() {
      Deno.readFile = readFile;
    },
  };
}

Deno.test({
  name: "the best model is kept where a later one is worse",
  ignore,
  fn: () =>
    withTempDir(async (temporary) => {
      const path = `${temporary}/run`;
      const { state } = CHECKPOINT;
      const progress = { ...CHECKPOINT.progress, partial: NOT_STARTED.partial };
      const folder = await RunFolder.create(path, CONFIG, { ...state, slots: [], step: 0 });
      await folder.saveEpoch(metricsOf(1), { state, progress: { ...progress, bestAccuracy: 0.5 } });
      const best = await Deno.readFile(`${path}/best.safetensors`);
      assertEquals(best, await Deno.readFile(`${path}/model.safetensors`));
      await folder.saveEpoch({ ...metricsOf(2), testAccuracy: 0.4 }, {
        state: { ...state, parameters: initialParameters(MODEL, 8) },
        progress: { ...progress, bestAccuracy: 0.5 },
      });
      assertEquals(await Deno.readFile(`${path}/best.safetensors`), best);
      assert(
        (await Deno.readFile(`${path}/model.safetensors`)).some((byte, n) => byte !== best[n]),
      );
      // Where the loss decides, a lower one is better, whatever the accuracy.
      const byLoss = { ...progress, bestAccuracy: 0.5, bestLoss: 0.25, sinceBest: 0 };
      const third = { ...metricsOf(3), testAccuracy: 0.1, testLoss: 0.25 };
      await folder.saveEpoch(third, { state, progress: byLoss });
      assertEquals(await Deno.readFile(`${path}/best.safetensors`), best);
      const worse = { ...state, parameters: initialParameters(MODEL, 8) };
      const fourth = { ...metricsOf(4), testAccuracy: 0.9, testLoss: 0.5 };
      await folder.saveEpoch(fourth, { state: worse, progress: { ...byLoss, sinceBest: 1 } });
      assertEquals(await Deno.readFile(`${path}/best.safetensors`), best);
      const { checkpoint } = await RunFolder.open(path);
      assertEquals(checkpoint.progress, { ...byLoss, sinceBest: 1 });
      // At the end of a run with patience, it is the model.
      await folder.finish(state, true);
      assertEquals(await Deno.readFile(`${path}/model.safetensors`), best);
    }),
});

Deno.test("a run's configuration survives JSON, and one that is not is refused by its field", () => {
  const text = JSON.stringify(CONFIG);
  assertEquals(parseRunConfig(text, "config.json"), CONFIG);
  // Checkpoints hold parts of it: the order of names is among what makes two runs the same bytes.
  assertEquals(JSON.stringify(parseRunConfig(text, "config.json")), text);
  const cases: [unknown, string][] = [
    ["{", "it is not JSON"],
    ["null", "started is missing or out of range"],
    ["[]", "started is missing"],
    [{ ...CONFIG, model: null }, "model.name is missing"],
    [{ ...CONFIG, dataset: { ...CONFIG.dataset, classNames: "abc" } }, "dataset.classNames is"],
    ...["../private", "/etc", "a/../../b", "C:\\x", "..", "a\u001b[2J"].map((
      name,
    ): [unknown, string] => [
      { ...CONFIG, dataset: { ...CONFIG.dataset, name } },
      "dataset.name is missing or out of range: found ",
    ]),
    [{ ...CONFIG, plan: { ...CONFIG.plan, batchSize: 0 } }, "plan.batchSize is"],
    [{ ...CONFIG, plan: { ...CONFIG.plan, batchSize: 1e9 } }, "plan.batchSize is"],
    [{ ...CONFIG, plan: { ...CONFIG.plan, epochs: 1.5 } }, "plan.epochs is"],
    [{ ...CONFIG, plan: { ...CONFIG.plan, learningRate: "0.1" } }, "plan.learningRate is"],
    [{ ...CONFIG, plan: { ...CONFIG.plan, schedule: "constructor" } }, "plan.schedule is"],
    [{ ...CONFIG, plan: { ...CONFIG.plan, warmup: -1 } }, "plan.warmup is"],
    [{ ...CONFIG, plan: { ...CONFIG.plan, monitor: "f1" } }, "plan.monitor is"],
    [{ ...CONFIG, plan: { ...CONFIG.plan, patience: 0 } }, "plan.patience is"],
    [{ ...CONFIG, loss: { labelSmoothing: 1 } }, "loss.labelSmoothing is"],
    [{ ...CONFIG, loss: { classWeights: [1, -1, 1] } }, "loss.classWeights.1 is"],
    [{ ...CONFIG, clipNorm: 0 }, "clipNorm is"],
    [{ ...CONFIG, optimizer: { type: "sgd" } }, "optimizer is"],
    [{ ...CONFIG, backend: "__proto__" }, "backend is"],
    [{ ...CONFIG, device: { threads: 0 } }, "device.threads is"],
    [{ ...CONFIG, device: { threads: 1e9 } }, "device.threads is"],
  ];
  for (const [config, reason] of cases) {
    const text = typeof config === "string" ? config : JSON.stringify(config);
    const message = `Cannot read config.json as the configuration of a run: ${reason}`;
    assertThrows(() => parseRunConfig(text, "config.json"), SyntaxError, message);
  }
});
