/** Completion in zsh. */

import type { CompletableCommand, CompletableValue } from "./completable.ts";

/** The script that zsh loads, made from all commands. */
export function zshScript(commands: readonly CompletableCommand[]): string {
  const names = commands.map(({ name, purpose }) => quoted(`${name}:${purpose}`));
  return `#compdef lenet
# Completion of lenet in zsh; try it with: source <(lenet completion zsh)
_lenet() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  _arguments -C '1: :->command' '*:: :->rest' '--help[Show what there is]' '--version[Show the version]'
  case $state in
    command)
      local -a commands
      commands=(
${names.map((name) => `        ${name}`).join("\n")}
      )
      _describe command commands ;;
    rest)
      case $line[1] in
${commands.map(caseOf).join("\n")}
      esac ;;
  esac
}
if [[ $funcstack[1] == _lenet ]]; then _lenet "$@"; else compdef _lenet lenet; fi
`;
}

function caseOf({ name, flags, positional }: CompletableCommand): string {
  const specs = flags.map((flag) => {
    const help = `[${escaped(flag.help)}]`;
    return flag.value ? `--${flag.name}=${help}:${valueText(flag.value)}` : `--${flag.name}${help}`;
  });
  if (positional) specs.push(`*:${valueText(positional)}`);
  return [
    `        ${name})`,
    "          _arguments \\",
    specs.map((spec) => `            ${quoted(spec)}`).join(" \\\n") + " ;;",
  ].join("\n");
}

/** A message and an action; with words and files, both are offered. */
function valueText({ placeholder, words, files, list }: CompletableValue): string {
  const message = escaped(placeholder);
  if (words.length === 0) return `${message}:${files ? "_files" : ""}`;
  const all = words.join(" ");
  if (list) return `${message}:_values -s , ${message} ${all}`;
  return files
    ? `${message}:_alternative "names:name:(${all})" "files:file:_files"`
    : `${message}:(${all})`;
}

function escaped(text: string): string {
  return text.replace(/[\\:[\]]/g, "\\$&");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
