/** What commands print where there is no terminal: into pipes, into files, and to nobody. */
import { loadDataset } from "../../src/data/load.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { granted } from "../permissions.ts";
import { pixelsOf, pngOf } from "../picture_folder.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { canRunCommands, linesOf, outcomeOf, ROOT, runDeno, startDeno } from "./command.ts";
import { seen, textOf } from "./runs.ts";

const ignore = !canRunCommands();
const ignoreShell = ignore || Deno.build.os !== "linux" ||
  !granted({ name: "run", command: "bash" });
const SOFTMAX = ["--dataset=sample", "--model=softmax", "--backend=wasm"];
/** Nobody asks for plain text: commands see for themselves that nothing is a terminal. */
const COLORS = { env: { NO_COLOR: "", XDG_RUNTIME_DIR: "/tmp" } };

/** What escape codes begin with. */
const ESCAPE = "\x1b";

/** Runs a body with every command that prints, short, and a folder that they write to. */
async function withCommands(
  body: (commands: Record<string, readonly string[]>, folder: string) => Promise<void>,
): Promise<void> {
  await withTempDir(async (folder) => {
    const script = (name: string) => ["run", "--no-prompt", "--allow-read", ...permissions(name)];
    const permissions = (name: string) => [
      ...[`--allow-write=${folder}`, "--allow-sys=cpus", "--allow-env=XDG_RUNTIME_DIR"],
      `${ROOT}scripts/${name}.ts`,
    ];
    const run = `${folder}/trained`;
    const train = [...script("train"), ...SOFTMAX, "--epochs=2"];
    assertEquals((await runDeno([...train, "--quiet", `--out=${run}`])).code, 0);
    const { test } = await loadDataset("sample");
    await Deno.writeFile(`${folder}/shoe.png`, pngOf(pixelsOf(test, 0), [28, 28]));
    await body({
      train: [...train, "--live", `--out=${folder}/run`],
      sweep: [
        ...[...script("sweep"), ...SOFTMAX, "--grid=lr=0.1,0.2", "--epochs=1"],
        `--out=${folder}/sweep`,
      ],
      eval: [...script("eval"), `--run=${run}`, "--backend=wasm"],
      predict: [...script("predict"), `--run=${run}`, "--backend=wasm", `${folder}/shoe.png`],
      export: [...script("export"), `--run=${run}`, "--format=onnx", `--out=${folder}/model.onnx`],
      compare: [
        ...[...script("compare_backends"), "--dataset=sample", "--model=softmax"],
        ...["--backends=wasm,reference", "--max-steps=2", "--repeats=1"],
        `--html=${folder}/compared.html`,
      ],
      fetch: [...script("fetch_data"), `--data-dir=${folder}/data`, "sample"],
      summary: script("summary"),
      devices: script("devices"),
      help: [...script("main"), "--help"],
      completion: [...script("main"), "completion", "bash"],
    }, folder);
  });
}

Deno.test({
  name: "every command: a reader that goes away, as head does, ends none half done",
  ignore,
  fn: () =>
    withCommands(async (commands, folder) => {
      for (const [name, args] of Object.entries(commands)) {
        const child = startDeno(args, COLORS);
        await child.stdout.cancel();
        const stderr = await new Response(child.stderr).text();
        assertEquals([name, (await child.status).code], [name, 0], stderr);
        assert(!/^(error|\s+at )/m.test(stderr), `${name}: ${stderr}`);
      }
      const [whole, run] = [await namesIn(`${folder}/trained`), await namesIn(`${folder}/run`)];
      assertEquals(run, whole);
      assertEquals(await namesIn(`${folder}/sweep`), ["chart.svg", "sweep.json", "table.md"]);
      assertMatch(await Deno.readTextFile(`${folder}/compared.html`), /<\/html>\s*$/);
    }),
});

Deno.test({
  name: "every command: without a terminal there are whole lines, and no escape codes",
  ignore,
  fn: () =>
    withCommands(async (commands) => {
      for (const [name, args] of Object.entries(commands)) {
        const { code, stdout, stderr } = await outcomeOf(startDeno(args, COLORS));
        assertEquals([name, code], [name, 0], stderr);
        assertPlain(stdout, name);
        assertPlain(stderr, name);
        assert(linesOf(stdout).length > 0, `${name} prints nothing`);
      }
    }),
});

Deno.test({
  name: "train: without a terminal progress is whole lines now and then",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const child = startDeno([
        ...["run", "--no-prompt", "--allow-read", `--allow-write=${folder}`],
        ...[`${ROOT}scripts/train.ts`, "--dataset=sample", "--backend=reference", "--epochs=1"],
        ...["--batch-size=16", `--out=${folder}/run`],
      ], COLORS);
      const stderr = await seen(textOf(child.stderr), "\n");
      child.kill("SIGKILL");
      await child.stdout.cancel();
      await child.status;
      assertMatch(stderr, /^(epoch 1\/1: [\d,]+ of 5,000 images, [\d,]+\/s, .* left in all\n)+$/);
    }),
});

