/** Completion in bash. */

import type { CompletableCommand, CompletableValue } from "./completable.ts";

/** The script that bash loads, made from all commands. */
export function bashScript(commands: readonly CompletableCommand[]): string {
  const names = [...commands.map(({ name }) => name), "--help", "--version"];
  return `# Completion of lenet in bash; try it with: source <(lenet completion bash)
_lenet() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  local words="" files="" prefix=""
  # bash takes --flag=value for three words.
  if [[ $cur == "=" ]]; then cur=""
  elif [[ $prev == "=" ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if ((COMP_CWORD == 1)); then
    words="${names.join(" ")}"
  else
    case "\${COMP_WORDS[1]} $prev" in
${commands.flatMap(casesOf).map((line) => `      ${line}`).join("\n")}
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$words" -- "$cur")
  if [[ $files ]]; then
    local found
    mapfile -t found < <(compgen -f -- "$cur")
    COMPREPLY+=("\${found[@]}")
    compopt -o filenames
  fi
}
complete -F _lenet lenet
`;
}

function casesOf({ name, flags, positional }: CompletableCommand): string[] {
  const values = flags.flatMap((flag) =>
    flag.value ? [`"${name} --${flag.name}") ${assignments(flag.value)} ;;`] : []
  );
  const all = flags.map((flag) => `--${flag.name}`).join(" ");
  const other = positional ? ` else ${assignments(positional)};` : "";
  return [...values, `"${name} "*) if [[ $cur == -* ]]; then words="${all}";${other} fi ;;`];
}

function assignments({ words, files, list }: CompletableValue): string {
  const all = words.length > 0 ? `words="${words.join(" ")}"` : "";
  const last = `[[ $cur != *,* ]] || { prefix="\${cur%,*},"; cur="\${cur##*,}"; }`;
  return [all, files ? "files=1" : "", list ? last : ""].filter(Boolean).join("; ") || ":";
}
