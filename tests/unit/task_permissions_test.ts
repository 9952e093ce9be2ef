import { COMMANDS } from "../../scripts/main.ts";
import {
  keepPermissionsOf,
  permissionFlags,
  taskDescription,
  taskPermissions,
} from "../../src/cli/task_permissions.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { granted } from "../permissions.ts";

Deno.test("a program of several tasks may do what one of them may, and no more", () => {
  assertEquals(permissionFlags(["summary"]), []);
  assertEquals(permissionFlags(["eval", "devices"]), [
    "--allow-read",
    "--allow-sys=cpus",
    "--allow-env=XDG_RUNTIME_DIR",
  ]);
  const flags = permissionFlags(Object.keys(COMMANDS));
  assertEquals(new Set(flags).size, flags.length);
  assertEquals(flags.filter((flag) => !flag.includes("=")), ["--allow-read"]);
  for (const name of Object.keys(COMMANDS)) {
    for (const [kind, values] of taskPermissions(name)) {
      const flag = flags.find((other) => other.startsWith(`--allow-${kind}`));
      const allowed = flag?.split("=")[1]?.split(",") ?? [];
      if (values !== "all") assertEquals(values.filter((value) => !allowed.includes(value)), []);
      else assertEquals(flag, `--allow-${kind}`);
    }
  }
});

Deno.test("every command has a task that describes it", () => {
  for (const name of Object.keys(COMMANDS)) assert(taskDescription(name).length > 0);
  assertThrows(() => taskDescription("toString"), TypeError, 'Cannot find task "toString"');
});

Deno.test({
  name: "a command of the whole program keeps the permissions of its task only",
  ignore: !granted({ name: "read" }, { name: "net", host: "127.0.0.1" }),
  permissions: { read: true, net: ["127.0.0.1"] },
  fn: async () => {
    await keepPermissionsOf("eval");
    assert(granted({ name: "read" }));
    assert(!granted({ name: "net", host: "127.0.0.1" }));
    await keepPermissionsOf("summary");
    assert(!granted({ name: "read" }));
  },
});
