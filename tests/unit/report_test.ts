import { epochLine } from "../../src/cli/train_display.ts";
import { areNamesOf } from "../../src/formats/trained_model.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { isPrintable, printable, quote, quoteWhole } from "../../src/quote.ts";
import { curvesSvg } from "../../src/report/curves.ts";
import { describeEnvironment } from "../../src/run/environment.ts";
import { spread } from "../../src/compare/statistics.ts";
import { countOf, formatCount, formatTable } from "../../src/report/table.ts";
import type { EpochMetrics } from "../../src/train/progress.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";

function historyOf(epochs: number, change: Partial<EpochMetrics> = {}): EpochMetrics[] {
  return Array.from({ length: epochs }, (_, n) => ({
    epoch: n + 1,
    step: 235 * (n + 1),
    trainLoss: 2 / (n + 1),
    trainAccuracy: 1 - 0.8 / (n + 1),
    testLoss: 2.1 / (n + 1),
    testAccuracy: 1 - 0.85 / (n + 1),
    trainMs: 5_084.7,
    evalMs: 300,
    imagesPerSecond: 11_800.2,
    ...(n === 2 ? change : {}),
  }));
}

/** Checks that every element is closed in order, and returns the text between the tags. */
function textsOf(svg: string): string[] {
  const open: string[] = [];
  for (const [, slash, name, , selfClosing] of svg.matchAll(/<(\/?)([a-zA-Z]+)([^<>]*?)(\/?)>/g)) {
    if (slash) assertEquals(name, open.pop());
    else if (!selfClosing) open.push(name);
  }
  assertEquals(open, []);
  return [...svg.matchAll(/>([^<>]+)</g)].map(([, text]) => text);
}

for (const epochs of [1, 2, 20]) {
  Deno.test(`the curves of ${epochs} epochs have title, axes, legend, train and test`, async () => {
    const svg = await curvesSvg("lenet on fashion-mnist", historyOf(epochs));
    assertMatch(svg, /^<svg /);
    assertStringIncludes(svg, 'xmlns="http://www.w3.org/2000/svg"');
    const texts = textsOf(svg);
    for (const text of ["lenet on fashion-mnist", "Loss (cross-entropy)", "Accuracy", "Data"]) {
      assertEquals(texts.filter((found) => found === text).length, 1, text);
    }
    assertEquals(texts.filter((text) => text === "Epoch").length, 2);
    for (const label of ["train", "test"]) assert(texts.includes(label), label);
    for (const color of ["#0072B2", "#D55E00"]) {
      assert(svg.split(`stroke="${color}"`).length > 2, `a line of ${color} in each chart`);
    }
    assert(!svg.includes("NaN") && !svg.includes("undefined"), "a number is missing");
  });
}

Deno.test("the ticks of an axis differ, however little the values do", async () => {
  const flat = historyOf(2).map((metrics) => ({
    ...metrics,
    trainLoss: 2.303 + metrics.epoch / 1e4,
    testLoss: 2.303,
    trainAccuracy: 0.1 + metrics.epoch / 1e4,
    testAccuracy: 0.1,
  }));
  const texts = textsOf(await curvesSvg("flat", flat));
  for (const pattern of [/^\d+\.\d+$/, /^\d+(\.\d+)?%$/]) {
    const ticks = texts.filter((text) => pattern.test(text));
    assert(ticks.length >= 3, ticks.join());
    assertEquals(new Set(ticks).size, ticks.length, ticks.join());
  }
});

Deno.test("a number that is none leaves a gap in the curves, not a broken file", async () => {
  // JSON has no NaN: read back from metrics.jsonl it is null.
  for (const value of [NaN, Infinity, null as unknown as number]) {
    const svg = await curvesSvg("gap", historyOf(6, { testLoss: value }));
    assert(textsOf(svg).includes("2.0"), `${value} has spoilt the scale`);
    assert(!svg.includes("NaN") && !svg.includes("Infinity"), `${value} is in the file`);
  }
});

Deno.test("a title with markup in it is escaped", async () => {
  const texts = textsOf(await curvesSvg('<script>"&', historyOf(2)));
  assert(texts.includes('&lt;script&gt;"&amp;'), texts.join());
});

