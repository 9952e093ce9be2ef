/** What `train`, `sweep` and `compare` write says nothing about whose machine it ran on. */
import { assert, assertEquals } from "../assert.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, outcomeOf, ROOT, runDeno } from "./command.ts";
import { startTrain, writeNoise } from "./runs.ts";

/** Words that stand in every path and in the environment of the runs below. */
const SECRETS = ["aliceshome", "alicestmp", "alicesdata", "alicename", "aliceshost", "alicestoken"];

Deno.test({
  name:
    "train, sweep, compare: no secret, absolute path or user name is in any file that they write",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const work = `${folder}/aliceshome/work`;
      const noise = `${folder}/alicesdata/noise`;
      await Deno.mkdir(work, { recursive: true });
      await Deno.mkdir(`${folder}/alicestmp`);
      await writeNoise(noise);
      const env = {
        TMPDIR: `${folder}/alicestmp`,
        USER: "alicename",
        LOGNAME: "alicename",
        HOSTNAME: "aliceshost",
        LENET_TOKEN: "alicestoken",
      };
      const train = async (...args: string[]) => {
        const common = ["--backend=wasm", "--log-steps", "--quiet"];
        const outcome = await outcomeOf(startTrain([...args, ...common], { folder: work, env }));
        assertEquals(outcome, { code: 0, stdout: "", stderr: "" });
      };
      const recipe = ["--model=softmax", "--epochs=1"];
      await train(...recipe, `--dataset=${noise}`, `--out=${work}/first`);
      const init = `--init=${work}/first/model.safetensors`;
      await train(...recipe, "--dataset=../../alicesdata/noise", init, "--out=runs/second");
      await train("--resume=runs/second", `--dataset=${noise}`, "--epochs=2");
      const other = async (script: string, ...args: string[]) => {
        const outcome = await runDeno([
          ...["run", "--no-prompt", "--allow-read", `--allow-write=${work}`, "--allow-sys=cpus"],
          ...[`${ROOT}scripts/${script}.ts`, "--model=softmax", `--dataset=${noise}`, "--quiet"],
          ...args,
        ], { cwd: work, env });
        assertEquals([outcome.code, outcome.stderr], [0, ""]);
      };
      // The second goes on with the first: where the same data lies does not matter.
      const sweep = ["--epochs=1", "--backend=reference", "--out=runs/sweep"];
      await other("sweep", ...sweep, "--grid=seed=1");
      await other("sweep", ...sweep, "--grid=seed=2", "--dataset=../../alicesdata/noise");
      await other("compare_backends", ...[
        ...[
          "--backends=reference,wasm",
          "--max-steps=1",
          "--repeats=1",
        ],
        ...["--html=runs/compare.html", "--markdown=runs/compare.md"],
      ]);
      assertEquals(await namesIn(`${folder}/alicestmp`), []);
      const written = ["compare.html", "compare.md", "second", "sweep"];
      assertEquals(await namesIn(`${work}/runs`), written);
      for (
        const path of [...await filesBelow(`${work}/first`), ...await filesBelow(`${work}/runs`)]
      ) {
        const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
        for (const secret of [...SECRETS, folder, "/home/", "/root", "/tmp/", "/usr/"]) {
          assert(!text.includes(secret), `"${secret}" is in ${path}`);
        }
      }
    }),
});

async function filesBelow(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) paths.push(...await filesBelow(path));
    else paths.push(path);
  }
  return paths;
}
