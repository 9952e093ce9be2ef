import type { LabeledImages } from "../../src/data/dataset.ts";
import { corr2d } from "../../src/nn/corr2d.ts";
import { initialParameters, initialStatistics } from "../../src/nn/init.ts";
import { conv2d, flatten, linear, maxPool2d, relu } from "../../src/nn/layers.ts";
import { freeze, type Model, sequential } from "../../src/nn/sequential.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { describeEnvironment } from "../../src/run/environment.ts";
import { html, htmlPage } from "../../src/report/html.ts";
import { type Ending, runReport, type RunReportInput } from "../../src/report/run_report.ts";
import { chartLines, liveChart } from "../../src/report/live_chart.ts";
import { featureMaps } from "../../src/report/run_report_features.ts";
import { answersFrom } from "../../src/report/run_report_results.ts";
import type { EpochMetrics } from "../../src/train/progress.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../assert.ts";

const HOSTILE = `"><script>alert(1)</script><img src=x onerror='alert(2)'>&`;

const MODEL = sequential([
  conv2d({ name: "conv1", outChannels: 2, kernelSize: 3, padding: 1 }),
  relu(),
  maxPool2d({ poolSize: 2 }),
  flatten(),
  linear({ name: "fc", outFeatures: 3 }),
], { inputShape: [1, 20, 20] });

function imagesFor({ inputShape, classCount }: Model, count: number): LabeledImages {
  const size = inputShape[0] * inputShape[1] * inputShape[2];
  return {
    images: Uint8Array.from({ length: count * size }, (_, n) => (n * n) % 253),
    labels: Uint8Array.from({ length: count }, (_, n) => n % classCount),
    count,
    shape: inputShape,
  };
}

function epochOf(epoch: number, change: Partial<EpochMetrics> = {}): EpochMetrics {
  return {
    epoch,
    step: 4 * epoch,
    trainLoss: 2 / epoch,
    trainAccuracy: 0.5,
    testLoss: 1.5,
    testAccuracy: 0.4,
    trainMs: 100,
    evalMs: 10,
    imagesPerSecond: 1000,
    ...change,
  };
}

async function reportOf(
  { ending = { outcome: "finished" }, name = "run", ...rest }: {
    ending?: Ending;
    name?: string;
    model?: Model;
    text?: string;
    history?: EpochMetrics[];
    trained?: false;
    testCount?: number;
    names?: readonly string[];
    learned?: true;
  } = {},
): Promise<string> {
  const { model = MODEL, text = "plain", history = [epochOf(1), epochOf(2)] } = rest;
  const test = { ...imagesFor(model, 30), ...(rest.names && { names: rest.names }) };
  const { classCount } = model;
  const logits = Float32Array.from(
    { length: 30 * classCount },
    (_, n) =>
      rest.learned
        ? Number(n % classCount === test.labels[Math.floor(n / classCount)])
        : (n * 7919) % 13,
  );
  const input: RunReportInput = {
    name,
    ending,
    model,
    history,
    test,
    config: {
      started: "2026-01-01T00:00:00.000Z",
      model: { name: text, inputShape: model.inputShape, layers: model.specs },
      dataset: {
        name: text,
        digest: text,
        trainCount: 16,
        testCount: rest.testCount ?? 30,
        classNames: Array.from({ length: model.classCount }, (_, k) => `${text}${k}`),
      },
      plan: {
        epochs: 5,
        batchSize: 4,
        learningRate: 0.2,
        schedule: "constant",
        seed: 0,
        shuffle: true,
      },
      optimizer: { type: "sgd", momentum: 0 },
      init: { type: "file", path: text, replaced: ["fc"] },
      ...(model.frozen.length > 0 && { frozen: model.frozen }),
      backend: "wasm",
      device: { kind: "cpu", description: text, threads: 2, software: false },
      environment: { ...describeEnvironment(), cpu: text },
    },
    ...(rest.trained !== false && {
      trained: {
        parameters: initialParameters(model, 1),
        statistics: initialStatistics(model),
        logits,
      },
    }),
  };
  return (await runReport(input)).replace(/\s+/g, " ");
}

