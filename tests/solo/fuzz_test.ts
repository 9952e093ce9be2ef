/** Files from strangers: mutated ones of every kind, and the traps that mutations seldom find. */

import fc from "fast-check";
import { deflateSync } from "node:zlib";
import jpeg from "jpeg-js";
import { encodeIdx, parseIdx } from "../../src/data/idx.ts";
import { decodePicture } from "../../src/data/picture_file.ts";
import { fromTensors } from "../../src/formats/safetensors/state_dict.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type Tensor,
} from "../../src/formats/safetensors/file.ts";
import { flatten, linear } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { parseJson } from "../../src/parse_json.ts";
import { quote } from "../../src/quote.ts";
import { readBounded, readUnlinked } from "../../src/read_bounded.ts";
import { RunFolder } from "../../src/run/folder.ts";
import { parseMetricsLog } from "../../src/run/metrics.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { faultOfError, fuzz, mutatedFile } from "../fuzz/fuzz.ts";
import { FUZZ_KINDS } from "../fuzz/kinds.ts";
import { concat } from "../fuzz/mutate.ts";
import { chunkBytes } from "../fuzz/pictures.ts";
import { canRunCommands, runDeno } from "../cli/command.ts";
import { granted } from "../permissions.ts";
import { withTempDir } from "../temp.ts";

for (const kindName of Object.keys(FUZZ_KINDS)) {
  Deno.test(`3,000 mutated files of kind ${kindName}: each a documented error or a valid result`, {
    ignore: /^(png|jpeg|bmp|gif|webp)$/.test(kindName) && !granted({ name: "read" }), // decoders are files
  }, async () => {
    const { refused, accepted, failure } = await fuzz(kindName, { seed: 1998, count: 3_000 });
    const again =
      `deno task fuzz --kind ${kindName} --seed 1998 --first ${failure?.index} --count 1`;
    assert(failure === undefined, `${failure?.reason}; again: ${again}`);
    assert(
      refused > 300 && accepted > 30,
      `${refused} refused, ${accepted} accepted: too one-sided`,
    );
  });
}

Deno.test("a mutated file is a function of kind, seed and number alone", () => {
  assertEquals(mutatedFile("png", 7, 40), mutatedFile("png", 7, 40));
  const others = [mutatedFile("png", 8, 40), mutatedFile("png", 7, 41)];
  assert(others.every((bytes) => String(bytes) !== String(mutatedFile("png", 7, 40))));
});

Deno.test("an engine's own error, several lines and an undocumented class count as failures", () => {
  assertEquals(faultOfError(new SyntaxError("Cannot read x: it is damaged")), undefined);
  const stumbles = [
    () => (undefined as unknown as { a: number }).a,
    () => new Uint8Array(-1),
    () => JSON.parse("{"),
    () => ([] as (() => void)[])[0](),
    function deep(): void {
      deep();
    },
  ];
  for (const stumble of stumbles) {
    try {
      stumble();
    } catch (error) {
      assert(faultOfError(error) !== undefined, String(error));
    }
  }
  assert(faultOfError(new SyntaxError("Cannot read x:\nit is damaged")) !== undefined);
  assert(faultOfError(new Error("Cannot read x")) !== undefined);
});

Deno.test("IDX arrays of any dimensions come back as they were written", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 });
  const check = (dimensions: number[], fill: number) => {
    const data = new Uint8Array(dimensions.reduce((a, b) => a * b)).fill(fill);
    assertEquals(parseIdx(encodeIdx({ dimensions, data }), "x", 3), { dimensions, data });
  };
  fc.assert(fc.property(sizes, fc.nat({ max: 255 }), check), { seed: 1998, numRuns: 300 });
});

Deno.test("safetensors of any names and shapes come back as they were written", () => {
  const name = fc.string({ minLength: 1, maxLength: 12 })
    .filter((text) => !["__metadata__", "__proto__", "constructor", "prototype"].includes(text));
  const shape = fc.array(fc.nat({ max: 4 }), { maxLength: 4 });
  const tensor = shape.map((sizes): Tensor => {
    const size = sizes.reduce((product, length) => product * length, 1);
    return { shape: sizes, data: Float32Array.from({ length: size }, (_, n) => n - 0.5) };
  });
  const check = (entries: [string, Tensor][], metadata: Record<string, string>) => {
    const tensors = new Map(entries);
    const decoded = decodeSafetensors(encodeSafetensors({ tensors, metadata }), "x");
    assertEquals(decoded.tensors, tensors);
    assertEquals({ ...decoded.metadata }, { ...metadata });
  };
  const metadata = fc.dictionary(name, fc.string({ maxLength: 9 }), { maxKeys: 3 });
  const entries = fc.uniqueArray(fc.tuple(name, tensor), {
    selector: ([key]) => key,
    maxLength: 6,
  });
  fc.assert(fc.property(entries, metadata, check), { seed: 1998, numRuns: 500 });
});

