/** How this program's commands are called, for messages that name one. */

/** `deno task train`, or `lenet train` in the compiled program. */
export function invocation(command: string): string {
  return `${Deno.build.standalone ? "lenet" : "deno task"} ${command}`;
}

/** A path as a word of a command line: in quotes where a shell would make something else of it. */
export function shellWord(path: string): string {
  return /^[\w./:@%+,=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
