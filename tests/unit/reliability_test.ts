/** The tables of `docs/reliability.md` name tests that exist, and leave out no fault that was asked for. */
import { assert, assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";

const ROOT = new URL("../../", import.meta.url);

/** Faults that must not be missing, as the tables' first column calls them. */
const FAULTS = [
  "`kill -9` at any moment, the start of a run included",
  "the newest checkpoint is damaged or gone",
  "another dataset, model, seed or optimiser",
  "Ctrl-C twice",
  "SIGTERM",
  "`train \\| head -1`",
  "no terminal",
  "several runs are given one folder at once",
  "the disk is full",
  "what is printed goes to a file on a full disk",
  "a folder that cannot be written",
  "the clock jumps",
  "a huge `--batch-size`",
  "the system gives no memory",
  "a worker thread crashes",
  "the GPU has no memory",
  "the GPU is lost",
  "other programs fight for the cores",
  "a run of hours",
  "a thousand sessions",
  "the loss becomes NaN or infinite",
  "files of a run, a sweep or a comparison are given to somebody else",
  "a damaged or forged file of any kind",
  "JSON nested deeply, or with names that reach for prototypes",
  "tensors that overlap, leave gaps or lie outside the file",
  "a header that claims a gibibyte of parameters",
  "a gzip bomb",
  "a PNG bomb, in pixels or in other chunks",
  "HTTP, or a redirect to it",
  "redirects without end",
  "a server that stalls, never answers, or drips",
  "more bytes than the file may have, announced or not",
  "404, 403, a web page, a part",
  "500",
  "the connection breaks",
  "a server with other content",
  "two fetches at once; the first is killed, or waits",
  "a task asks for more than it needs",
  "training reaches for the network or a program",
  "a command writes where it need not",
];

/** The names that a file's tests have; each `${...}` of a template stands for any text. */
function testNames(source: string): RegExp[] {
  const literals = source.matchAll(
    /(?:Deno\.test\(|^ *name:)\s*(?:"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/gm,
  );
  return Array.from(literals, ([, text, template]) => {
    const parts = text === undefined ? template!.split(/\$\{[^}]*\}/) : [text];
    const unescaped = parts.map((part) => RegExp.escape(part.replaceAll(/\\(.)/g, "$1")));
    return new RegExp(`^${unescaped.join(".+")}$`);
  });
}

/** Whether a text is a test's name, or several with semicolons between; names may hold some too. */
function areNames(text: string, names: readonly RegExp[]): boolean {
  if (names.some((name) => name.test(text))) return true;
  return Array.from(text.matchAll(/; /g)).some(({ index }) =>
    names.some((name) => name.test(text.slice(0, index))) && areNames(text.slice(index + 2), names)
  );
}

Deno.test("a test's name is told from a comment, from a part of one, and from another test's", () => {
  const names = testNames(
    'Deno.test("a; b", f);\n// once: c\nDeno.test({\n  name: `${x} is \\`d\\``,\n});\nDeno.test(\n  "e",',
  );
  for (const text of ["a; b", "... is `d`", "e", "a; b; e", "e; 7 is `d`; a; b"]) {
    assert(areNames(text, names), text);
  }
  for (const text of ["a", "b", "c", "is `d`", "e; c", "a; b; ", ""]) {
    assert(!areNames(text, names), text);
  }
});

Deno.test({
  name: "every fault in docs/reliability.md names a test that there is, and none is missing",
  ignore: !granted({ name: "read", path: ROOT }),
  async fn() {
    const text = await Deno.readTextFile(new URL("docs/reliability.md", ROOT));
    const rows = text.split("\n").filter((line) => /^\|(?! fault| -)/.test(line));
    const faults = new Set<string>();
    const missing: string[] = [];
    for (const row of rows) {
      const [, fault, file, tests] =
        /^\| (.+?) +\| .*`(tests\/[a-z_/]+\.ts)`: (.+?) *\|$/.exec(row) ?? [];
      assert(fault !== undefined, `No test in the row ${row}`);
      faults.add(fault);
      const names = testNames(await Deno.readTextFile(new URL(file, ROOT)));
      if (!areNames(tests, names)) missing.push(`${file}: ${tests}`);
    }
    assertEquals(missing, []);
    assertEquals(FAULTS.filter((fault) => !faults.has(fault)), []);
  },
});
