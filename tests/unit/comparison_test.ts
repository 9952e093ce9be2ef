/** The parts of a comparison that need no measuring: work, verdicts, warnings, the page. */

import { initialParameters } from "../../src/nn/init.ts";
import { flatten, linear } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { compareOutcomes, Oracle } from "../../src/compare/agreement.ts";
import { LoadMeter } from "../../src/compare/load.ts";
import { isMeasured, type Measured, measureEntrants } from "../../src/compare/turns.ts";
import { allAgree, type ComparisonFacts, judgeRows } from "../../src/compare/facts.ts";
import { comparisonPage } from "../../src/compare/page.ts";
import {
  chooseEvaluation,
  chooseSteps,
  type ComparisonPlan,
  SampleOrder,
} from "../../src/compare/plan.ts";
import { describeComparison } from "../../src/compare/table.ts";
import { backendContender, type Contender } from "../../src/compare/contender.ts";
import { describeEnvironment } from "../../src/run/environment.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { canRunCommands, runDeno } from "../cli/command.ts";
import { randomImages } from "../parity/cases.ts";
import { granted } from "../permissions.ts";

const model = sequential([flatten(), linear({ outFeatures: 3 })], { inputShape: [1, 2, 2] });
const plan: ComparisonPlan = {
  model,
  dataset: {
    name: "tiny",
    classNames: ["a", "b", "c"],
    train: randomImages(model, 40, 1),
    test: randomImages(model, 20, 2),
    digest: "",
  },
  parameters: initialParameters(model, 1),
  batchSize: 4,
  learningRate: 0.1,
  seed: 1,
  steps: 2,
  repeats: 3,
  budgetMs: 100,
};

/** The reference under another name, whose parameters come back changed. */
function cheat(name: string, change: (parameters: Float32Array) => Float32Array): Contender {
  const reference = backendContender("reference");
  return {
    ...reference,
    name,
    async open(plan) {
      const session = await reference.open(plan);
      return {
        device: session.device,
        load: (parameters) => session.load(parameters),
        train: (order, options) => session.train(order, options),
        evaluate: (count) => session.evaluate(count),
        readParameters: async () => change(await session.readParameters()),
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      };
    },
  };
}

Deno.test("chooseSteps: several steps, one, or one of a smaller batch, and never other than asked", () => {
  const open = { batchSize: 256, budgetMs: 600 };
  assertEquals(chooseSteps(open, 0.1), { steps: 23, batchSize: 256 });
  assertEquals(chooseSteps(open, 5), { steps: 1, batchSize: 256 });
  assertEquals(chooseSteps(open, 60), { steps: 1, batchSize: 16 });
  assertEquals(chooseSteps(open, 1e6), { steps: 1, batchSize: 1 });
  assertEquals(chooseSteps({ ...open, steps: 3 }, 60), { steps: 3, batchSize: 256 });
});

Deno.test("chooseEvaluation: several passes, one, or one over fewer images", () => {
  const { dataset } = plan;
  const open = { dataset, budgetMs: 400 };
  assertEquals(chooseEvaluation(open, 1), { evalImages: 20, evalPasses: 5 });
  assertEquals(chooseEvaluation(open, 10), { evalImages: 20, evalPasses: 1 });
  assertEquals(chooseEvaluation(open, 50), { evalImages: 2, evalPasses: 1 });
  assertEquals(chooseEvaluation({ ...open, steps: 1 }, 50), { evalImages: 20, evalPasses: 1 });
});

Deno.test("SampleOrder: every epoch has each image once, wherever slices begin", () => {
  const order = new SampleOrder(plan);
  const all = order.slice(0, 120);
  for (const epoch of [0, 1, 2]) {
    const sorted = all.slice(40 * epoch, 40 * epoch + 40).sort();
    assertEquals([...sorted], Array.from({ length: 40 }, (_, n) => n));
  }
  assertEquals(order.slice(33, 57), all.slice(33, 90));
});

