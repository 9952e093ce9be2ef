/** What the entries give to programs. */

import { join } from "node:path";
import { assert, assertEquals } from "../assert.ts";
import config from "../../deno.json" with { type: "json" };
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
  name: "every function of the entries is documented with an example, which deno test --doc runs",
  ignore: !canRunCommands(),
  fn: async () => {
    const entries = Object.values(config.exports).map((path) => join(ROOT, path));
    const { code, stdout, stderr } = await runDeno(["doc", "--json", ...entries]);
    assertEquals(code, 0, stderr);
    const nodes = Object.values<{ symbols: ExportedSymbol[] }>(JSON.parse(stdout).nodes);
    const symbols = nodes.flatMap(({ symbols }) => symbols);
    const functions = symbols.filter(({ declarations: [{ kind }] }) => kind === "function");
    const names = functions.map(({ name }) => name);
    const expected = ["evaluate", "lenet", "loadDataset", "openBackend", "predict", "sequential"];
    for (const name of [...expected, "registerWasmTrainingKernels", "train"]) {
      assert(names.includes(name), `expected ${name} to be exported`);
    }
    const bare = functions.filter(({ declarations: [{ jsDoc }] }) =>
      !jsDoc?.doc || !jsDoc.tags?.some(({ kind }) => kind === "example")
    );
    assertEquals(bare.map(({ name }) => name), []);
  },
});
