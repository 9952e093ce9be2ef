/** Training on many ranks is the training of one process. */

import type { BackendName } from "../../src/backends/backend.ts";
import { BackendUnavailableError } from "../../src/backends/backend.ts";
import { loadBackend } from "../../src/backends/registry.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { linesOf } from "../cli/command.ts";
import { largestRelativeDifference } from "../parity/cases.ts";
import { canRunMpi, program, runMpi } from "./mpirun.ts";
import {
  optionsOf,
  runCase,
  type SharedCase,
  sharedCases,
  type SharedResult,
} from "./shared_cases.ts";

const ignore = !await canRunMpi();

Deno.test({
  name: "1, 2 and 4 ranks give the losses, predictions and parameters of one process",
  ignore,
  async fn() {
    const backends: BackendName[] = ["reference", "wasm"];
    if (await hasWebgpu()) backends.push("webgpu");
    const cases = await sharedCases(backends);
    const alone: SharedResult[] = [];
    for (const shared of cases) {
      await using session = await open(shared);
      alone.push(await runCase(session, shared));
    }
    for (const count of [1, 2, 4]) {
      // A GPU that the CPU emulates has no room for more.
      const used = count === 2 ? backends : backends.filter((name) => name !== "webgpu");
      const { code, stdout, stderr } = await runMpi({
        count,
        args: program("run_cases.ts", ...used),
      });
      assertEquals([code, stderr], [0, ""]);
      const results = linesOf(stdout).map((line) => JSON.parse(line) as SharedResult);
      const expected = cases.filter(({ backend }) => used.includes(backend));
      assertEquals(results.map(({ name }) => name), expected.map(({ name }) => name));
      results.forEach((result, n) =>
        compare(result, alone[cases.indexOf(expected[n])], expected[n])
      );
    }
  },
});

function compare(actual: SharedResult, expected: SharedResult, { model, name }: SharedCase) {
  assertEquals(actual.losses.length, expected.losses.length);
  expected.losses.forEach((loss, step) => {
    assertAlmostEquals(actual.losses[step], loss, 1e-5, `${name}: loss of step ${step + 1}`);
  });
  assertEquals(actual.corrects, expected.corrects, name);
  assertEquals(actual.predictions, expected.predictions, name);
  assertAlmostEquals(actual.testLoss, expected.testLoss, 1e-5, name);
  const difference = largestRelativeDifference(
    model,
    Float32Array.from(actual.parameters),
    Float32Array.from(expected.parameters),
  );
  assert(difference <= 1e-4, `${name}: parameters differ by ${difference}`);
}

async function open(shared: SharedCase) {
  return await (await loadBackend(shared.backend)).open(shared.model, optionsOf(shared));
}

async function hasWebgpu(): Promise<boolean> {
  const [shared] = await sharedCases(["webgpu"]);
  try {
    await using _session = await open({ ...shared, backend: "webgpu" });
    return true;
  } catch (error) {
    if (error instanceof BackendUnavailableError) return false;
    throw error;
  }
}
