// deno-lint-ignore-file no-console
/** The completion command: a script that makes a shell complete commands, flags and their values. */

import { DATASETS } from "../data/registry.ts";
import type { CompletableCommand, CompletableFlag } from "./completable.ts";
import { bashScript } from "./completion_bash.ts";
import { fishScript } from "./completion_fish.ts";
import { zshScript } from "./completion_zsh.ts";
import { EXIT, UsageError } from "./errors.ts";
import type { Command, FlagSpec } from "./flag_types.ts";
import { COMMON_FLAGS, defineCommand, didYouMean, isNegatable, parseFlags } from "./flags.ts";
import { helpText } from "./help.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

const COMMAND = defineCommand({
  usage: "lenet completion",
  summary: "Print a script that makes a shell complete the commands of lenet, flags and values.",
  examples: [
    ["bash > ~/.local/share/bash-completion/completions/lenet", "bash, from the next shell on"],
    ["fish > ~/.config/fish/completions/lenet.fish", "fish"],
    ["zsh > FOLDER/_lenet", "zsh, with a folder of $fpath"],
  ],
  positionals: { placeholder: "SHELL", help: "bash, zsh or fish", min: 1, max: 1 },
  flags: {},
});

/** Runs the command with its arguments and returns the exit code.
 *
 * @throws {UsageError} If there is no script for the shell.
 */
export function completionCommand(
  args: string[],
  commands: readonly { name: string; purpose: string; command: Command }[],
): number {
  const { positionals: [shell], help } = parseFlags(COMMAND, args);
  if (help) {
    console.log(helpText(COMMAND));
    return EXIT.ok;
  }
  const shells = Object.keys(SCRIPTS);
  if (!shells.includes(shell!)) {
    throw new UsageError(
      `Unknown shell "${shell}": expected one of ${shells.join(", ")}` + didYouMean(shell!, shells),
    );
  }
  const script = SCRIPTS[shell as keyof typeof SCRIPTS];
  const completion = { name: "completion", purpose: "Print such a script", command: COMMAND };
  console.log(script([...commands, completion].map(completable)).trimEnd());
  return EXIT.ok;
}

function completable(
  { name, purpose, command }: { name: string; purpose: string; command: Command },
): CompletableCommand {
  const flags = Object.entries({ ...command.flags, ...COMMON_FLAGS }).flatMap(flagsOf);
  if (command.positionals === undefined) return { name, purpose, flags };
  const { placeholder } = command.positionals;
  const words = placeholder === "SHELL" ? Object.keys(SCRIPTS) : wordsOf(placeholder);
  const files = words.length === 0;
  return { name, purpose, flags, positional: { placeholder, words, files, list: false } };
}

function flagsOf([name, spec]: [string, FlagSpec]): CompletableFlag[] {
  const { help } = spec;
  if (spec.type === "boolean") {
    const flag = { name, help };
    return isNegatable(spec) ? [flag, { name: `no-${name}`, help: `not: ${help}` }] : [flag];
  }
  const placeholder = spec.placeholder ?? spec.type;
  const choices = "choices" in spec ? spec.choices : undefined;
  const words = choices ?? wordsOf(placeholder);
  const files = spec.type === "string" && /DIR|FILE|PATH/.test(placeholder);
  return [{ name, help, value: { placeholder, words, files, list: spec.type === "list" } }];
}

/** Commands call nothing NAME but a dataset. */
function wordsOf(placeholder: string): string[] {
  return placeholder.includes("NAME") ? DATASETS.map(({ name }) => name) : [];
}
