/** The counts behind what `bench/NOTES_webgpu.md` predicts. */

import { countWaits, type Dispatch } from "../../bench/wgsl_rounds.ts";
import { kernelsOf, waitsOf } from "../../bench/webgpu_counts.ts";
import { assert, assertEquals } from "../assert.ts";

const DISPATCH: Dispatch = {
  group: [2, 0, 0],
  chunk: { groups: 4, count: 256, first: 0, update: 1, accumulate: 0 },
};

function count(main: string, functions = "") {
  const code = `${functions}\nfn main(group: vec3u) { ${main} }`;
  const { rounds, barriers } = countWaits(code, ["a", "b"], DISPATCH);
  return [rounds, barriers];
}

Deno.test("loads beside each other are one round, and one whose address was loaded another", () => {
  assertEquals(count("let x = a[0u]; let y = b[1u]; out[0u] = x + y;"), [1, 0]);
  assertEquals(count("let x = a[0u]; let y = b[x]; out[y] = 1.0;"), [2, 0]);
  assertEquals(count("out[b[0u]] = a[b[1u]];"), [1, 0]); // within a statement they are not told apart
  assertEquals(count("let x = at(1u);", "fn at(i: u32) -> f32 { let p = a[i]; return b[p]; }"), [
    2,
    0,
  ]);
  assertEquals(count("let x = sums[0u]; sums[1u] = x;"), [0, 0]);
});

Deno.test("a loop's rounds and barriers come one after another, as long as it goes on", () => {
  assertEquals(count("for (var i = 0u; i < 7u; i++) { s += a[i]; }"), [7, 0]);
  assertEquals(count("for (var i = group.x * 4u; i < 10u; i++) { s += a[i]; }"), [2, 0]);
  assertEquals(
    count("var n = chunk.groups; for (; n > 0u; n--) { workgroupBarrier(); s += a[n]; }"),
    [4, 4],
  );
  assertEquals(
    count(
      "for (var y = 0u; y < 2u; y++) { let p = b[y]; for (var x = 0u; x < 3u; x++) { s += a[x]; } }",
    ),
    [8, 0],
  );
  assertEquals(count("var i = 0u; while (i < 5u) { i += 2u; s += a[i]; }"), [3, 0]);
});

Deno.test("of branches the one that is taken counts, or the longer where that is loaded", () => {
  assertEquals(count("if (group.x < 2u) { let x = a[0u]; } else { s = 1.0; }"), [0, 0]);
  assertEquals(count("if (group.x >= 2u) { return; } let x = a[0u];"), [0, 0]);
  const loop = "for (var i = 0u; i < 3u; i++) { s += b[i]; }";
  assertEquals(count(`let x = a[0u]; if (x > 0.0) { s = 1.0; } else { ${loop} }`), [4, 0]);
  assertEquals(
    count(`if (group.x == 0u) { s = 1.0; } else if (group.x == 2u) { ${loop} } s = 2.0;`),
    [3, 0],
  );
});

Deno.test("a step of LeNet waits for no more rounds and kernels than its notes say", () => {
  const kernels = kernelsOf("lenet", 256);
  assertEquals(kernels.length, 12);
  const most = Math.max(...kernels.map((kernel) => waitsOf(kernel, 256).rounds));
  assert(most <= 25, `a kernel has ${most} rounds of loads`);
});
