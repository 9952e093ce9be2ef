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
    assertMatch(open, /^RankError: Invalid threads: .*, found 0 \(on rank 1\)$/);
    assertMatch(attach, /^RankError: .*255.* \(on rank 1\)$/);
    const unattached =
      "TypeError: Cannot use images that are not attached: call session.attach(data) first";
    assertEquals(rest.slice(0, 2), Array(2).fill(unattached));
    assertEquals(rest.slice(2), Array(3).fill("as one process"));
  },
});
