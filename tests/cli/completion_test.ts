/** Shell completion, by the keys that a user presses in real shells. */

import { PEER_NAMES } from "../../src/compare/peers.ts";
import { COMMANDS } from "../../scripts/main.ts";
import { completionAnswer } from "../../src/cli/completion.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { ROOT, runDeno } from "./command.ts";
import { canRunBash, runBash } from "./compiled_program.ts";

/** Whether all programs that a test needs are installed. */
async function have(...programs: string[]): Promise<boolean> {
  return canRunBash() &&
    (await runBash(`command -v ${programs.join(" && command -v ")}`, [])).code === 0;
}

/** The program that completion asks for candidates. */
const PROGRAM = `deno run --no-prompt ${ROOT}scripts/main.ts`;

/** Writes the stub of a shell into a folder, beside files to complete. */
async function prepare(shell: string, folder: string): Promise<void> {
  const { code, stdout, stderr } = await runDeno(
    ["run", "--no-prompt", `${ROOT}scripts/main.ts`, "completion", shell],
  );
  assertEquals([code, stderr], [0, ""]);
  assert(stdout.length < 1200, "the stub lists what the program knows");
  await Deno.writeTextFile(`${folder}/script`, stdout);
  await Deno.writeTextFile(`${folder}/shoe.png`, "");
  await Deno.writeTextFile(`${folder}/my photo.png`, "");
  await Deno.mkdir(`${folder}/runs/first`, { recursive: true });
}

/** Types lines into an interactive shell; lenet is a function that shows its arguments. */
async function type(shell: string, lines: readonly string[], cwd: string): Promise<string> {
  const show = `printf "[%s]" "$@"; echo`;
  const lenet = `lenet() { if [ "$1" = complete ]; then ${PROGRAM} "$@"; else ${show}; fi; }`;
  const keys = [`PS1=; ${lenet}`, ...lines, "exit", ""].join("\n");
  const { stdout } = await runBash(`printf %s "$1" | script -qec "$2" /dev/null`, [keys, shell], {
    cwd,
    env: { TERM: "dumb", HOME: cwd },
  });
  return stdout.replaceAll("\r", "");
}

/** What a shell is answered, by line. */
async function answer(...words: string[]): Promise<string[]> {
  const text = await completionAnswer(words, {
    commands: Object.keys(COMMANDS).map((name) => [name, "Purpose"]),
    load: async (name) => (await COMMANDS[name]?.())?.command,
  });
  return text.split("\n");
}

Deno.test("completion: shells are answered with words that fit, what they mean, and kinds of paths", async () => {
  const [kind, ...commands] = await answer("");
  assertEquals([kind, commands.length], ["none", Object.keys(COMMANDS).length + 2]);
  assertMatch(commands[0], /^train\tPurpose$/);
  assertEquals(await answer("train", "--max"), [
    "none",
    "--max-steps\tend after this many steps in all",
  ]);
  const cases: [string[], string[]][] = [
    [["train", "--no-"], ["none", "--no-shuffle\tnot: a new order every epoch, or the file's"]],
    [["train", "--epochs", ""], ["none"]],
    [["train", "--optimizer", "=", ""], [
      "none",
      "sgd\t",
      "momentum\t",
      "nesterov\t",
      "adam\t",
      "adamw\t",
    ]],
    [["train", "--lr=0.1", "--optimizer=a"], ["none", "--optimizer=adam\t", "--optimizer=adamw\t"]],
    [["train", "--schedule", "o"], ["none", "one-cycle\t"]],
    [["train", "--class-weights", ""], ["files", "balanced\t"]],
    [["train", "--augment", "flip,s"], ["none", "flip,shift=2\t"]],
    [["train", "--augment=shift=3,er"], ["none", "--augment=shift=3,erase=0.25\t"]],
    [
      ["compare", "--peers=pytorch,"],
      ["none", ...PEER_NAMES.slice(1).map((name) => `--peers=pytorch,${name}\t`)],
    ],
    [["eval", "--weights", ""], ["files"]],
    [["eval", "--run="], ["folders"]],
    [["export", "--out", "x"], ["files"]],
    [["eval", "--dataset", "sam"], [
      "folders",
      "sample\ta balanced part of Fashion-MNIST that comes with the project",
    ]],
    [["fetch", "--", "--"], ["none"]],
    [["completion", "f"], ["none", "fish\t"]],
    [["trane", "--"], ["none"]],
  ];
  for (const [words, lines] of cases) assertEquals(await answer(...words), lines);
  const given = await answer("sweep", "--quiet", "--grid", "lr=1", "--");
  assert(given.some((line) => line.startsWith("--grid\t")), "may be given several times");
  assert(!given.some((line) => line.startsWith("--quiet\t")), "is there already");
});

