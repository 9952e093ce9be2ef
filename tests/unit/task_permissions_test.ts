import { COMMANDS } from "../../scripts/main.ts";
import {
  keepPermissionsOf,
  permissionFlags,
  taskDescription,
  taskPermissions,
} from "../../src/cli/permissions.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { canRunCommands, ROOT, runDeno } from "../cli/command.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";

Deno.test("a program of several tasks may do what one of them may, and no more", () => {
  assertEquals(permissionFlags([]), []);
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
    await keepPermissionsOf("eval", ["fetch", "eval"]);
    assert(granted({ name: "read" }));
    assert(!granted({ name: "net", host: "127.0.0.1" }));
    await keepPermissionsOf("devices", ["fetch", "eval"]);
    assert(!granted({ name: "read" }));
  },
});

Deno.test({
  name: "a command of the whole program keeps the folders of its task only, wherever it runs",
  ignore: !canRunCommands(),
  fn: () =>
    withTempDir(async (folder) => {
      const commands = Object.keys(COMMANDS);
      const asked = ["data/x", "runs/x", "exports/x", "/tmp/x", "/elsewhere/x"];
      await Deno.writeTextFile(
        `${folder}/ask.ts`,
        `import { keepPermissionsOf } from "file://${ROOT}src/cli/permissions.ts";
        const [task, ...args] = Deno.args;
        await keepPermissionsOf(task, ${JSON.stringify(commands)}, args);
        for (const path of ${JSON.stringify(asked)}) {
          const { state } = await Deno.permissions.query({ name: "write", path });
          if (state === "granted") console.log(path);
        }`,
      );
      const run = async (task: string, cwd: string, ...rest: string[]) => {
        const flags = ["--quiet", "--no-prompt", "--no-config", ...permissionFlags(commands)];
        const args = ["run", ...flags, `${folder}/ask.ts`, task, ...rest];
        const { code, stdout, stderr } = await runDeno(args, { cwd });
        assertEquals([code, stderr], [0, ""]);
        return stdout.split("\n").slice(0, -1);
      };
      for (const cwd of ["/", folder]) {
        assertEquals(await run("fetch", cwd), ["data/x"], cwd);
        assertEquals(await run("predict", cwd), [], cwd);
      }
      assertEquals(await run("train", "/"), ["data/x", "runs/x", "/tmp/x"]);
      assertEquals(await run("export", "/"), ["runs/x", "exports/x", "/tmp/x"]);
      // Below /tmp, what is granted there covers every folder.
      assertEquals(await run("train", folder), asked.slice(0, -1));
      // What the user names may be written, by a command that writes it and by no other.
      for (const given of [["--out", "/elsewhere/x"], ["--out=/elsewhere/x"]]) {
        assertEquals(await run("export", "/", ...given), asked);
        assertEquals(await run("fetch", "/", ...given), ["data/x"]);
        assertEquals(await run("predict", "/", ...given), []);
      }
      assertEquals(await run("train", "/", "--out", "runs/y"), ["data/x", "runs/x", "/tmp/x"]);
    }),
});
