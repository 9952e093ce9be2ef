import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describeError, UsageError } from "../../src/cli/errors.ts";
import { isSystemError, readingReason } from "../../src/system_reason.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { canRunCommands, ROOT, runDeno } from "../cli/command.ts";
import { withTempDir } from "../temp.ts";

function systemError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

Deno.test("describeError says in one line what was found and what to do", () => {
  const cases: [unknown, string][] = [
    [new UsageError("Unknown flag --x"), "Unknown flag --x"],
    [new TypeError("First line\nsecond line"), "First line"],
    ["a string", "Unexpected: a string"],
    [
      systemError("No space left on device (os error 28)", "ENOSPC"),
      "The disk is full; free some space and run again",
    ],
    [
      new Error("File too large (os error 27)"),
      "The file is larger than may be; raise ulimit -f and run again",
    ],
    [
      systemError("Read-only file system (os error 30): mkdir '/x/y'", "EROFS"),
      'The file system is read-only ("/x/y"); choose another folder',
    ],
    [
      new Deno.errors.NotFound("No such file or directory (os error 2): open 'runs/a/config.json'"),
      'No such file or folder ("runs/a/config.json"); check the path',
    ],
    [
      new Deno.errors.NotFound("No such file or directory (os error 2): open 'a\nb.png'"),
      'No such file or folder ("a\\nb.png"); check the path',
    ],
    [
      new Deno.errors.PermissionDenied("Permission denied (os error 13): rename 'a' -> 'b'"),
      'Permission denied ("a" to "b"); check who owns it, or choose another folder',
    ],
    [
      new Deno.errors.NotCapable('Requires read access to "x", run again with --allow-read'),
      'Permission missing: requires read access to "x", run again with --allow-read',
    ],
  ];
  for (const [error, expected] of cases) assertEquals(describeError(error), expected);
});

Deno.test("why a file cannot be read is said without the system's number, and what to do", () => {
  const cases: [Error, string][] = [
    [
      new Deno.errors.PermissionDenied("Permission denied (os error 13): open 'a'"),
      "permission denied; check who owns it, or choose another folder",
    ],
    [
      new Deno.errors.NotCapable('Requires read access to "a"'),
      "no permission to read it; run again with --allow-read",
    ],
    [systemError("Input/output error (os error 5)", "EIO"), "Input/output error"],
  ];
  for (const [error, expected] of cases) {
    assertEquals([readingReason(error), isSystemError(error)], [expected, true]);
  }
  for (const fault of [new TypeError("x"), systemError("x", "ERR_INVALID_URL"), "EIO"]) {
    assertEquals(isSystemError(fault), false);
  }
});

Deno.test("what an error says cannot steer a terminal", () => {
  assertEquals(describeError(new Error("a\u001b[2Jb")), "a\ufffd[2Jb");
});

Deno.test({
  name: "an error outside of a command's promises ends it in one line too",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const module = pathToFileURL(join(ROOT, "src/cli/errors.ts")).href;
      const strays = {
        timer: `setTimeout(() => { throw new TypeError("late"); })`,
        listener: `addEventListener("x", () => { throw new TypeError("late"); });
          setTimeout(() => dispatchEvent(new Event("x")))`,
        promise: `setTimeout(() => { Promise.reject(new TypeError("late")); })`,
      };
      for (const [name, stray] of Object.entries(strays)) {
        const path = `${folder}/${name}.ts`;
        await Deno.writeTextFile(
          path,
          `import { runCommand } from ${JSON.stringify(module)};
          await runCommand(() => { ${stray}; return new Promise((end) => setTimeout(end, 60_000)); });`,
        );
        const { code, stderr } = await runDeno(["run", path]);
        assertEquals([name, code, stderr], [name, 1, "error: late\n"]);
      }
    }),
});

Deno.test("describeError says what to do where there is no memory", () => {
  const requests = [
    () => new ArrayBuffer(2 ** 52),
    () => new Float32Array(2 ** 53),
    () => new WebAssembly.Memory({ initial: 1, maximum: 65_536 }).grow(65_536),
  ];
  for (const request of requests) {
    const error = assertThrows(request, RangeError);
    assertMatch(
      describeError(error),
      /^Out of memory \(.*\); use a smaller --batch-size, model or dataset$/,
    );
  }
});
