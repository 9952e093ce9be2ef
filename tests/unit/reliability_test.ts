/** The tables of `docs/reliability.md` name tests that exist. */
import { assert, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test({
  name: "every fault in docs/reliability.md names a test that there is",
  ignore: !granted({ name: "read", path: ROOT }),
  async fn() {
    const text = await Deno.readTextFile(new URL("docs/reliability.md", ROOT));
    const rows = text.split("\n").filter((line) => /^\|(?! fault| -)/.test(line));
    assert(rows.length >= 28, `found ${rows.length} rows`);
    for (const row of rows) {
      const [, file, name] = /`(tests\/[a-z_/]+\.ts)`: (.+?) *\|$/.exec(row) ?? [];
      assert(file !== undefined, `No test in the row ${row}`);
      const source = await Deno.readTextFile(new URL(file, ROOT));
      // Several names are separated by semicolons; dots stand for a parameter.
      for (const part of name.split(/ ?\.\.\. ?|; /).filter((text) => text !== "")) {
        assertEquals([file, source.includes(part)], [file, true], part);
      }
    }
  },
});
