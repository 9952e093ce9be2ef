/** Every backend against PyTorch on networks of all layers: gradients, ten steps, running statistics, and
 * logits by them. */

import type { BackendName } from "../../src/backends/backend.ts";
import { BackendUnavailableError } from "../../src/backends/backend.ts";
import { BACKEND_NAMES, loadBackend } from "../../src/backends/registry.ts";
import { decodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { fromTensors, statisticsFrom } from "../../src/formats/safetensors/state_dict.ts";
import {
  avgPool2d,
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
import { type Model, sequential } from "../../src/nn/sequential.ts";
import { assert, assertAlmostEquals } from "../assert.ts";
import { granted } from "../permissions.ts";
import { caseModel, largestRelativeDifference, PARITY_CASES } from "./cases.ts";

const convolution = (outChannels: number, kernelSize: number, stride = 1) =>
  conv2d({ outChannels, kernelSize, stride, padding: kernelSize >> 1, bias: false });

/** As `fixtures/torch_layers/make.py` writes them. */
const NETWORKS: Readonly<Record<string, Model>> = {
  residual: sequential([
    convolution(4, 3),
    batchNorm2d(),
    relu(),
    residual([convolution(4, 3), batchNorm2d(), relu(), convolution(4, 3), batchNorm2d()]),
    relu(),
    residual(
      [convolution(6, 3, 2), batchNorm2d(), relu(), convolution(6, 3), batchNorm2d()],
      [convolution(6, 1, 2), batchNorm2d()],
    ),
    relu(),
    globalAvgPool2d(),
    flatten(),
    linear({ outFeatures: 3 }),
  ], { inputShape: [2, 9, 8] }),
  mixed: sequential([
    batchNorm2d({ momentum: 0.3, eps: 1e-3 }),
    conv2d({ outChannels: 6, kernelSize: 3, groups: 3, padding: 1 }),
    leakyRelu(0.1),
    maxPool2d({ poolSize: 3, stride: 2, padding: 1 }),
    convolution(8, 1),
    batchNorm2d(),
    tanh(),
    avgPool2d({ poolSize: 2, padding: 1 }),
    flatten(),
    linear({ outFeatures: 7, bias: false }),
    batchNorm1d(),
    relu(),
    linear({ outFeatures: 3 }),
  ], { inputShape: [3, 8, 7] }),
};

const BATCH_SIZE = 4;
const STEPS = 10;
const LEARNING_RATE = 0.05;

for (const name of BACKEND_NAMES) {
  const ignore = !granted({ name: "read" }) || !await isAvailable(name);
  const tolerance = name === "reference" ? 2e-6 : 2e-4;
  for (const network of Object.keys(NETWORKS)) {
    Deno.test({
      name: `${name} equals PyTorch on ten steps of layers with statistics: ${network}`,
      ignore,
      fn: () => compare(name, network, tolerance),
    });
  }
}

async function compare(name: BackendName, network: string, tolerance: number): Promise<void> {
  const model = NETWORKS[network];
  const bytes = await Deno.readFile(
    new URL("../fixtures/torch_layers/layers.safetensors", import.meta.url),
  );
  const { tensors, metadata } = decodeSafetensors(bytes, "layers.safetensors");
  const part = (prefix: string) =>
    new Map(
      [...tensors].flatMap(([key, tensor]) =>
        key.startsWith(`${network}.${prefix}.`)
          ? [[key.slice(`${network}.${prefix}.`.length), tensor] as const]
          : []
      ),
    );
  const numbers = (key: string) => tensors.get(`${network}.${key}`)!.data;
  const labels = Uint8Array.from(numbers("labels"));
  const data = {
    images: Uint8Array.from(numbers("images")),
    labels,
    count: labels.length,
    shape: model.inputShape,
  };
  const optimizer = { type: "sgd", momentum: 0.9 } as const;
  const backend = await loadBackend(name);
  await using session = await backend.open(model, { optimizer, batchSize: BATCH_SIZE });
  await session.loadState({
    parameters: fromTensors(model, part("start"), "start"),
    statistics: statisticsFrom(model, part("start"), "start"),
    slots: [],
    step: 0,
  });
  await session.attach(data);
  const { gradients } = await session.gradients(data, Uint32Array.of(0, 1, 2, 3));
  const expectedGradients = fromTensors(model, part("gradients"), "gradients");
  const gradientError = largestRelativeDifference(model, gradients, expectedGradients);
  assert(gradientError <= tolerance, `gradients differ by ${gradientError}`);
  const losses: number[] = [];
  // Three batches an epoch, the last of 3 images; the tenth step is the first of the fourth epoch.
  for (const steps of [3, 3, 3, 1]) {
    const order = Uint32Array.from({ length: steps === 1 ? BATCH_SIZE : data.count }, (_, n) => n);
    const learningRates = new Float32Array(steps).fill(LEARNING_RATE);
    const result = await session.train(data, { order, batchSize: BATCH_SIZE, learningRates });
    losses.push(...result.losses);
  }
  const expectedLosses: number[] = JSON.parse(metadata.losses)[network];
  assert(losses.length === STEPS);
  losses.forEach((loss, step) =>
    assertAlmostEquals(loss, expectedLosses[step], 10 * tolerance, `loss of step ${step}`)
  );
  const { parameters, statistics } = await session.readState();
  const end = part("end");
  const parameterError = largestRelativeDifference(
    model,
    parameters,
    fromTensors(model, end, "end"),
  );
  assert(parameterError <= 10 * tolerance, `parameters differ by ${parameterError}`);
  const expected = statisticsFrom(model, end, "end")!;
  statistics!.forEach((value, n) =>
    assertAlmostEquals(value, expected[n], 10 * tolerance * Math.max(1, Math.abs(expected[n])))
  );
  const logits = await session.predict(data);
  numbers("eval.logits").forEach((logit, n) =>
    assertAlmostEquals(logits[n], logit, 20 * tolerance * Math.max(1, Math.abs(logit)))
  );
}

async function isAvailable(name: BackendName): Promise<boolean> {
  try {
    await using _session = await (await loadBackend(name)).open(caseModel(PARITY_CASES[0]));
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
