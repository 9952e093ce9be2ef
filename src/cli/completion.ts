// deno-lint-ignore-file no-console
/** Completion: the stubs that shells load, and the hidden command that answers them.
 *
 * A stub calls `lenet complete WORDS...`, of which the last is what stands before the cursor. The answer's
 * first line says what else the shell is to offer: `files`, `folders`, or `none`; each of the others is
 * a word, a tab and what it means.
 */

import { DATASETS } from "../data/registry.ts";
import { EXIT, UsageError } from "./errors.ts";
import type { Command, FlagSpec, ValueFlag } from "./flag_types.ts";
import { defineCommand, didYouMean, parseFlags } from "./flags.ts";
import { COMMON_FLAGS, isNegatable } from "./help.ts";

// What is called is the program that the user types: it need not be in PATH.
const STUBS = {
  bash: `# Completion of lenet in bash; try it with: source <(lenet completion bash)
_lenet() {
  local answer kind=
  # bash takes --flag=value for three words.
  mapfile -t answer < <("\${1/#~/$HOME}" complete "\${COMP_WORDS[@]:1:COMP_CWORD-1}" "\${2#=}" 2>/dev/null)
  COMPREPLY=("\${answer[@]:1}")
  COMPREPLY=("\${COMPREPLY[@]%%$'\\t'*}")
  case \${answer[0]} in
    files) kind=-f ;;
    folders) kind=-d ;;
    *) return ;;
  esac
  compopt -o filenames
  mapfile -t -O \${#COMPREPLY[@]} COMPREPLY < <(compgen $kind -- "\${2#=}")
}
complete -F _lenet lenet`,
  zsh: `#compdef lenet
# Completion of lenet in zsh; try it with: source <(lenet completion zsh)
_lenet() {
  local ret=1
  local -a answer=("\${(@f)$(\${~words[1]} complete "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  local -a offers=("\${(@)\${(@)answer[2,-1]//:/\\\\:}/$'\\t'/:}")
  (( $#answer > 1 )) && _describe lenet offers && ret=0
  [[ $PREFIX == --*=* ]] && compset -P '*='
  [[ $answer[1] == files ]] && _files && ret=0
  [[ $answer[1] == folders ]] && _files -/ && ret=0
  return ret
}
if [[ $funcstack[1] == _lenet ]]; then _lenet "$@"; else compdef _lenet lenet; fi`,
  fish: `# Completion of lenet in fish; try it with: lenet completion fish | source
function __lenet_complete
  set -l words (string replace -r '^~' $HOME -- (commandline -opc))
  set -l current (commandline -ct)
  set -l answer ($words[1] complete $words[2..-1] "$current" 2>/dev/null)
  string join \\n -- $answer[2..-1]
  set -l parts (string match -r -- '^((?:--[^=]*=)?)(.*)' "$current")
  switch "$answer[1]"
    case files
      string join \\n -- "$parts[2]"(__fish_complete_path "$parts[3]")
    case folders
      string join \\n -- "$parts[2]"(__fish_complete_directories "$parts[3]")
  end
end
complete -c lenet -f -a '(__lenet_complete)'`,
};

const SHELLS = Object.keys(STUBS);

const COMMAND = defineCommand({
  usage: "lenet completion",
  summary: "Print what makes a shell complete the commands of lenet, flags and values.",
  examples: [
    ["bash > ~/.local/share/bash-completion/completions/lenet", "bash, from the next shell on"],
    ["fish > ~/.config/fish/completions/lenet.fish", "fish"],
    ["zsh > FOLDER/_lenet", "zsh, with a folder of $fpath"],
  ],
  positionals: { placeholder: "SHELL", help: "bash, zsh or fish", min: 1, max: 1 },
  flags: {},
});

/** Runs the command that prints a stub, and returns the exit code.
 *
 * @throws {UsageError} If there is none for the shell.
 */
export function completionCommand(args: string[]): number {
  const { positionals: [shell] } = parseFlags(COMMAND, args);
  if (!Object.hasOwn(STUBS, shell!)) {
    throw new UsageError(
      `Unknown shell "${shell}": expected one of ${SHELLS.join(", ")}` + didYouMean(shell!, SHELLS),
    );
  }
  console.log(STUBS[shell as keyof typeof STUBS]);
  return EXIT.ok;
}

