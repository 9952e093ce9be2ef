import { assert, assertEquals } from "../assert.ts";
import { progressText, timeText } from "../../src/report/progress.ts";

Deno.test("progress of bytes is told in decimal units, with the rate", () => {
  const text = progressText(12_300_000, 26_421_856, { unit: "bytes", rate: 5_120_000 });
  assertEquals(text, "12.3 MB of 26.4 MB, 5.12 MB/s, 3 s left");
});

Deno.test("progress of anything else is counted, also where nobody knows the total", () => {
  assertEquals(
    progressText(1_234, 4_700, { unit: "steps", rate: 98.6 }),
    "1,234 of 4,700 steps, 99/s, 35 s left",
  );
  assertEquals(progressText(5, undefined, { unit: "steps", rate: 0 }), "5 steps");
});

Deno.test("what is left is of all where a task is part of something larger", () => {
  const options = { unit: "images", rate: 11_800, leftInAll: 725 };
  const text = progressText(60_000, 60_000, options);
  assertEquals(text, "60,000 of 60,000 images, 11,800/s, 12 min 5 s left in all");
  assert(`epoch 20/20 [####] ${text}`.length < 80, "the bar takes more than a line");
});

Deno.test("what is left is told in the two units that matter", () => {
  assertEquals([0.4, 59.6, 125, 3600, 4200].map(timeText), [
    ...["0 s", "1 min", "2 min 5 s", "1 h", "1 h 10 min"],
  ]);
});