Deno.test("values in a template are escaped, markup and lists of it are kept", () => {
  const list = ["<", html`<b>${"&"}</b>`];
  assertEquals(
    html`<p title="${"\"'"}">${list}${undefined}${1}</p>`.markup,
    '<p title="&quot;&#39;">&lt;<b>&amp;</b>1</p>',
  );
  assertStringIncludes(htmlPage(HOSTILE, html``), "<title>&quot;&gt;&lt;script&gt;alert(1)");
});

Deno.test("no name of a class, file, dataset or device can bring markup into a report", async () => {
  const page = await reportOf({
    name: HOSTILE,
    text: HOSTILE,
    ending: { outcome: "diverged", message: HOSTILE },
  });
  assert(page.split("&lt;script&gt;").length > 20, "the names are missing");
  assert(!/<script|<img src=x|onerror='/i.test(page), "markup got in");
});

Deno.test("a report has every part, runs nothing and loads nothing", async () => {
  const page = await reportOf();
  const parts = ["Learning curves", "Confusion", "Classes", "most wrong test image"];
  parts.push("First-layer filters", "Feature maps", "Model", "Configuration");
  for (const part of parts) assertStringIncludes(page, part);
  const urls = [...page.matchAll(/\b(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]*)/gi)];
  assert(urls.length > 20);
  assertEquals(urls.filter(([, url]) => !url.startsWith("data:image/png;base64,")), []);
  assert(!/<script|<link|<iframe|@import/i.test(page));
});

Deno.test("a report says how the run ended, and with how little it has to do", async () => {
  const one = [epochOf(1)];
  const interrupted = await reportOf({
    ending: { outcome: "interrupted", step: 6 },
    history: one,
  });
  assertStringIncludes(interrupted, "was interrupted after step 6 of 20");
  assertStringIncludes(interrupted, "One epoch was finished: each curve is a single point");
  const ending: Ending = { outcome: "diverged", message: "The loss became NaN at step 3" };
  const none = await reportOf({ ending, history: [], trained: false });
  assertStringIncludes(none, "The loss became NaN at step 3. No epoch was");
  assert(!none.includes("Confusion") && none.includes("Configuration"));
  const some = await reportOf({ ending, history: one });
  assertStringIncludes(some, "shows the model as it was after epoch 1");
  const limited = await reportOf({ ending: { outcome: "max steps reached", step: 9 } });
  assertStringIncludes(limited, "The run ended after step 9 of 20, as it was told to");
  assertStringIncludes(
    await reportOf({ testCount: 5_000 }),
    "of the first 30 of 5,000 test images",
  );
  assert(!(await reportOf({ learned: true })).includes('role="note"'));
});

Deno.test("numbers that are none do not get into a report", async () => {
  // JSON has no NaN: read back from metrics.jsonl it is null.
  const nothing = { testLoss: NaN, testAccuracy: null as unknown as number };
  const page = await reportOf({ history: [epochOf(1), epochOf(2, nothing)] });
  assertStringIncludes(page, "test loss not a number");
  assert(!page.includes("NaN") && !page.includes("undefined"));
});

Deno.test("models without a convolution, or with many classes, have a report of their own", async () => {
  const shape = { inputShape: [1, 4, 4] as const };
  const dense = await reportOf({
    model: sequential([flatten(), linear({ outFeatures: 3 })], shape),
  });
  assertStringIncludes(dense, "First-layer weights");
  assert(!dense.includes("Feature maps"));
  const many = await reportOf({
    model: sequential([flatten(), linear({ outFeatures: 200 })], shape),
  });
  assert(!many.includes('class="matrix"') && many.includes("Most often"));
});