Deno.test("JSON comes back as it was, unless it is too deep or reaches for prototypes", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), (text) => {
      if (/__proto__|constructor|prototype/.test(text)) return;
      assertEquals(parseJson(text), JSON.parse(text));
    }),
    { seed: 1998, numRuns: 500 },
  );
  assertEquals(
    parseJson("[".repeat(32) + "]".repeat(32)),
    JSON.parse("[".repeat(32) + "]".repeat(32)),
  );
  const cases = [
    ["{", "not JSON"],
    ["[".repeat(34) + "]".repeat(34), "nested more than 32 levels deep"],
    ["[".repeat(500_000) + "]".repeat(500_000), "nested more than 32 levels deep"],
    ['[{"__proto__":1}]', 'JSON with the forbidden name "__proto__"'],
    ['{"a":{"constructor":1}}', 'JSON with the forbidden name "constructor"'],
    ['{"prototype":1}', 'JSON with the forbidden name "prototype"'],
  ];
  for (const [text, message] of cases) {
    assertEquals(assertThrows(() => parseJson(text), SyntaxError).message, message);
  }
});

Deno.test("a value that cannot be written as JSON can still be named in a message", () => {
  const ring: unknown[] = [];
  ring.push(ring);
  assertEquals([quote(ring), quote(1n)], ["a value of type object", "a value of type bigint"]);
});

Deno.test("lines of metrics are checked one by one, and half a line at the end is left out", () => {
  const good = {
    epoch: 1,
    step: 3,
    trainLoss: null,
    trainAccuracy: 0.5,
    testLoss: 1,
    testAccuracy: 0.25,
    trainMs: 10,
    evalMs: 1,
    imagesPerSecond: 1100,
  };
  const line = JSON.stringify(good);
  const [first, ...others] = parseMetricsLog(`${line}\n${line.slice(0, 9)}`, "m");
  assertEquals([first, others], [{ ...good, trainLoss: NaN }, []]);
  const cases = [
    ["[]", "it is not a JSON object"],
    ["{", "it is not JSON"],
    [JSON.stringify({ ...good, epoch: -1 }), "epoch is missing or out of range: found -1"],
    [
      JSON.stringify({ ...good, testAccuracy: "1" }),
      'testAccuracy is missing or out of range: found "1"',
    ],
    [line.replace("1100", "1e999"), "imagesPerSecond is missing or out of range: found Infinity"],
  ];
  for (const [bad, reason] of cases) {
    const { message } = assertThrows(() => parseMetricsLog(`${line}\n${bad}\n`, "m"), SyntaxError);
    assertEquals(message, `Cannot read line 2 of m: ${reason}`);
  }
});

Deno.test("no room is made for parameters that a file claims and does not hold", () => {
  // A gibibyte of parameters, described in some bytes.
  const model = sequential([flatten(), linear({ outFeatures: 256 }), linear({ outFeatures: 9 })], {
    inputShape: [1, 1024, 1000],
  });
  const before = Deno.memoryUsage();
  assertThrows(() => fromTensors(model, new Map(), "x"), TypeError, "found no tensors");
  const after = Deno.memoryUsage();
  assert(after.external - before.external < 2 ** 28, "room was made first");
});

Deno.test("a PNG that claims many pixels and holds few is refused before room is made", () => {
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, 8000);
  new DataView(header.buffer).setUint32(4, 4000);
  header.set([16, 6], 8);
  const png = pngOf(header, new Uint8Array(1_000));
  const { message } = assertThrows(() => decodePicture(png, "x"), SyntaxError);
  assertEquals(message, "Cannot read x as a picture: it holds fewer pixels than its size says");
});