Deno.test("the line of an epoch reads as documented, aligned over the epochs of a run", () => {
  const metrics = {
    ...historyOf(3)[2],
    trainLoss: 0.6119,
    trainAccuracy: 0.7651,
    testAccuracy: 0.771,
  };
  const rest = "loss 0.612  acc 0.765  test acc 0.771  5.1 s  11,800 img/s";
  assertEquals(epochLine(metrics, { epochs: 20 }), `epoch  3/20  ${rest}`);
  assertEquals(epochLine(metrics, { epochs: 3 }), `epoch 3/3  ${rest}`);
  const validated = { ...metrics, validationAccuracy: 0.7, trainMs: 654_321, imagesPerSecond: 9e4 };
  assertEquals(
    epochLine(validated, { epochs: 1000 }),
    "epoch    3/1000  loss 0.612  acc 0.765  valid acc 0.700  654.3 s  90,000 img/s",
  );
  assert(epochLine(validated, { epochs: 1000 }).length <= 80);
  assertStringIncludes(
    epochLine({ ...validated, validationLoss: 0.51 }, { epochs: 9, monitor: "loss" }),
    "acc 0.765  valid loss 0.510  654.3 s",
  );
});

Deno.test("tables are Markdown, and aligned for the terminal", () => {
  assertEquals(
    formatTable(["name", "images"], [["a", "5"], ["long name", "60,000"]], "lr"),
    [
      "| name      | images |",
      "| :-------- | -----: |",
      "| a         |      5 |",
      "| long name | 60,000 |",
    ].join("\n"),
  );
});

Deno.test("numbers are grouped by thousands, and nouns follow their count", () => {
  assertEquals([formatCount(61_706), formatCount(999.5)], ["61,706", "1,000"]);
  assertEquals([countOf(1, "step"), countOf(0, "step"), countOf(2_000, "step")], [
    "1 step",
    "0 steps",
    "2,000 steps",
  ]);
});

Deno.test("spread gives the median of odd and even counts, and leaves its input alone", () => {
  const values = [5, 1, 3];
  assertEquals(spread(values), { median: 3, min: 1, max: 5 });
  assertEquals(values, [5, 1, 3]);
  assertEquals(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 });
  assertEquals(spread([7]), { median: 7, min: 7, max: 7 });
});

Deno.test("quoted values stay on one line, cannot steer a terminal, and are cut short", () => {
  assertEquals(quote("conv1.weight"), '"conv1.weight"');
  assertEquals(quote("a\n\u001b[2J\u009b\u202e"), '"a\\n\\u001b[2J\\u009b\\u202e"');
  assertEquals([quote(undefined), quote(NaN), quote(null)], ["undefined", "NaN", "null"]);
  assertEquals(quote("x".repeat(99)).length, 60);
});

Deno.test("what is fit to be shown is fit everywhere: in a run, in a model's file, on a terminal", () => {
  const model = zooModel("softmax", { inputShape: [1, 2, 2], classCount: 2 });
  const isName = (name: string) => areNamesOf(model, [name, "b"]);
  for (
    const name of ["Ankle boot", "\u{1f469}\u200d\u{1f680}", "\u0645\u06cc\u200c", "x".repeat(255)]
  ) {
    assertEquals([isPrintable(name), isName(name), printable(name)], [true, true, name]);
    assertEquals(quoteWhole(name), `"${name}"`);
  }
  const steering = [
    "\n",
    "\u001b",
    "\u007f",
    "\u009b",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\ud800",
  ];
  for (const character of steering) {
    const name = `a${character}b`;
    assertEquals([isPrintable(name), isName(name), printable(name)], [false, false, "a\ufffdb"]);
    assertMatch(quoteWhole(name), /^"a\\\w+b"$/);
  }
  assertEquals([isPrintable("x".repeat(1001)), isPrintable(1)], [false, false]);
});

Deno.test("the environment of a record names versions and hardware, and needs no permission", () => {
  const { deno, lenet, cores, cpu } = describeEnvironment();
  assertEquals(deno, Deno.version.deno);
  assertMatch(lenet, /^\d+\.\d+\.\d+/);
  assert(cores >= 1 && cpu.length > 0);
});
