/** `train` stopped in every way that a process can be: nothing is lost, nothing is made twice. */
import { zooModel } from "../../src/nn/zoo.ts";
import { createRandom } from "../../src/random.ts";
import { readCheckpoint } from "../../src/run/checkpoint.ts";
import { claimFolder } from "../../src/run/files.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, outcomeOf, ROOT, runDeno } from "./command.ts";
import { assertSameRun, assertWhole, seen, startTrain, textOf, writeNoise } from "./runs.ts";

const ignore = !canRunCommands();
const ignoreSignals = ignore || Deno.build.os === "windows";
/** Where `script`, which belongs to every Linux, can make terminals as this test asks. */
const ignoreTerminals = ignore || Deno.build.os !== "linux";
const MODEL = zooModel("softmax", { inputShape: [1, 8, 8], classCount: 4 });

/** A run of many small steps that goes on until it is stopped. */
const ENDLESS = [
  ...["--dataset=noise", "--model=softmax", "--backend=wasm", "--threads=2", "--batch-size=8"],
  ...["--optimizer=adam", "--log-steps", "--checkpoint-every=7", "--epochs=100000"],
];

/** What is printed when the second epoch is done. */
const SECOND_EPOCH = " 2/100000";

Deno.test({
  name: "train: killed at twenty random moments, a run goes on to the very same bits",
  ignore: ignoreSignals,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const random = createRandom(Date.now(), "moments");
      let kills = 0;
      let startMs = 1_000;
      while (kills < 20) {
        const isRun = (await namesIn(`${folder}/run`)).includes("config.json");
        const args = isRun ? ["--resume=run"] : [...ENDLESS, "--out=run"];
        const child = startTrain([...args, "--json"], { folder });
        const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
        const started = performance.now();
        // One moment in four is counted from the start of the process, the others from its first
        // step. Both last as long as the machine is slow at the time.
        const isEarly = kills % 4 === 3;
        if (!isEarly) {
          await seen(stdout, kills === 0 ? '"type":"epoch"' : "\n");
          startMs = performance.now() - started;
        }
        const delay = random.uniform(0, (isEarly ? 1.2 : 0.4) * startMs);
        await new Promise((resolve) => setTimeout(resolve, delay));
        child.kill("SIGKILL");
        const said = await seen(stderr, "\0"); // to its end
        await stdout.cancel();
        assertEquals((await child.status).signal, "SIGKILL", said);
        kills++;
      }
      await assertGoesOn(folder);
    }),
});

Deno.test({
  name: "train: SIGTERM saves and ends a run, which goes on to the very same bits",
  ignore: ignoreSignals,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const child = startTrain([...ENDLESS, "--out=run"], { folder });
      const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
      await seen(stdout, SECOND_EPOCH);
      child.kill("SIGTERM");
      assertEquals(
        await seen(stderr, "\0"),
        "Stopping after this step; Ctrl-C again ends at once\n",
      );
      assertMatch(await seen(stdout, "\0"), /Stopped after step \d+; [^]* --resume run\n$/);
      assertEquals((await child.status).code, 130);
      await assertGoesOn(folder);
    }),
});

for (const [display, flag] of [["lines", ""], ["charts", "--live"]]) {
  Deno.test({
    name:
      `train: a terminal that is closed saves and ends a run, which goes on to the very same bits: ${display}`,
    ignore: ignoreTerminals,
    fn: () =>
      withTempDir(async (folder) => {
        await writeNoise(`${folder}/noise`);
        const out = `${folder}/run`;
        const command = [
          ...["exec deno run --no-prompt --allow-read", `--allow-write=${folder}`],
          ...[`${ROOT}scripts/train.ts`, ...ENDLESS, flag, "--out=run"],
        ].join(" ");
        // With its only other end gone, the system hangs up the terminal that script has made.
        const script = `
        const script = new Deno.Command("script", {
          args: ["-qec", ${JSON.stringify(command)}, "/dev/null"], cwd: ${JSON.stringify(folder)},
          stdin: "null", stdout: "piped" }).spawn();
        let said = "";
        for await (const text of script.stdout.pipeThrough(new TextDecoderStream())) {
          said += text;
          if (said.includes(${JSON.stringify(SECOND_EPOCH)})) break;
        }
        script.kill("SIGKILL");
        await script.status;`;
        const { code, stderr } = await runDeno(["eval", script]);
        assertEquals([code, stderr], [0, ""]);
        while (!await isFree(out)); // until the run has ended
        assert((await namesIn(out)).includes("report.html"), "it was ended before it had saved");
        await assertGoesOn(folder);
      }),
  });
}