Deno.test({
  name: "completion: bash completes commands, flags, values, lists and files",
  ignore: !await have("script"),
  fn: () =>
    withTempDir(async (folder) => {
      await prepare("bash", folder);
      const shown = await type("bash --norc --noprofile -i", [
        "source ./script",
        "lenet tr\t--back\ttfjs-c\t --model=ml\t--max-\t",
        "lenet compare --backends wasm,tfjs-c\t",
        "lenet predict sho\tmy\t",
        "lenet eval --run runs/fi\t",
        "lenet fetch mn\t",
        "lenet train --dataset=ru\t",
      ], folder);
      assertStringIncludes(shown, "[train][--backend][tfjs-cpu][--model=mlp][--max-steps]\n");
      assertStringIncludes(shown, "[compare][--backends][wasm,tfjs-cpu]\n");
      assertStringIncludes(shown, "[predict][shoe.png][my photo.png]\n");
      assertStringIncludes(shown, "[eval][--run][runs/first/]\n");
      assertStringIncludes(shown, "[fetch][mnist]\n");
      assertStringIncludes(shown, "[train][--dataset=runs/]\n");
    }),
});

Deno.test({
  name: "completion: zsh completes commands, flags, values, lists and files",
  ignore: !await have("script", "zsh"),
  fn: () =>
    withTempDir(async (folder) => {
      await prepare("zsh", folder);
      const shown = await type("zsh -f -i", [
        "autoload -Uz compinit; compinit -u -D; source ./script",
        "lenet tr\t--back\ttfjs-c\t--model=ml\t",
        "lenet train --dataset=ru\t",
        "lenet compare --backends wasm,tfjs-c\t",
        "lenet predict sho\tmy\t",
      ], folder);
      assertStringIncludes(shown, "[train][--backend][tfjs-cpu][--model=mlp]\n");
      assertStringIncludes(shown, "[compare][--backends][wasm,tfjs-cpu]\n");
      assertStringIncludes(shown, "[predict][shoe.png][my photo.png]\n");
      assertStringIncludes(shown, "[train][--dataset=runs]\n");
    }),
});

Deno.test({
  name: "completion: fish completes commands, flags, values, lists and files",
  ignore: !await have("fish"),
  fn: () =>
    withTempDir(async (folder) => {
      await prepare("fish", folder);
      const lines = [
        "lenet tr",
        "lenet train --back",
        "lenet train --backend tfjs-c",
        "lenet compare --backends wasm,tfjs-c",
        "lenet predict sho",
        "lenet train --model=ml",
        "lenet train --dataset=ru",
      ];
      const ask = lines.map((line) => `complete -C '${line}'`).join("; ");
      const lenet = `function lenet; ${PROGRAM} $argv; end`;
      const line = `fish --no-config -c "$1; source ./script; $2"`;
      const { stdout } = await runBash(line, [lenet, ask], {
        cwd: folder,
        env: { HOME: folder },
      });
      assertEquals(
        stdout.trim().split("\n").map((line) => line.split("\t")[0]),
        [
          ...["train", "--backend", "tfjs-cpu", "wasm,tfjs-cpu", "shoe.png"],
          ...["--model=mlp", "--dataset=runs/"],
        ],
      );
    }),
});
