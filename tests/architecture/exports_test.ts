/** What mod.ts gives to programs. */

import { join } from "node:path";
import { assert, assertEquals } from "../assert.ts";
import { canRunCommands, ROOT, runDeno } from "../cli/command.ts";

interface ExportedSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly kind: string;
    readonly jsDoc?: {
      readonly doc?: string;
      readonly tags?: readonly { readonly kind: string }[];
    };
  }[];
}

Deno.test({
  name:
    "every function that mod.ts exports is documented with an example, which deno test --doc runs",
  ignore: !canRunCommands(),
  fn: async () => {
    const { code, stdout, stderr } = await runDeno(["doc", "--json", join(ROOT, "mod.ts")]);
    assertEquals(code, 0, stderr);
    const [{ symbols }] = Object.values<{ symbols: ExportedSymbol[] }>(JSON.parse(stdout).nodes);
    const functions = symbols.filter(({ declarations: [{ kind }] }) => kind === "function");
    const names = functions.map(({ name }) => name);
    const expected = ["evaluate", "lenet", "loadDataset", "openBackend", "predict", "sequential"];
    for (const name of [...expected, "registerWasmTrainingKernels", "train"]) {
      assert(names.includes(name), `expected mod.ts to export ${name}`);
    }
    const bare = functions.filter(({ declarations: [{ jsDoc }] }) =>
      !jsDoc?.doc || !jsDoc.tags?.some(({ kind }) => kind === "example")
    );
    assertEquals(bare.map(({ name }) => name), []);
  },
});
