/** What TensorFlow.js itself expects of its operations, of its wasm backend with the kernels. */

import { assert, assertEquals } from "../assert.ts";
import { canRunCommands, runTask } from "../cli/command.ts";

Deno.test({
  name: "TensorFlow.js's own specs fail on wasm only where they are known to",
  ignore: !canRunCommands(),
  fn: async () => {
    const { code, stdout, stderr } = await runTask("specs", []);
    assertEquals(code, 0, stdout + stderr);
    const [, count, failed] = /(\d+) specs, (\d+) failed/.exec(stdout) ?? [];
    assert(Number(count) > 4_200 && Number(failed) <= 171, stdout);
  },
});