/** Lets a run that was stopped go on to the end of its epoch, and compares it with one that was not. */
async function assertGoesOn(folder: string): Promise<void> {
  const { progress } = await readCheckpoint(`${folder}/run/checkpoint.safetensors`, MODEL)
    .catch(() => readCheckpoint(`${folder}/run/checkpoint.previous.safetensors`, MODEL));
  assert(progress.step > 0, "nothing was trained");
  const epochs = `--epochs=${progress.epochsDone + 1}`;
  for (const args of [["--resume=run", epochs], [...ENDLESS, epochs, "--out=whole"]]) {
    const { code, stdout } = await outcomeOf(startTrain([...args, "--quiet"], { folder }));
    assertEquals([code, stdout], [0, ""]);
  }
  await assertSameRun(`${folder}/run`, `${folder}/whole`);
}

async function isFree(folder: string): Promise<boolean> {
  try {
    using _claim = await claimFolder(folder);
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

Deno.test({
  name: "train: a second Ctrl-C ends at once, with every file whole and the run ready to go on",
  ignore: ignoreSignals,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const child = startTrain([...ENDLESS, "--out=run"], { folder });
      const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
      await seen(stdout, SECOND_EPOCH);
      child.kill("SIGINT");
      await seen(stderr, "Ctrl-C again ends at once\n"); // the report is still to be made
      child.kill("SIGINT");
      assertEquals((await child.status).code, 130);
      assert(!(await seen(stdout, "\0")).includes("Stopped after step"), "it went on to its end");
      await stderr.cancel();
      await assertWhole(`${folder}/run`);
      const resumed = await outcomeOf(
        startTrain(["--resume=run", "--max-steps=1", "--quiet"], { folder }),
      );
      assertEquals(resumed, { code: 0, stdout: "", stderr: "" });
      assertEquals((await namesIn(`${folder}/run`)).filter((name) => name.includes(".tmp")), []);
    }),
});

Deno.test({
  name: "train: of three runs that are given one folder at one instant, exactly one starts",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const args = [...ENDLESS, "--max-steps=3", "--out=run"];
      const outcomes = await Promise.all(
        Array.from({ length: 3 }, () => outcomeOf(startTrain(args, { folder }))),
      );
      assertEquals(outcomes.map(({ code }) => code).sort(), [0, 1, 1]);
      for (const { code, stderr } of outcomes) {
        if (code === 0) continue;
        assertEquals(linesOf(stderr).length, 1);
        assertMatch(
          stderr,
          /^error: Cannot (start in run: it holds|use run: another process is at work)/,
        );
      }
      const steps = linesOf(await Deno.readTextFile(`${folder}/run/steps.jsonl`));
      assertEquals(steps.map((line) => JSON.parse(line).step), [1, 2, 3]);
    }),
});

Deno.test({
  name: "train: a run that a process is at work on cannot be gone on with by another",
  ignore: ignoreSignals,
  fn: () =>
    withTempDir(async (folder) => {
      await writeNoise(`${folder}/noise`);
      const child = startTrain([...ENDLESS, "--out=run"], { folder });
      const stdout = textOf(child.stdout);
      await seen(stdout, SECOND_EPOCH);
      const other = await outcomeOf(startTrain(["--resume=run", "--max-steps=1"], { folder }));
      assertEquals([other.code, other.stdout], [1, ""]);
      assertMatch(other.stderr, /^error: Cannot use run: another process is at work on it; .*\n$/);
      child.kill("SIGKILL");
      await child.status;
      await Promise.all([stdout.cancel(), child.stderr.cancel()]);
    }),
});
