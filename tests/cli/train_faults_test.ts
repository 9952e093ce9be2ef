/** `train` where something is wrong: one line that says what, and nothing of value lost. */
import { pathToFileURL } from "node:url";
import { decodeSafetensors } from "../../src/formats/safetensors/file.ts";
import { describeAdapters } from "../../src/backends/webgpu/adapters.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { readCheckpoint } from "../../src/run/checkpoint.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { granted } from "../permissions.ts";
import { namesIn, withTempDir } from "../temp.ts";
import {
  canRunCommands,
  linesOf,
  NO_GPU,
  outcomeOf,
  ROOT,
  runDeno,
  runTask,
  startDeno,
} from "./command.ts";

const ignore = !canRunCommands();
const ignoreMounts = ignore || !await canMount();
const SAMPLE = ["--dataset", "sample"];
const SOFTMAX = [...SAMPLE, "--model", "softmax", "--backend", "wasm"];

const RUN_FILES = [
  "best.safetensors",
  "checkpoint.previous.safetensors",
  "checkpoint.safetensors",
  "config.json",
  "curves.svg",
  "metrics.jsonl",
  "model",
  "model.safetensors",
  "report.html",
];

/** Faults of a worker thread, as scripts that are loaded before the program. */
const THREAD_FAULTS = {
  "it finds no kernels to work with": `
    const noKernels = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (task) {
      postMessage.call(this, { ...task, module: noKernels });
    };`,
  "it cannot start in the memory that it is given": `
    const memory = new WebAssembly.Memory({ initial: 0, maximum: 1, shared: true });
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (task) {
      postMessage.call(this, { ...task, memory });
    };`,
  "its script is not there": `
    const Real = Worker;
    globalThis.Worker = class extends Real {
      constructor(url, options) { super(new URL("gone.ts", url), options); }
    };`,
};

/** Leaves a process little more memory than it has when it has opened a GPU. */
const LITTLE_MEMORY = `
  const limit = "read pages _ < /proc/$PPID/statm; " +
    "prlimit --pid $PPID --as=$((4096 * pages + 20000000))";
  // Started now, since training may not start programs, and then waits for its input to end.
  const shell = new Deno.Command("bash", { args: ["-c", "read; " + limit], stdin: "piped" }).spawn();
  shell.unref();
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    shell.ref();
    await shell.stdin.close();
    if (!(await shell.status).success) throw new Error("Cannot limit the memory");
    return device;
  };`;

/** Where the memory of a GPU is that of the process. */
const hasSoftwareAdapter = (await describeAdapters()).some(({ software }) => software);

/** Longest that a run may go on that ought to have ended. */
const DEADLINE_MS = 60_000;

/** Runs a program for which the tests themselves have no permission; says whether it succeeded. */
async function runProgram(program: string, args: string[]): Promise<boolean> {
  const code = `const command = new Deno.Command(${JSON.stringify(program)}, {
    args: ${JSON.stringify(args)}, stdout: "null", stderr: "null" });
    Deno.exit((await command.output()).code);`;
  return (await runDeno(["eval", code])).code === 0;
}