/** What may stand in a place of a command line. */
interface Offers {
  /** Words, each with what it means. */
  readonly words?: readonly (readonly [word: string, meaning: string])[];
  /** What the shell itself finds. */
  readonly paths?: "files" | "folders";
  /** What stands before each word already, as `wasm,` in a list. */
  readonly before?: string;
}

/** The program's commands as completion sees them. */
export interface CompletableProgram {
  readonly commands: readonly (readonly [name: string, purpose: string])[];
  /** What a command accepts; undefined if there is none of the name. */
  load(name: string): Promise<Command | undefined>;
}

/** Answers a stub: what may stand where the last of the words does, as text in the form above. */
export async function completionAnswer(
  args: readonly string[],
  program: CompletableProgram,
): Promise<string> {
  const words = args.filter((word) => word !== "="); // bash takes --flag=value for three
  const current = words.at(-1) ?? "";
  const { words: offers = [], paths = "none", before = "" } = await offersFor(words, program);
  const fitting = offers.map(([word, meaning]) => [before + word, meaning])
    .filter(([word]) => word.startsWith(current));
  return [paths, ...fitting.map((columns) => columns.join("\t"))].join("\n");
}

async function offersFor(words: readonly string[], program: CompletableProgram): Promise<Offers> {
  const [name, ...rest] = words;
  if (rest.length === 0) {
    const general = [["--help", "show what there is"], ["--version", "show the version"]] as const;
    return { words: [...program.commands, ...general] };
  }
  const command = name === "completion" ? COMMAND : await program.load(name);
  if (command === undefined) return {};
  const [given, current] = [rest.slice(0, -1), rest.at(-1)!];
  const flags: [string, FlagSpec][] = Object.entries({ ...command.flags, ...COMMON_FLAGS });
  const specOf = (flag = "") => flags.find(([known]) => flag === `--${known}`)?.[1];
  const isFlag = !given.includes("--");
  const [, flag, value] = /^(--[^=]+=)(.*)/s.exec(current) ?? [];
  const spec = isFlag ? specOf(flag?.slice(0, -1) ?? given.at(-1)) : undefined;
  if (spec !== undefined && spec.type !== "boolean") {
    const { before = "", ...offers } = valueOffers(spec, value ?? current);
    return { ...offers, before: (flag ?? "") + before };
  }
  if (isFlag && (current.startsWith("-") || !command.positionals)) {
    const free = flags.filter(([known, { type }]) =>
      type === "repeated" || !given.includes(`--${known}`)
    );
    return { words: free.flatMap(flagOffers) };
  }
  return placeholderOffers(command.positionals?.placeholder ?? "");
}

function flagOffers([name, spec]: [string, FlagSpec]): (readonly [string, string])[] {
  const opposite = [`--no-${name}`, `not: ${spec.help}`] as const;
  return [[`--${name}`, spec.help], ...(isNegatable(spec) ? [opposite] : [])];
}

function valueOffers(spec: ValueFlag, current: string): Offers {
  const known = spec.type === "list"
    ? spec.choices ?? spec.offers
    : spec.type === "choice"
    ? spec.choices
    : undefined;
  if (known === undefined) return placeholderOffers(spec.placeholder ?? "");
  const before = spec.type === "list" ? /^.*,|/s.exec(current)![0] : "";
  const taken = before.split(",").map((word) => word.split("=")[0]);
  const free = known.filter((word) => !taken.includes(word.split("=")[0]));
  return { words: free.map((word) => [word, ""]), before };
}

/** What a value can be by what help calls it: words stand for themselves, and commands call nothing NAME
 * but a dataset. */
function placeholderOffers(placeholder: string): Offers {
  if (placeholder === "SHELL") return { words: SHELLS.map((shell) => [shell, ""]) };
  const names = placeholder.includes("NAME") ? DATASETS : [];
  const words = placeholder.split("|").filter((word) => /^[a-z]+$/.test(word));
  return {
    words: [
      ...words.map((word) => [word, ""] as const),
      ...names.map(({ name, title }) => [name, title] as const),
    ],
    paths: /FILE|PATH|IMAGE/.test(placeholder)
      ? "files"
      : placeholder.includes("DIR")
      ? "folders"
      : undefined,
  };
}