Deno.test("a second header in a PNG is refused: it could claim another size than was checked", {
  ignore: !granted({ name: "read" }),
}, () => {
  const header = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0);
  const large = Uint8Array.of(0, 0, 127, 0, 0, 0, 127, 0, 8, 0, 0, 0, 0);
  const good = pngOf(header, Uint8Array.of(0, 9));
  assertEquals([...decodePicture(good, "x").pixels], [9]);
  const second = concat(
    good.subarray(0, 33),
    chunkBytes({ type: "IHDR", data: large }),
    good.subarray(33),
  );
  assertThrows(() => decodePicture(second, "x"), SyntaxError, "its header is not where it must be");
});

/** A JPEG that says it is a square of another size. */
function claiming(bytes: Uint8Array<ArrayBuffer>, side: number): Uint8Array<ArrayBuffer> {
  const frame = bytes.findIndex((byte, n) => byte === 0xff && bytes[n + 1] === 0xc0);
  new DataView(bytes.buffer).setUint16(frame + 5, side);
  new DataView(bytes.buffer).setUint16(frame + 7, side);
  return bytes;
}

Deno.test("a JPEG that claims many pixels and holds few is refused before room is made", () => {
  const bytes = claiming(smallJpeg(), 5_000);
  const { message } = assertThrows(() => decodePicture(bytes, "x"), SyntaxError);
  assertEquals(
    message,
    "Cannot read x as a picture: the file is too short for its size in pixels: it is cut off",
  );
});

Deno.test("a JPEG with thousands of scans is refused before it keeps the processor for hours", () => {
  const scan = Uint8Array.of(0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0);
  const scans = concat(...Array.from({ length: 20_000 }, () => scan));
  const bytes = claiming(smallJpeg(), 5_000);
  const bomb = concat(bytes.subarray(0, -2), scans, bytes.subarray(-2));
  assertThrows(() => decodePicture(bomb, "x"), SyntaxError, "it has 20001 scans, more than its");
});

Deno.test({
  name: "a file is read up to its bound; links of strangers and what may never end are refused",
  ignore: !canRunCommands() || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      await Deno.writeFile(`${folder}/file`, new Uint8Array(100).fill(3));
      assertEquals(await readBounded(`${folder}/file`, 100), new Uint8Array(100).fill(3));
      await assertRejects(() => readBounded(`${folder}/file`, 99), RangeError, "it has 100 bytes");
      // Making links takes permissions for the whole disk, which the tests do not have.
      const made = await runDeno([
        "eval",
        `
        Deno.symlinkSync("file", ${JSON.stringify(`${folder}/link`)});
        new Deno.Command("mkfifo", { args: [${JSON.stringify(`${folder}/pipe`)}] }).outputSync();
      `,
      ]);
      assertEquals(made.code, 0, made.stderr);
      assertEquals((await readBounded(`${folder}/link`, 100)).length, 100);
      const link = "expected a file, found a link";
      await assertRejects(() => readUnlinked(`${folder}/link`, 100), TypeError, link);
      const pipe = "expected a file, found a pipe or device";
      // A reader finds something, rather than waiting for ever.
      using other = await Deno.open(`${folder}/pipe`, { read: true, write: true });
      await other.write(new Uint8Array(1));
      await assertRejects(() => readBounded(`${folder}/pipe`, 100), TypeError, pipe);
    }),
});

Deno.test({
  name: "a run whose folder holds a link is not gone on with",
  ignore: !canRunCommands() || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      const [config] = FUZZ_KINDS.config.seeds;
      await Deno.writeFile(`${folder}/config.json`, config);
      await assertRejects(() => RunFolder.open(folder), Deno.errors.NotFound);
      const link = JSON.stringify(`${folder}/steps.jsonl`);
      const made = await runDeno(["eval", `Deno.symlinkSync("/dev/null", ${link})`]);
      assertEquals(made.code, 0, made.stderr);
      const message = '"steps.jsonl" in it is a link, which may lead anywhere';
      await assertRejects(() => RunFolder.open(folder), TypeError, message);
    }),
});

function pngOf(header: Uint8Array, rows: Uint8Array): Uint8Array {
  return concat(
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunkBytes({ type: "IHDR", data: header }),
    chunkBytes({ type: "IDAT", data: deflateSync(rows) }),
    chunkBytes({ type: "IEND", data: new Uint8Array() }),
  );
}

function smallJpeg(): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(4 * 16 * 16).fill(120);
  return new Uint8Array(jpeg.encode({ width: 16, height: 16, data }, 60).data);
}