/** Runs a body with a small file system of its own in a folder. */
async function withMount(options: string, body: (folder: string) => Promise<void>): Promise<void> {
  await withTempDir(async (folder) => {
    assert(await runProgram("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]));
    try {
      await body(folder);
    } finally {
      await runProgram("umount", [folder]);
    }
  });
}

/** Whether this user may mount file systems, as root on most machines may. */
async function canMount(): Promise<boolean> {
  let mounted = false;
  await withTempDir(async (folder) => {
    mounted = await runProgram("mount", ["-t", "tmpfs", "tmpfs", folder]) &&
      await runProgram("umount", [folder]);
  });
  return mounted;
}

Deno.test({
  name: "train: a command line that cannot be understood ends with 2, one line and a suggestion",
  ignore,
  async fn() {
    const cases: [string[], string][] = [
      [["--epochs", "0"], 'Invalid --epochs "0": expected an integer from 1 to 1000000'],
      [["--batch-size", "1.5"], 'Invalid --batch-size "1.5": expected an integer from 1 to 65536'],
      [
        ["--lr", "nan"],
        'Invalid --lr "nan": expected a number of more than 0 and of 1000 or less',
      ],
      [["--epoch", "3"], "Unknown flag --epoch: did you mean --epochs? --help lists all flags"],
      [["runs/x"], 'Unexpected argument "runs/x": --help shows what is accepted'],
      [
        ["--normalize", "--standardize"],
        "Cannot use --normalize and --standardize together: choose one of them",
      ],
      [
        ["--optimizer", "adam", "--momentum", "0.9"],
        "Cannot use --momentum with --optimizer adam: choose one of them",
      ],
      [
        ["--optimizer", "adam", "--weight-decay", "0.1"],
        "Cannot use --weight-decay with --optimizer adam: choose one of them",
      ],
      [
        ["--optimizer", "nesterov", "--momentum", "0"],
        "Cannot use --momentum 0 with --optimizer nesterov: it needs one above 0",
      ],
      [
        ["--betas", "0.9"],
        'Invalid --betas "0.9": expected two numbers from 0 to below 1, as 0.9,0.999',
      ],
      [
        ["--gamma", "0.5", "--schedule", "cosine"],
        "Cannot use --gamma with --schedule cosine: it is for step",
      ],
      [["--anneal", "linear"], "Cannot use --anneal with --schedule constant: it is for one-cycle"],
      [
        ["--label-smoothing", "1"],
        'Invalid --label-smoothing "1": expected a number of 0 or more and less than 1',
      ],
      [["--clip-norm", "0"], 'Invalid --clip-norm "0": expected a number of more than 0'],
      [["--patience", "0"], 'Invalid --patience "0": expected an integer of 1 or more'],
      [
        ["--resume", "runs/x", "--label-smoothing", "0.1"],
        "Cannot use --label-smoothing with --resume: the run's config.json decides it; start a new " +
        "run",
      ],
      [
        ["--resume", "runs/x", "--lr", "0.1"],
        "Cannot use --lr with --resume: the run's config.json decides it; start a new run",
      ],
    ];
    const outcomes = await Promise.all(cases.map(([args]) => runTask("train", args)));
    outcomes.forEach((outcome, n) => {
      assertEquals(outcome, { code: 2, stdout: "", stderr: `error: ${cases[n][1]}\n` });
    });
  },
});

Deno.test({
  name: "train: files and folders that cannot be used end with 1, one line, and are left alone",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const run = `${folder}/run`;
      const trained = await runTask("train", [
        ...SOFTMAX,
        "--max-steps=1",
        "--out",
        run,
        "--quiet",
      ]);
      assertEquals(trained.code, 0);
      const weights = `${run}/model.safetensors`;
      const whole = await Deno.readFile(weights);
      await Deno.writeFile(`${folder}/short.safetensors`, whole.subarray(0, 2_000));
      await Deno.writeTextFile(`${folder}/file`, "of value");
      await Deno.mkdir(`${folder}/broken`);
      await Deno.writeTextFile(`${folder}/broken/config.json`, "{}");
      const fresh = [...SAMPLE, "--out", `${folder}/new`];
      const cases: [string[], RegExp][] = [
        [
          [...fresh, "--model=mlp", "--init", weights],
          /Cannot load .* into model "mlp": expected linear, \[784\] to \[256\] as layer 1, found linear, /,
        ],
        [
          [...fresh, "--init", `${folder}/short.safetensors`],
          /Cannot read .*short.safetensors as safetensors: tensor "fc.weight" ends at byte/,
        ],
        [[...fresh, "--init", `${folder}/none`], /No such file or folder \(".*none"\); check/],
        [["--resume", `${folder}/none`], /Cannot find a run in .*none: it has no config.json/],
        [["--resume", `${folder}/broken`], /Cannot read .* of a run: started is missing/],
        [[...SAMPLE, "--out", `${folder}/file`], /Not a folder \(".*file"\)/],
        [[...SAMPLE, "--out", `${folder}/file/run`], /Not a folder \(".*run"\)/],
        [[...SAMPLE, "--out", "/lenet-run"], /Cannot write to \/lenet-run: .* below runs\//],
        [
          ["--dataset", `${folder}/none`],
          /Unknown dataset ".*none": expected one of fashion-mnist/,
        ],
      ];
      const outcomes = await Promise.all(cases.map(([args]) => runTask("train", args)));
      outcomes.forEach(({ code, stdout, stderr }, n) => {
        assertEquals([code, stdout, linesOf(stderr).length], [1, "", 1], stderr);
        assertMatch(stderr, /^error: /);
        assertMatch(stderr, cases[n][1]);
      });
      assertEquals(await namesIn(folder), ["broken", "file", "run", "short.safetensors"]);
      assertEquals(await Deno.readTextFile(`${folder}/file`), "of value");
      assertEquals(await Deno.readFile(weights), whole);
    }),
});

Deno.test({
  name: "train: a backend that is not there is one line that lists those that are",
  ignore,
  async fn() {
    const { code, stdout, stderr } = await runTask("train", [
      ...SAMPLE,
      ...["--backend", "tfjs-webgpu", "--out", "/tmp/lenet-never-made"],
    ], { env: NO_GPU });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(
      stderr,
      /^error: Backend "tfjs-webgpu" is not available: .*; available here: .*wasm.*reference\n$/,
    );
  },
});

Deno.test({
  name:
    "train: without network a run falls back to the sample in plain words, unless asked by name",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      // No permission to look anywhere but at the sample: every source fails.
      const run = (...args: string[]) =>
        runDeno([
          ...["run", "--no-prompt", `--allow-read=${folder},${ROOT}data/sample,${ROOT}src`],
          ...[`--allow-write=${folder}`, `${ROOT}scripts/train.ts`, "--backend=wasm"],
          ...["--model=softmax", "--max-steps=1", ...args],
        ], { cwd: folder });
      const fallback = await run();
      assertEquals(fallback.code, 0, fallback.stderr);
      assertStringIncludes(fallback.stderr, "Trying https://");
      assertStringIncludes(
        fallback.stderr,
        "Training on the sample instead, 5,000 + 1,000 images of Fashion-MNIST: expect a lower " +
          "accuracy. Get the whole with: deno task fetch\n",
      );
      assertStringIncludes(fallback.stdout, "Data     sample, 5,000 training");
      const [name] = await namesIn(`${folder}/runs`);
      assertMatch(name, /^softmax-\d{8}-\d{6}$/);
      assertEquals(await namesIn(`${folder}/runs/${name}`), RUN_FILES);

      const byName = await run("--dataset=fashion-mnist", "--quiet");
      assertEquals([byName.code, byName.stdout], [1, ""]);
      assertMatch(
        byName.stderr,
        /^error: Cannot fetch fashion-mnist: none of its \d sources .*\n$/,
      );
      assertEquals(await namesIn(`${folder}/runs`), [name]);
    }),
});

