/** How this program's commands are called, for messages that name one. */

/** `deno task train`, or `lenet train` in the compiled program. */
export function invocation(command: string): string {
  return `${Deno.build.standalone ? "lenet" : "deno task"} ${command}`;
}
