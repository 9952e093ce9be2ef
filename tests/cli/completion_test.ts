/** Shell completion, by the keys that a user presses in real shells. */

import { COMMANDS } from "../../scripts/main.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { withTempDir } from "../temp.ts";
import { ROOT, runDeno } from "./command.ts";
import { canRunBash, runBash } from "./compiled_program.ts";

/** Whether all programs that a test needs are installed. */
async function have(...programs: string[]): Promise<boolean> {
  return canRunBash() &&
    (await runBash(`command -v ${programs.join(" && command -v ")}`, [])).code === 0;
}

/** Writes the script of a shell into a folder, beside files to complete. */
async function prepare(shell: string, folder: string): Promise<void> {
  const { code, stdout, stderr } = await runDeno(
    ["run", "--no-prompt", `${ROOT}scripts/main.ts`, "completion", shell],
  );
  assertEquals([code, stderr], [0, ""]);
  for (const name of Object.keys(COMMANDS)) assertMatch(stdout, new RegExp(`\\b${name}\\b`));
  await Deno.writeTextFile(`${folder}/script`, stdout);
  await Deno.writeTextFile(`${folder}/shoe.png`, "");
  await Deno.writeTextFile(`${folder}/my photo.png`, "");
  await Deno.mkdir(`${folder}/runs/first`, { recursive: true });
}

/** Types lines into an interactive shell; lenet is a function that shows its arguments. */
async function type(shell: string, lines: readonly string[], cwd: string): Promise<string> {
  const show = `lenet() { printf "[%s]" "$@"; echo; }`;
  const keys = [`PS1=; ${show}`, ...lines, "exit", ""].join("\n");
  const { stdout } = await runBash(`printf %s "$1" | script -qec "$2" /dev/null`, [keys, shell], {
    cwd,
    env: { TERM: "dumb", HOME: cwd },
  });
  return stdout.replaceAll("\r", "");
}

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
      ], folder);
      assertStringIncludes(shown, "[train][--backend][tfjs-cpu][--model=mlp][--max-steps]\n");
      assertStringIncludes(shown, "[compare][--backends][wasm,tfjs-cpu]\n");
      assertStringIncludes(shown, "[predict][shoe.png][my photo.png]\n");
      assertStringIncludes(shown, "[eval][--run][runs/first/]\n");
      assertStringIncludes(shown, "[fetch][mnist]\n");
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
        "lenet compare --backends wasm,tfjs-c\t",
        "lenet predict sho\tmy\t",
      ], folder);
      assertStringIncludes(shown, "[train][--backend=tfjs-cpu][--model=mlp]\n");
      assertStringIncludes(shown, "[compare][--backends][wasm,tfjs-cpu]\n");
      assertStringIncludes(shown, "[predict][shoe.png][my photo.png]\n");
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
      ];
      const ask = lines.map((line) => `complete -C '${line}'`).join("; ");
      const { stdout } = await runBash(`fish --no-config -c "source ./script; $1"`, [ask], {
        cwd: folder,
        env: { HOME: folder },
      });
      assertEquals(
        stdout.trim().split("\n").map((line) => line.split("\t")[0]),
        ["train", "--backend", "tfjs-cpu", "wasm,tfjs-cpu", "shoe.png"],
      );
    }),
});
