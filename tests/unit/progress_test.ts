import { assertEquals } from "../assert.ts";
import { progressText } from "../../src/report/progress.ts";

Deno.test("progress of bytes is told in decimal units, with the rate", () => {
  const text = progressText(12_300_000, 26_421_856, { unit: "bytes", rate: 5_120_000 });
  assertEquals(text, "12.3 MB of 26.4 MB, 5.12 MB/s");
});

Deno.test("progress of anything else is counted, also where nobody knows the total", () => {
  assertEquals(
    progressText(1_234, 4_700, { unit: "steps", rate: 98.6 }),
    "1,234 of 4,700 steps, 99 steps/s",
  );
  assertEquals(progressText(5, undefined, { unit: "steps", rate: 0 }), "5 steps, 0 steps/s");
});