Deno.test({
  name: "train: --live draws nothing into a file, though all else be a terminal",
  ignore: ignoreShell,
  fn: () =>
    withTempDir(async (folder) => {
      const train = [
        ...["deno run --no-prompt --allow-read", `--allow-write=${folder}`],
        ...[`${ROOT}scripts/train.ts`, ...SOFTMAX, "--live --epochs=3", `--out=${folder}/run`],
      ].join(" ");
      // The program script makes a terminal for the command that it runs.
      const inTerminal = `stty cols 80 rows 40; ${train} > ${folder}/said`;
      assertEquals(await runShell(`script -qec '${inTerminal}' /dev/null > /dev/null`), [0, ""]);
      const said = await Deno.readTextFile(`${folder}/said`);
      assertPlain(said, "train");
      assertMatch(said, /\nepoch 3\/3 .*\nDone: /);
    }),
});

Deno.test({
  name: "train: --live draws the first steps, lines fit the terminal, and --resume keeps what was",
  ignore: ignoreShell,
  fn: () =>
    withTempDir(async (folder) => {
      const train = (...args: string[]) =>
        [
          ...["deno run --no-prompt --allow-read", `--allow-write=${folder}`],
          ...[`${ROOT}scripts/train.ts`, "--live --epochs=3", ...args],
        ].join(" ");
      /** What a command shows on a terminal, without escape codes, by line. */
      const shown = async (command: string) => {
        const inTerminal = `stty cols 60 rows 40; ${command}`;
        const line = `script -qec '${inTerminal}' /dev/null > ${folder}/shown`;
        assertEquals(await runShell(line), [0, ""]);
        const text = await Deno.readTextFile(`${folder}/shown`);
        // Colours vanish; where the cursor is sent elsewhere, a line ends.
        const plain = text.replaceAll(new RegExp(`${ESCAPE}\\[[\\d;]*m`, "g"), "");
        return plain.split(new RegExp(`(?:${ESCAPE}(?:\\[[\\d;?]*[A-Za-z]|[78])|[\\r\\n])+`));
      };
      const first = await shown(
        train("--dataset=sample --model=mlp --backend=wasm --max-steps=30", `--out=${folder}/run`),
      );
      assertEquals(first.filter((line) => line.length > 60 && !line.includes(folder)), []);
      const [recipe, plot, epoch] = ["Recipe ", "loss of 20 steps", "epoch 1/3  loss"].map((text) =>
        first.findIndex((line) => line.startsWith(text))
      );
      assert(recipe > 0 && recipe < plot && plot < epoch, first.join("\n"));
      assertMatch(first[recipe + 1], /^ {9}\S/);
      const resumed = await shown(train(`--resume=${folder}/run`, "--max-steps=60"));
      const chart = resumed.findIndex((line) => line.startsWith("accuracy  train"));
      const next = resumed.findIndex((line) => line.startsWith("epoch 3/3  loss"));
      assert(chart > 0 && chart < next, resumed.join("\n"));
    }),
});

Deno.test({
  name: "train, summary: a full disk below what they print ends them with one line, not with 0",
  ignore: ignoreShell,
  fn: () =>
    withTempDir(async (folder) => {
      const run = `deno run --no-prompt --allow-read --allow-write=${folder} ${ROOT}scripts`;
      const commands = (out: string) => [
        `${run}/summary.ts`,
        `${run}/train.ts ${SOFTMAX.join(" ")} --epochs=1 --out=${folder}/${out}`,
      ];
      for (const command of commands("run")) {
        assertEquals(await runShell(`${command} > /dev/full`), [
          1,
          "error: The disk is full; free some space and run again\n",
        ]);
      }
      for (const command of commands("no-errors")) {
        assertEquals(await runShell(`${command} > /dev/full 2>&1`), [1, ""]);
      }
    }),
});

function assertPlain(text: string, name: string): void {
  for (const [line] of text.matchAll(/[^\n]*\n|[^\n]+/g)) {
    assertMatch(line, /^\P{Cc}*\n$/u, `${name}: not a whole line, or with escape codes`);
  }
}

/** Runs a line of bash; its exit code and what it says of errors. */
async function runShell(line: string): Promise<[number, string]> {
  const command = new Deno.Command("bash", { args: ["-c", line], ...COLORS, stdin: "null" });
  const { code, stderr } = await command.output();
  return [code, new TextDecoder().decode(stderr)];
}
