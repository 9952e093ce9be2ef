import { assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";
import { HelpAsked, UsageError } from "../../src/cli/errors.ts";
import { defineCommand, nearest, parseFlags } from "../../src/cli/flags.ts";
import { helpText } from "../../src/cli/help.ts";

const COMMAND = defineCommand({
  usage: "deno task train",
  summary: "Train a model.",
  examples: [["", "the default"], ["--epochs 5", "shorter"]],
  positionals: { placeholder: "FILE", help: "images", max: 2 },
  flags: {
    epochs: { type: "integer", min: 1, default: 20, help: "passes over the data" },
    "batch-size": { type: "integer", min: 1, default: 256, help: "images per step" },
    lr: { type: "number", exclusiveMin: 0, help: "learning rate", defaultText: "from the model" },
    momentum: { type: "number", min: 0, exclusiveMax: 1, default: 0, help: "momentum" },
    threads: { type: "integer", min: 1, max: 64, help: "worker threads" },
    backend: { type: "choice", choices: ["auto", "wasm"], default: "auto", help: "backend" },
    backends: { type: "list", choices: ["wasm", "webgpu"], help: "backends" },
    out: { type: "string", placeholder: "DIR", help: "where to write" },
    shuffle: { type: "boolean", negatable: true, default: true, help: "shuffle each epoch" },
    quiet: { type: "boolean", help: "say nothing" },
  },
});

function messageOf(...args: string[]): string {
  return assertThrows(() => parseFlags(COMMAND, args), UsageError).message;
}

Deno.test("flags that are not given have their defaults", () => {
  const { flags, positionals } = parseFlags(COMMAND, []);
  assertEquals(
    { ...flags },
    {
      epochs: 20,
      batchSize: 256,
      lr: undefined,
      momentum: 0,
      threads: undefined,
      backend: "auto",
      backends: undefined,
      out: undefined,
      shuffle: true,
      quiet: false,
      help: false,
      debug: false,
    } as typeof flags,
  );
  assertEquals(positionals, []);
});

Deno.test("values have the types that the table says", () => {
  const { flags } = parseFlags(COMMAND, [
    "--epochs=3",
    "--lr",
    "1e-3",
    "--backends",
    "wasm,webgpu",
  ]);
  // Assignments that compile only if the types are inferred from the table.
  const epochs: number = flags.epochs;
  const lr: number | undefined = flags.lr;
  const backend: "auto" | "wasm" = flags.backend;
  const backends: readonly ("wasm" | "webgpu")[] | undefined = flags.backends;
  const quiet: boolean = flags.quiet;
  assertEquals([epochs, lr, backend, quiet], [3, 0.001, "auto", false]);
  assertEquals(backends, ["wasm", "webgpu"]);
});

Deno.test("a flag given twice counts as given last", () => {
  const { flags } = parseFlags(COMMAND, ["--epochs", "3", "--quiet", "--epochs=4", "--no-shuffle"]);
  assertEquals([flags.epochs, flags.quiet, flags.shuffle], [4, true, false]);
});

Deno.test("what is no flag is positional, also numbers and what follows --", () => {
  const { positionals, flags } = parseFlags(COMMAND, ["--quiet", "7", "--", "--epochs"]);
  assertEquals([...positionals], ["7", "--epochs"]);
  assertEquals(flags.epochs, 20);
});

Deno.test("numbers out of range, or that are none, are refused with what is expected", () => {
  assertEquals(
    messageOf("--epochs", "0"),
    'Invalid --epochs "0": expected an integer of 1 or more',
  );
  assertEquals(
    messageOf("--batch-size", "1.5"),
    'Invalid --batch-size "1.5": expected an integer of 1 or more',
  );
  for (const text of ["nan", "Infinity", "0", "-0.1", "0x10", "1e999", "0,1", "zero"]) {
    assertEquals(
      messageOf("--lr", text),
      `Invalid --lr "${text}": expected a number of more than 0`,
    );
  }
  assertEquals(
    messageOf("--momentum=1"),
    'Invalid --momentum "1": expected a number of 0 or more and less than 1',
  );
  assertEquals(
    messageOf("--threads", "65"),
    'Invalid --threads "65": expected an integer from 1 to 64',
  );
  assertStringIncludes(messageOf("--epochs", "99999999999999999999"), "expected an integer");
});

Deno.test("an unknown flag is refused with the nearest one", () => {
  assertEquals(
    messageOf("--epoch", "3"),
    "Unknown flag --epoch: did you mean --epochs? --help lists all flags",
  );
  assertStringIncludes(messageOf("--bach-size=3"), "did you mean --batch-size?");
  assertStringIncludes(messageOf("--no-quiet"), "Unknown flag --no-quiet");
  assertStringIncludes(messageOf("-e"), "Unknown flag -e");
  for (const name of ["--__proto__", "--constructor", "--toString", "--a.b"]) {
    assertStringIncludes(messageOf(name, "1"), `Unknown flag ${name}`);
  }
});

Deno.test("a missing value is said to be missing", () => {
  assertEquals(
    messageOf("--epochs"),
    "Missing value of --epochs: expected an integer of 1 or more, as in --epochs=N",
  );
  assertStringIncludes(messageOf("--out", "--quiet"), "Missing value of --out");
  assertStringIncludes(messageOf("--out="), "Missing value of --out");
});

Deno.test("a word that begins with a dash is a value only if it is a number, or stands behind =", () => {
  const valuesOf = (...args: string[]) => parseFlags(COMMAND, args).flags;
  assertEquals(messageOf("--lr", "-1"), 'Invalid --lr "-1": expected a number of more than 0');
  assertEquals(valuesOf("--out", "-.5").out, "-.5");
  assertEquals(valuesOf("--out=--x").out, "--x");
  assertStringIncludes(messageOf("--out", "-"), "Missing value of --out");
});

Deno.test("words outside a choice are refused with the nearest one", () => {
  assertEquals(
    messageOf("--backend", "wsam"),
    'Invalid --backend "wsam": expected one of auto, wasm; did you mean wasm?',
  );
  assertEquals(
    messageOf("--backends", "wasm,webgup"),
    'Invalid --backends "wasm,webgup": expected a comma-separated list of wasm, webgpu; ' +
      "did you mean webgpu?",
  );
  assertStringIncludes(messageOf("--backends", "wasm,"), 'Invalid --backends "wasm,"');
});

Deno.test("a boolean flag takes no other value than true and false, its opposite none", () => {
  assertStringIncludes(messageOf("--no-shuffle=false"), "Unknown flag --no-shuffle");
  assertEquals(parseFlags(COMMAND, ["--quiet=false"]).flags.quiet, false);
  assertEquals(messageOf("--quiet=no"), 'Invalid --quiet "no": expected no value, true or false');
});

Deno.test("too many and too few arguments are refused", () => {
  assertEquals(
    messageOf("a", "b", "c"),
    'Unexpected argument "c": --help shows what is accepted',
  );
  const command = { ...COMMAND, positionals: { placeholder: "FILE", help: "", min: 1 } };
  const error = assertThrows(() => parseFlags(command, []), UsageError);
  assertEquals(error.message, "Missing FILE: expected 1 or more, found 0");
  const none = { ...COMMAND, positionals: undefined };
  assertThrows(() => parseFlags(none, ["x"]), UsageError, 'Unexpected argument "x"');
});

Deno.test("help is given whatever else is wrong", () => {
  assertThrows(() => parseFlags(COMMAND, ["--help", "--epochs", "0", "--what"]), HelpAsked);
  assertThrows(() => parseFlags(COMMAND, ["-h"]), HelpAsked);
  assertEquals(parseFlags(COMMAND, ["--", "--help"]).positionals, ["--help"]);
});

Deno.test("the help text shows usage, examples, every flag and its default", () => {
  const text = helpText(COMMAND);
  for (
    const part of [
      "Train a model.\n\nUsage: deno task train [FILE...] [flags]",
      "  # shorter\n  deno task train --epochs 5",
      "  --epochs N        passes over the data (default: 20)",
      "  --lr X            learning rate (default: from the model)",
      "  --backend NAME    backend: auto, wasm (default: auto)",
      "  --out DIR         where to write",
      "  --[no-]shuffle    shuffle each epoch (default: true)",
      "  --help            show this help",
    ]
  ) {
    assertStringIncludes(text, part);
  }
  const long = { ...COMMAND.flags, far: { type: "string", help: "word ".repeat(40) } } as const;
  const lines = helpText({ ...COMMAND, flags: long }).split("\n");
  assertEquals(lines.filter((line) => line.length > 80 || line !== line.trimEnd()), []);
});

Deno.test("the nearest word allows for swapped letters and missing ends", () => {
  assertEquals(nearest("froce", ["from", "force"]), "force");
  assertEquals(nearest("fashon", ["sample", "fashion-mnist", "mnist"]), "fashion-mnist");
  assertEquals(nearest("color", ["lr", "live", "out", "json"]), undefined);
});
