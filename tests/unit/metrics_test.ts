import {
  classificationReport,
  compareWithMajority,
  countCorrect,
  majorityRemark,
} from "../../src/train/metrics.ts";
import { assertEquals } from "../assert.ts";

Deno.test("precision, recall and confusion are those counted by hand", () => {
  const labels = Uint8Array.of(0, 0, 0, 0, 1, 1, 2, 2);
  const predictions = Uint8Array.of(0, 0, 1, 2, 1, 0, 0, 0);
  assertEquals(countCorrect(predictions, labels), 3);
  const report = classificationReport(predictions, labels, ["cat", "dog", "owl"]);
  assertEquals(report, {
    accuracy: 3 / 8,
    majority: { className: "cat", share: 1 / 2 },
    isBetterThanMajority: false,
    confusion: [[2, 1, 1], [1, 1, 0], [2, 0, 0]],
    perClass: [
      { className: "cat", precision: 2 / 5, recall: 2 / 4, support: 4 },
      { className: "dog", precision: 1 / 2, recall: 1 / 2, support: 2 },
      { className: "owl", precision: 0, recall: 0, support: 2 },
    ],
  });
});

Deno.test("a class that is never predicted and never there counts as 0, not as NaN", () => {
  const { perClass } = classificationReport(Uint8Array.of(0), Uint8Array.of(0), ["a", "b"]);
  assertEquals(perClass[1], { className: "b", precision: 0, recall: 0, support: 0 });
});

Deno.test("an accuracy is better than the most frequent class only where chance does not explain it", () => {
  const labels = Uint8Array.from({ length: 180 }, (_, n) => n % 3);
  const names = ["disc", "square", "tri"];
  const outcomes = [0.1, 1 / 3, 0.35, 0.41, 1].map((accuracy) =>
    compareWithMajority(accuracy, labels, names).isBetterThanMajority
  );
  assertEquals(outcomes, [false, false, "unclear", true, true]);
  const unequal = compareWithMajority(0.9, Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, 1, 0), names);
  assertEquals(unequal.majority, { className: "square", share: 0.9 });
  assertEquals(majorityRemark(unequal), 'no better than always answering "square": 0.900');
  // Both of two right is all that can be, though chance would do it in a quarter of cases.
  assertEquals(compareWithMajority(1, Uint8Array.of(0, 1), names).isBetterThanMajority, true);
  // All of one class: naming it is as good.
  assertEquals(compareWithMajority(1, Uint8Array.of(2, 2), names).isBetterThanMajority, false);
});
