/** The record of a sweep, read back. */

import type { EpochMetrics } from "../../src/train/progress.ts";
import {
  parseSweep,
  readSweep,
  type SweepRecord,
  type SweepResult,
  writeSweep,
} from "../../src/run/sweep_record.ts";
import { sweepChart, sweepTable, writeSweepReport } from "../../src/report/sweep_report.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { canRunCommands, runDeno } from "../cli/command.ts";
import { canUseTemp, namesIn, withTempDir } from "../temp.ts";

const LAST: EpochMetrics = {
  epoch: 1,
  step: 3,
  trainLoss: NaN,
  trainAccuracy: 0.5,
  testLoss: 1.5,
  testAccuracy: 0.25,
  trainMs: 10,
  evalMs: 1,
  imagesPerSecond: 1100,
};

const RECORD: SweepRecord = {
  started: "2026-01-02T03:04:05.000Z",
  flags: { model: "softmax", epochs: 1, shuffle: true },
  dataset: { name: "./photos", digest: "00" },
  environment: {
    lenet: "0.1.0",
    deno: "2",
    v8: "14",
    os: "linux",
    arch: "x86_64",
    cpu: "one",
    cores: 2,
  },
  results: [
    { settings: { lr: "0.1" }, last: LAST, bestAccuracy: 1, elapsedMs: 20, rank: 1 },
    { settings: { lr: "9", seed: "1" }, error: "Diverged", elapsedMs: 9.5, rank: 0 },
  ],
};

Deno.test({
  name:
    "the report of a sweep names the files that it has written: a chart only of what was trained",
  ignore: !canUseTemp(),
  fn: () =>
    withTempDir(async (folder) => {
      const failed = { ...RECORD, results: RECORD.results.slice(1) };
      for (
        const [record, names] of [[failed, ["table.md"]], [RECORD, [
          "chart.svg",
          "table.md",
        ]]] as const
      ) {
        const { table, files } = await writeSweepReport(folder, record);
        assertEquals([files.toSorted(), await namesIn(folder)], [names, names]);
        assertEquals(await Deno.readTextFile(`${folder}/table.md`), `${table}\n`);
      }
    }),
});

Deno.test({
  name: "a sweep is read back as it was written; what is not one is refused in one line",
  ignore: !canRunCommands() || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      assertEquals(await readSweep(folder), undefined);
      await writeSweep(folder, RECORD);
      assertEquals(await readSweep(folder), RECORD);
      const [first, second] = RECORD.results;
      const wrong: [unknown, string][] = [
        [{ ...RECORD, flags: null }, "flags is missing or out of range: found null"],
        [{ ...RECORD, dataset: { name: "\u001b[2J", digest: "" } }, "dataset.name is missing or"],
        [{ ...RECORD, results: {} }, "results is missing or out of range: found {}"],
        [[RECORD], "started is missing or out of range: found undefined"],
        ...[
          [
            { ...first, settings: { lr: 1 } },
            'settings is missing or out of range: found {"lr":1}',
          ],
          [{ ...first, settings: { "a\n": "1" } }, "settings is missing or out of range"],
          [{ ...first, last: {} }, "epoch is missing or out of range: found undefined"],
          [
            { ...first, last: { ...LAST, epoch: -1 } },
            "epoch is missing or out of range: found -1",
          ],
          [{ ...first, bestAccuracy: "1" }, "bestAccuracy is missing or out of range"],
          [{ ...first, error: "a\nb" }, "error is missing or out of range"],
          [{ ...first, elapsedMs: null }, "elapsedMs is missing or out of range: found null"],
        ].map(([result, message]): [unknown, string] => [
          { ...RECORD, results: [second, result] },
          `result 2: ${message}`,
        ]),
        [
          {
            ...RECORD,
            results: Array.from({ length: 51 }, (_, n) => ({
              ...second,
              settings: { [`flag-${n}`]: "" },
            })),
          },
          "it varies 51 flags; choose another --out",
        ],
      ];
      for (const [record, message] of wrong) {
        const expected = `Cannot read the-file as the record of a sweep: ${message}`;
        assertThrows(() => parseSweep(JSON.stringify(record), "the-file"), SyntaxError, expected);
      }
      assertThrows(() => parseSweep("{", "the-file"), SyntaxError, "a sweep: it is not JSON;");

      const [path, elsewhere] = [`${folder}/sweep.json`, `${folder}/elsewhere.json`];
      await Deno.rename(path, elsewhere);
      const code = `Deno.symlinkSync(${JSON.stringify(elsewhere)}, ${JSON.stringify(path)})`;
      assertEquals((await runDeno(["eval", code])).code, 0);
      await assertRejects(() => readSweep(folder), TypeError, "expected a file, found a link");
    }),
});

Deno.test("a sweep's table and chart are made of whatever was varied, also of nothing", async () => {
  const settings: SweepResult["settings"][] = [{ lr: "0.1" }, { lr: "0.2", seed: "1" }, {
    lr: "0.2",
  }];
  for (const count of [1, 2, 3]) {
    const results = settings.slice(0, count)
      .map((varied) => ({ ...RECORD.results[0], settings: varied }));
    assertEquals(sweepTable(results).split("\n").length, count + 2);
    const svg = await sweepChart({ ...RECORD, results });
    assert(svg.includes("Sweep on ./photos") && svg.includes(">lr<"), svg);
  }
});
