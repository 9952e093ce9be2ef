import { classificationReport, countCorrect } from "../../src/train/metrics.ts";
import { assertEquals } from "../assert.ts";

Deno.test("precision, recall and confusion are those counted by hand", () => {
  const labels = Uint8Array.of(0, 0, 0, 0, 1, 1, 2, 2);
  const predictions = Uint8Array.of(0, 0, 1, 2, 1, 0, 0, 0);
  assertEquals(countCorrect(predictions, labels), 3);
  const report = classificationReport(predictions, labels, ["cat", "dog", "owl"]);
  assertEquals(report, {
    accuracy: 3 / 8,
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