Deno.test({
  name: "train: once the data is there, neither the network nor any program can be reached",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const module = pathToFileURL(`${ROOT}src/cli/dataset_flag.ts`).href;
      await Deno.writeTextFile(
        `${folder}/script.ts`,
        `import { obtainForTraining } from ${JSON.stringify(module)};
        const state = (name) => Deno.permissions.querySync({ name }).state;
        const before = [state("net"), state("run")];
        const options = { dataset: "sample", quiet: true };
        const { name } = await obtainForTraining(options, new AbortController().signal);
        const errors = [];
        await fetch("https://example.com/").catch((error) => errors.push(error.name));
        try { new Deno.Command("deno").spawn(); } catch (error) { errors.push(error.name); }
        console.log(JSON.stringify({ name, before, errors }));`,
      );
      const { stdout, stderr } = await runDeno([
        ...["run", "--no-prompt", "--allow-read", "--allow-net", "--allow-run=deno"],
        ...[`--config=${ROOT}deno.json`, `${folder}/script.ts`],
      ]);
      assertEquals([stdout, stderr], [
        '{"name":"sample","before":["granted","prompt"],"errors":["NotCapable","NotCapable"]}\n',
        "",
      ]);
    }),
});

Deno.test({
  name: "train: a full disk ends a run with one line, and leaves nothing half-written",
  ignore: ignoreMounts,
  fn: () =>
    withMount("size=100k", async (folder) => {
      const out = `${folder}/run`;
      const { code, stderr } = await runTask("train", [...SOFTMAX, "--out", out]);
      assertEquals([code, stderr], [1, "error: The disk is full; free some space and run again\n"]);
      for (const name of await namesIn(out)) {
        assert(!name.includes(".tmp"), name);
        if (!name.endsWith(".safetensors")) continue;
        decodeSafetensors(await Deno.readFile(`${out}/${name}`), name);
      }
      await readCheckpoint(`${out}/checkpoint.safetensors`, zooModel("softmax"));
    }),
});