Deno.test("feature maps are what each layer puts out, also where it is more than 256 numbers", () => {
  const parameters = initialParameters(MODEL, 3);
  const one = imagesFor(MODEL, 1);
  const maps = featureMaps(MODEL, { parameters, one });
  assertEquals(maps?.map(({ label, shape }) => [label, ...shape]), [
    ["conv1, relu", 2, 20, 20],
    ["maxPool2d 2", 2, 10, 10],
  ]);
  const [weight, bias] = MODEL.parameters;
  const padded = Array.from(
    { length: 22 },
    (_, y) =>
      Array.from(
        { length: 22 },
        (_, x) => y % 21 === 0 || x % 21 === 0 ? 0 : one.images[(y - 1) * 20 + x - 1] / 255,
      ),
  );
  for (const channel of [0, 1]) {
    const kernel = [0, 1, 2].map((
      row,
    ) => [...parameters.subarray(weight.offset + 9 * channel + 3 * row).subarray(0, 3)]);
    const expected = corr2d(padded, kernel).flat()
      .map((value) => Math.max(0, value + parameters[bias.offset + channel]));
    maps![0].values.subarray(400 * channel, 400 * (channel + 1))
      .forEach((value, n) => assertAlmostEquals(value, expected[n], 1e-5));
  }
});

Deno.test("feature maps of a residual network: what changes one layer's numbers is part of it", () => {
  const model = zooModel("resnet8", { inputShape: [3, 8, 8], classCount: 2 });
  const parameters = initialParameters(model, 3);
  const statistics = initialStatistics(model);
  const maps = featureMaps(model, { parameters, statistics, one: imagesFor(model, 1) });
  const labels = maps?.map(({ label }) => label);
  assertEquals(labels?.slice(0, 4), [
    "conv2d 0, batchNorm2d, relu",
    "conv2d 3.body.0, batchNorm2d, relu",
    "conv2d 3.body.3, batchNorm2d",
    "residual 3, relu",
  ]);
  assertEquals(labels?.slice(-2), ["residual 7, relu", "globalAvgPool2d 9"]);
  for (const { values, shape, label } of maps ?? []) {
    assertEquals(values.length, shape[0] * shape[1] * shape[2]);
    if (label.endsWith("relu")) assert(values.every((value) => value >= 0), label);
  }
});

Deno.test("a report shows batch norm, blocks, statistics, and what is frozen and was drawn anew", async () => {
  const inputShape = [3, 8, 8] as const;
  const model = freeze(zooModel("resnet8", { inputShape, classCount: 3 }), ["0", "3.body"]);
  const page = await reportOf({ model });
  const row = (name: string) => page.split("<tr").find((text) => text.includes(`>${name}<`)) ?? "";
  assertStringIncludes(row("3.body.1"), "batchNorm2d");
  assertStringIncludes(row("3.body.0"), "frozen");
  assert(!row("5.body.0").includes("frozen"));
  assertMatch(page, /\d running means and variances beside them/);
  assertStringIncludes(page, "First-layer filters");
  assertMatch(page, /plain, but fc drawn anew/);
  assertMatch(page, /Frozen<\/dt>\s*<dd>0, 3.body/);
  const depthwise = [conv2d({ outChannels: 3, kernelSize: 3, groups: 3 }), flatten()];
  const layers = [...depthwise, linear({ outFeatures: 3 })];
  assertMatch(await reportOf({ model: sequential(layers, { inputShape }) }), /alt="Output 2"/);
});

Deno.test("mistakes come with their loss, the highest first, and no exponential overflows", () => {
  const logits = Float32Array.of(1000, 0, 0, 5, 2, 2);
  const { predictions, mistakes } = answersFrom(logits, Uint8Array.of(1, 0, 1), 2);
  assertEquals([...predictions], [0, 1, 0]);
  assertEquals(mistakes.map(({ index, label, guess }) => [index, label, guess]), [
    [0, 1, 0],
    [1, 0, 1],
    [2, 1, 0],
  ]);
  assertEquals([mistakes[0].loss, mistakes[0].probability], [1000, 1]);
  assertAlmostEquals(mistakes[2].loss, Math.LN2, 1e-6);
});

