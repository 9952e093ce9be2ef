/** A rank that cannot do its part, where all learn of it. */

import { assertEquals, assertMatch } from "../assert.ts";
import { linesOf } from "../cli/command.ts";
import { canRunMpi, program, runMpi } from "./mpirun.ts";

Deno.test({
  name: "a rank that fails to open, to attach or to say why is reported, and the job goes on",
  ignore: !await canRunMpi(),
  async fn() {
    const { code, stdout, stderr } = await runMpi({ count: 3, args: program("run_failures.ts") });
    assertEquals([code, stderr], [0, ""]);
    const [silent, open, attach, ...rest] = linesOf(stdout);
    assertEquals(silent, "RankError: Error (on rank 1)");
    assertEquals(
      open,
      "RankError: Cannot use 0 threads: expected a whole number, 1 or more (on rank 1)",
    );
    assertMatch(attach, /^RankError: .*255.* \(on rank 1\)$/);
    const unattached =
      "TypeError: Cannot use images that are not attached: call session.attach(data) first";
    assertEquals(rest.slice(0, 4), Array(4).fill(unattached));
    assertEquals(rest.slice(4), Array(3).fill("as one process"));
  },
});