Deno.test({
  name: "train: where files may be no larger, a run ends with one line and nothing half-written",
  ignore: ignore || Deno.build.os === "windows" || !granted({ name: "run", command: "bash" }),
  fn: () =>
    withTempDir(async (folder) => {
      // Deno writes what it has compiled to a cache of its own, which the limit must not meet.
      await runTask("train", [...SOFTMAX, "--dry-run"]);
      const child = new Deno.Command("bash", {
        args: [
          ...["-c", 'ulimit -f 20; exec deno run --no-code-cache "$@"', "bash"],
          ...["--no-prompt", "--allow-read", `--allow-write=${folder}`],
          ...[`${ROOT}scripts/train.ts`, ...SOFTMAX, "--out", `${folder}/run`],
        ],
        cwd: ROOT,
        env: { NO_COLOR: "1" },
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const { code, stderr } = await outcomeOf(child);
      const line = "error: The file is larger than may be; raise ulimit -f and run again\n";
      assertEquals([code, stderr], [1, line]);
      assertEquals(await namesIn(`${folder}/run`), []);
    }),
});

Deno.test({
  name: "train: a folder that cannot be written ends a run with one line before it begins",
  ignore: ignoreMounts,
  fn: () =>
    withMount("ro", async (folder) => {
      const { code, stdout, stderr } = await runTask("train", [...SOFTMAX, `--out=${folder}/run`]);
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, /^error: The file system is read-only.*; choose another folder\n$/);
    }),
});

for (const [name, fault] of Object.entries(THREAD_FAULTS)) {
  Deno.test({
    name:
      `train: a thread that crashes ends a run with its message, and what is saved stays: ${name}`,
    ignore,
    fn: () =>
      withTempDir(async (folder) => {
        const run = `${folder}/run`;
        const train = ["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`];
        const script = `${ROOT}scripts/train.ts`;
        await runDeno([...train, script, ...SOFTMAX, "--threads=2", "--epochs=1", `--out=${run}`]);
        const checkpoint = await Deno.readFile(`${run}/checkpoint.safetensors`);
        await Deno.writeTextFile(`${folder}/fault.js`, fault);
        const preload = `--preload=${folder}/fault.js`;
        const child = startDeno([...train, preload, script, `--resume=${run}`, "--epochs=2"]);
        const deadline = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
        const { code, stderr } = await outcomeOf(child);
        clearTimeout(deadline);
        assertMatch(stderr, /(^|\n)error: Cannot go on as thread 1 failed: .+\n$/);
        assertEquals(code, 1);
        assertEquals(await Deno.readFile(`${run}/checkpoint.safetensors`), checkpoint);
      }),
  });
}

Deno.test({
  name: "train: a GPU without memory ends a run with one line that says what there is no room for",
  ignore: ignore || Deno.build.os !== "linux" || !hasSoftwareAdapter,
  fn: () =>
    withTempDir(async (folder) => {
      await Deno.writeTextFile(`${folder}/limit.js`, LITTLE_MEMORY);
      const { code, stdout, stderr } = await runDeno([
        ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`, "--allow-run=bash"],
        ...["--allow-env=XDG_RUNTIME_DIR", `--preload=${folder}/limit.js`],
        ...[`${ROOT}scripts/train.ts`, ...SAMPLE, "--backend=webgpu", "--batch-size=1024"],
        `--out=${folder}/run`,
      ], { env: { XDG_RUNTIME_DIR: "/tmp" } });
      assertMatch(
        stderr,
        /^error: Cannot make room for batches of 1024: .* is out of memory; use a smaller batch size, model or dataset\n$/,
      );
      assertEquals([code, stdout], [1, ""]);
      assertEquals(await namesIn(`${folder}/run`), []);
    }),
});