Deno.test("a live chart fits its screen, and is left out where it cannot", () => {
  const history = Array.from({ length: 9 }, (_, n) => epochOf(n + 1));
  for (const [columns, rows] of [[40, 12], [80, 24], [300, 100]]) {
    const lines = chartLines(history, { columns, rows, color: false });
    assert(lines.length > 4 && lines.length <= rows - 2, `${lines.length} lines of ${rows}`);
    assert(lines.every((line) => line.length < columns), `${columns} columns`);
    assert(!lines.join("").includes("\x1b"));
  }
  const size = { columns: 80, rows: 24, color: true };
  assertEquals(chartLines(history, { ...size, rows: 8 }), []);
  assertEquals(chartLines(history, { ...size, columns: 20 }), []);
  assertEquals(chartLines(history.slice(0, 1), size), []);
  assert(chartLines([...history, epochOf(10, { testLoss: NaN })], size).length > 0);
  assert(chartLines([epochOf(2), epochOf(2)], size).length > 0, "a flat line");
});

Deno.test("a live chart is erased by as many lines as it took, and lines stay above it", () => {
  let written = "";
  const chart = liveChart({
    size: () => ({ columns: 80, rows: 24 }),
    write: (text) => written += text,
    color: false,
  });
  chart.print("start");
  assertEquals(written, "start\n");
  chart.add(epochOf(1));
  chart.add(epochOf(2));
  chart.print("epoch 2");
  const rows = written.split("\n").length - 3;
  written = "";
  chart.print("end");
  assert(written.startsWith(`\x1b[${rows}A\r\x1b[0Jend\nloss`), JSON.stringify(written));
});

Deno.test("a live chart draws the steps' losses until there are two epochs", () => {
  let written = "";
  const size = { columns: 60, rows: 24 };
  const chart = liveChart({ size: () => size, write: (text) => written = text, color: false });
  chart.addSteps([2.3]);
  assertEquals(written, "");
  chart.addSteps([2.2, NaN, 2.1]);
  assertStringIncludes(written, "loss of 4 steps\n   2.300");
  chart.add(epochOf(1));
  chart.addSteps(Array.from({ length: 1000 }, (_, n) => 2 - n / 1000));
  assertStringIncludes(written, "loss of 1,004 steps\n");
  assert(written.split("\n").every((line) => line.length < size.columns));
  chart.add(epochOf(2));
  written = "";
  chart.addSteps([1]);
  assertEquals(written, "");
  chart.print("epoch 2");
  assertMatch(written, /epoch 2\nloss {2}train and test\n/);
});

Deno.test("a report names the files of what was wrong, and says what is chosen on which set", async () => {
  const names = Array.from({ length: 30 }, (_, n) => `class/picture <${n}>.png`);
  const onTest = await reportOf({ names });
  assertStringIncludes(onTest, "class/picture &lt;0&gt;.png, plain0"); // of the feature maps
  assert(/loss \d+\.\d\d\s*, class\/picture &lt;\d+&gt;\.png/.test(onTest));
  assert(!/test image \d/.test(onTest));
  assertStringIncludes(onTest, "best test accuracy, after epoch 2: chosen on the test set");
  assertStringIncludes(onTest, "<b>33.33%</b>largest class, plain0");
  // Answers at random: 10 of 30 right, as always naming one class would be.
  assertStringIncludes(onTest, "better than always answering");
  const history = [
    epochOf(1, { validationLoss: 1, validationAccuracy: 0.9, testAccuracy: 0.6 }),
    epochOf(2, { validationLoss: 1, validationAccuracy: 0.8, testAccuracy: 0.7 }),
  ];
  const validated = await reportOf({ history });
  assertStringIncludes(validated, "<b>90.00%</b>best validation accuracy, after epoch 1");
  assertStringIncludes(validated, "<b>60.00%</b>test accuracy after epoch 1");
  assertStringIncludes(validated, ">validation</text>"); // in the curves
});