Deno.test("compareOutcomes: rounding agrees, more does not, and a NaN never does", () => {
  const expected = { losses: Float32Array.of(2, 0.5), parameters: plan.parameters };
  const judge = (losses: number[], factor: number) => {
    const parameters = expected.parameters.map((value) => value * factor);
    return compareOutcomes(model, { losses: Float32Array.from(losses), parameters }, expected);
  };
  assertEquals(judge([2, 0.5], 1).verdict, "agrees");
  assertEquals(judge([2, 0.5], 1 + 1e-5).verdict, "agrees");
  assertEquals(judge([2, 0.5], 1 + 1e-3).verdict, "differs");
  assertEquals(judge([2, 0.501], 1).verdict, "differs");
  assertEquals(judge([2, NaN], 1).verdict, "differs");
  assertEquals(judge([2, 0.5], NaN).parameterDifference, Infinity);
});

Deno.test("measureEntrants: one that computes something else is found, and its peers are not blamed", async () => {
  const contenders = [
    cheat("honest", (parameters) => parameters),
    cheat("wrong", (parameters) => parameters.map((value) => value * 1.01)),
  ];
  const said: string[] = [];
  const entrants = contenders.map((contender) => ({ contender, plan }));
  const rows = await measureEntrants(entrants, plan.repeats, {
    say: (activity) => said.push(activity),
    oracle: new Oracle(),
  });
  assertEquals(
    rows.filter(isMeasured).map(({ agreement }) => agreement.verdict),
    ["agrees", "differs"],
  );
  assert(!allAgree(rows) && allAgree(rows.slice(0, 1)));
  assertEquals(
    said.slice(2).map((text) => text.split(":")[0]),
    ["honest", "wrong", "honest", "wrong", "honest", "wrong"],
  );
  const [first, second] = rows.filter(isMeasured);
  assertEquals(first.trainLoss, second.trainLoss);
});

Deno.test("judgeRows: names those it cannot tell apart, and a noisy machine", () => {
  const near = judgeRows([row("a", [10, 11, 12]), row("b", [11, 10, 12])], { seed: 0 });
  assertEquals(near.warnings.length, 1);
  assertMatch(near.warnings[0], /^Cannot tell b from a: .* which holds 1/);
  assertEquals(
    judgeRows([row("a", [10, 11, 12]), row("b", [21, 22, 23])], { seed: 0 }).warnings,
    [],
  );
  const noisy = judgeRows([row("a", [10, 11, 30]), row("b", [1, 1, 1])], { seed: 0 }).warnings;
  assertMatch(noisy.join(), /noisy: repeats of a differ/);
});

Deno.test("judgeRows: a busy machine, and one whose cores are taken, are said first", () => {
  const rows = [row("wasm", [10, 11, 12]), row("pytorch", [1, 1, 1])];
  const control = (backend: string, value: number) => ({
    ...{ backend, along: "threads" as const, threads: 1, batchSize: 4, trainImagesPerSecond: [] },
    estimate: { value, low: value, high: value },
  });
  const controls = [control("wasm", 6), control("pytorch", 4)];
  const cores = navigator.hardwareConcurrency;
  const { warnings } = judgeRows(rows, { seed: 0, load: { before: cores, during: 0 }, controls });
  assertEquals(warnings.length, 2);
  assertMatch(warnings[0], /^The machine was busy: others used \d\.0 of its \d+ cores before/);
  assertMatch(warnings[1], /^pytorch trained 1 images\/s on 1 threads and 4 on one: /);
  const quiet = judgeRows(rows, { seed: 0, load: { before: 0, during: 0.05 }, controls: [] });
  assertEquals(quiet.warnings, []);
});

