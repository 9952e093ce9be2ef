import { assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { describeError, UsageError } from "../../src/cli/errors.ts";

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
      systemError("Read-only file system (os error 30): mkdir '/x/y'", "EROFS"),
      'The file system is read-only ("/x/y"); choose another folder',
    ],
    [
      new Deno.errors.NotFound("No such file or directory (os error 2): open 'runs/a/config.json'"),
      'No such file or folder ("runs/a/config.json"); check the path',
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
