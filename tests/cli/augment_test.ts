/** `--augment` as a user gives it: what is kept, going on, a sweep, and what is refused. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, NO_GPU, runTask } from "./command.ts";
import { writeNoise } from "./runs.ts";

const ignore = !canRunCommands();
const AUGMENT = "flip,shift=2,erase=0.5,rotate=15,brightness=0.2";
const SAID = "flip, shift 2, erase 0.5, rotate 15, brightness 0.2";

Deno.test({
  name: "train --augment: a run that stopped goes on to the bits of one that did not",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const data = [`--dataset=${folder}/noise`, "--backend=wasm", "--threads=2"];
      const train = (...args: string[]) => runTask("train", [...data, ...args], { env: NO_GPU });
      const recipe = ["--model=softmax", "--epochs=2", "--batch-size=16"];
      const start = [...recipe, `--augment=${AUGMENT}`];
      const [whole, stopped] = ["whole", "stopped"].map((name) => `${folder}/${name}`);
      const one = await train(...start, `--out=${whole}`);
      assertEquals([one.code, one.stderr], [0, ""]);
      assertStringIncludes(one.stdout.replaceAll(/\s+/g, " "), `augmented by ${SAID}`);
      const two = await train(...start, `--out=${stopped}`, "--max-steps=7", "--json");
      assertEquals([two.code, two.stderr], [0, ""]);
      const [said] = linesOf(two.stdout).map((line) => JSON.parse(line));
      const augmentation = { flip: true, shift: 2, erase: 0.5, rotate: 15, brightness: 0.2 };
      assertEquals(said.augmentation, augmentation);
      const resumed = await train(`--resume=${stopped}`, "--max-steps=1000", "--quiet");
      assertEquals([resumed.code, resumed.stderr], [0, ""]);
      const json = (path: string) => Deno.readTextFile(`${path}/config.json`).then(JSON.parse);
      assertEquals((await json(stopped)).augmentation, augmentation);
      assertStringIncludes(await Deno.readTextFile(`${whole}/report.html`), SAID);
      const metrics = await Promise.all([whole, stopped].map(async (path) =>
        linesOf(await Deno.readTextFile(`${path}/metrics.jsonl`)).map((line) => JSON.parse(line))
      ));
      assertEquals(metrics[1].at(-1).trainLoss, metrics[0].at(-1).trainLoss);
      for (const name of ["model.safetensors", "model/weights.bin"]) {
        const files = [whole, stopped].map((path) =>
          Deno.readFile(`${path}/${name}`)
        );
        const [expected, found] = await Promise.all(files);
        assertEquals(found, expected, name);
      }
      // What decides every step must be what it was.
      const path = `${stopped}/config.json`;
      const changed = { ...await json(stopped), augmentation: { flip: true } };
      await Deno.writeTextFile(path, JSON.stringify(changed));
      const refused = await train(`--resume=${stopped}`, "--epochs=3");
      assertEquals([refused.code, refused.stdout], [1, ""]);
      assertMatch(refused.stderr, /was made with augmentation .*; put config.json back, or start/);
      await Deno.writeTextFile(path, JSON.stringify({ ...changed, augmentation: { shift: -1 } }));
      const broken = await train(`--resume=${stopped}`, "--epochs=3");
      assertEquals([broken.code, linesOf(broken.stderr).length], [1, 1]);
      assertMatch(broken.stderr, /as the configuration of a run: .*augmentation/);
    }),
});

Deno.test({
  name: "train --augment: what it cannot be is said in a line, and nothing is written",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const cases: [string, number, string][] = [
        [
          "flip,flop",
          2,
          'Unknown augmentation "flop": expected one of flip, shift, erase, rotate, ',
        ],
        ["flip,flip", 2, "Augmentation flip is given twice"],
        ["erase=1.5", 2, "Invalid augmentation erase: expected a number in 0..1, found 1.5"],
        ["shift", 2, "Augmentation shift needs a value, as in shift=2"],
        [
          "shift=8",
          1,
          "Cannot shift images of 8x8 by up to 8 pixels: expected less than a side, 7",
        ],
      ];
      const outcomes = await Promise.all(cases.map(([augment]) =>
        runTask("train", [
          ...[`--dataset=${folder}/noise`, "--model=softmax", "--backend=wasm"],
          ...[`--augment=${augment}`, `--out=${folder}/run`],
        ], { env: NO_GPU })
      ));
      outcomes.forEach(({ code, stdout, stderr }, n) => {
        assertEquals([code, stdout, linesOf(stderr).length], [cases[n][1], "", 1], stderr);
        assertStringIncludes(stderr, `error: ${cases[n][2]}`);
      });
      assertEquals(await namesIn(folder), ["noise"]);
    }),
});

Deno.test({
  name: "sweep: a grid compares augmentations, one of them none; one for all is recorded",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const { code, stderr } = await runTask("sweep", [
        ...[`--dataset=${folder}/noise`, "--model=softmax", "--epochs=1", "--backend=wasm"],
        ...["--grid", "augment=none,flip,flip+shift=2", "--quiet", `--out=${folder}/sweep`],
      ], { env: NO_GPU });
      assertEquals([code, stderr], [0, ""]);
      const { results } = JSON.parse(await Deno.readTextFile(`${folder}/sweep/sweep.json`));
      const losses = results.map(({ last }: { last: { trainLoss: number } }) => last.trainLoss);
      assertEquals(new Set(losses).size, 3, "each trains on other images");
      assert(losses.every(Number.isFinite));
      // The same command goes on, another augmentation is refused.
      const sweep = (augment: string) =>
        runTask("sweep", [
          ...[`--dataset=${folder}/noise`, "--model=softmax", "--epochs=1", "--backend=wasm"],
          ...["--grid", "lr=0.1", "--augment", augment, `--out=${folder}/one`],
        ], { env: NO_GPU });
      const [first, again, other] = [
        await sweep("flip,shift=2"),
        await sweep("flip,shift=2"),
        await sweep("flip"),
      ];
      assertEquals([first.code, first.stderr, again.code, again.stderr], [0, "", 0, ""]);
      assertStringIncludes(again.stdout, "1 are done");
      assertEquals([other.code, other.stdout], [1, ""]);
      assertMatch(other.stderr, /was made with other flags or data .*"augment":"flip,shift=2"/);
    }),
});