Deno.test("LoadMeter: own work is not others', and what another process used is", {
  ignore: !granted({ name: "sys", kind: "cpus" }) || !canRunCommands(),
}, async () => {
  const spin = (ms: number) => {
    for (const start = performance.now(); performance.now() - start < ms;);
  };
  const own = new LoadMeter();
  spin(500);
  const ownOnly = own.others()!;
  const all = new LoadMeter();
  const loop = "for (const t = performance.now(); performance.now() - t < 1000;);";
  await runDeno(["eval", loop]);
  // A second of another's core, in little more than a second; a busy machine only adds to it.
  assert(all.others()! > 0.4, `${all.others()} with another process, ${ownOnly} without`);
  const peer = { cpuMs: 300 };
  const [alone, counted] = [new LoadMeter(), new LoadMeter([peer])];
  spin(300);
  peer.cpuMs = 0;
  assert(counted.others()! > alone.others()! + 0.1, "the time of peers is not taken off");
});

const HOSTILE = `<img src=x onerror=alert(1)>"'&</style><script>`;

Deno.test("comparisonPage: no name, reason or device becomes markup, and nothing is loaded", async () => {
  const rows = [row(HOSTILE, [10, 11, 12]), row("b", [20, 21, 22]), {
    backend: HOSTILE,
    reason: HOSTILE,
  }];
  const page = await comparisonPage(factsOf(rows));
  for (const markup of ["<img", "<script", "</style><", 'onerror=alert(1)>"']) {
    assert(!page.includes(markup), `the page holds ${markup}`);
  }
  assertEquals(page.match(/(?:src|href)="(?!#)[^"]*"/g), null);
  assertEquals(page.match(/<svg/g)!.length, 6);
  assertStringIncludes(page, "prefers-color-scheme: dark");
});

Deno.test("comparisonPage and describeComparison: nothing measured is still a report", async () => {
  const facts = factsOf([{ backend: "tfjs-webgpu", reason: "no adapter" }]);
  assertStringIncludes(await comparisonPage(facts), "Nothing could be measured");
  assertStringIncludes(describeComparison(facts), "- tfjs-webgpu: no adapter");
});

function row(backend: string, rates: number[]): Measured {
  return {
    backend,
    outside: false,
    device: { kind: "cpu", description: HOSTILE, threads: 1, software: false },
    startMs: 1,
    firstStepMs: 1,
    firstBatchSize: 4,
    warmUpMs: 2,
    warmUpSteps: 2,
    work: { steps: 2, batchSize: 4, evalImages: 20, evalPasses: 1 },
    stepMs: rates.map((rate) => 4000 / rate),
    trainImagesPerSecond: rates,
    evalImagesPerSecond: rates,
    trainLoss: 1,
    testAccuracy: 0.5,
    agreement: {
      ...{ steps: 5, batchSize: 4, lossDifference: 0, parameterDifference: Infinity },
      ...{ tolerance: { losses: 1e-4, parameters: 1e-4 }, verdict: "differs" },
    },
  };
}

function factsOf(rows: ComparisonFacts["rows"]): ComparisonFacts {
  const names = rows.filter(isMeasured).map(({ backend }) => backend);
  const estimate = { value: 10, low: 9, high: 11 };
  return {
    ...{ model: HOSTILE, dataset: HOSTILE, batchSize: 4, learningRate: 0.1, seed: 1, repeats: 3 },
    ...{ testCount: 20, date: "2026-01-01", environment: describeEnvironment(), rows },
    ...judgeRows(rows, { seed: 0 }),
    until: {
      accuracy: 0.5,
      times: names.map((backend) => ({
        ...{ backend, reached: true, epochs: 2, testAccuracy: 0.6 },
        ...{ trainMs: 20, wallMs: 30, epochMs: 10 },
      })),
    },
    scaling: names.flatMap((backend) =>
      (["threads", "batch"] as const).map((along) => ({
        ...{ backend, along, threads: 1, batchSize: 32, trainImagesPerSecond: [9, 10, 11] },
        estimate,
      }))
    ),
  };
}
