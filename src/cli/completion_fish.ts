/** Completion in fish. */

import type { CompletableCommand, CompletableFlag, CompletableValue } from "./completable.ts";

/** The script that fish loads, made from all commands. */
export function fishScript(commands: readonly CompletableCommand[]): string {
  return [
    "# Completion of lenet in fish; try it with: lenet completion fish | source",
    "complete -c lenet -f",
    "complete -c lenet -n __fish_use_subcommand -l help -d 'Show what there is'",
    "complete -c lenet -n __fish_use_subcommand -l version -d 'Show the version'",
    ...commands.flatMap(({ name, purpose, flags, positional }) => {
      const condition = `-n '__fish_seen_subcommand_from ${name}'`;
      return [
        `complete -c lenet -n __fish_use_subcommand -a ${name} -d ${quoted(purpose)}`,
        ...flags.map((flag) => `complete -c lenet ${condition} ${flagText(flag)}`),
        ...(positional ? [`complete -c lenet ${condition} ${valueText(positional)}`] : []),
      ];
    }),
    "",
  ].join("\n");
}

function flagText({ name, help, value }: CompletableFlag): string {
  const text = `-l ${name} -d ${quoted(help)}`;
  return value ? `${text} -r ${value.files ? "" : "-f "}${valueText(value)}`.trimEnd() : text;
}

function valueText({ words, files, list }: CompletableValue): string {
  const all = words.join(" ");
  const listed = list ? `(__fish_complete_list , 'string split " " "${all}"')` : all;
  return [files ? "-F" : "", words.length > 0 ? `-a ${quoted(listed)}` : ""].join(" ").trim();
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
