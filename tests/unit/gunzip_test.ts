import { gzipSync } from "node:zlib";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { collect, type ContentOptions, gunzip, isGzip, SLICE_BYTES } from "../../src/data/files.ts";

const CONTENT = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);

function zip(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(gzipSync(bytes));
}

/** As a file is read: slice by slice. */
function inflate(data: Uint8Array, options: ContentOptions): Promise<Uint8Array> {
  const slices = Array.from(
    { length: Math.ceil(data.length / SLICE_BYTES) },
    (_, index) => data.subarray(index * SLICE_BYTES, (index + 1) * SLICE_BYTES),
  );
  return collect(gunzip(slices, options));
}

Deno.test("gunzip gives back what was compressed, up to the exact bound", async () => {
  for (const content of [CONTENT, CONTENT.subarray(0, 1), new Uint8Array(0)]) {
    const inflated = await inflate(zip(content), { name: "x.gz", maxBytes: content.length });
    assertEquals(inflated, content.slice());
  }
});

Deno.test("gunzip refuses one byte more than the bound", async () => {
  const error = await assertRejects(
    () => inflate(zip(CONTENT), { name: "x.gz", maxBytes: 99_999 }),
    SyntaxError,
  );
  assertEquals(
    error.message,
    'Cannot read "x.gz": expected at most 99,999 bytes of uncompressed data, found more; ' +
      "the file is not what it should be, obtain it again",
  );
});

Deno.test("gunzip asks for its bound once, with the head of the content", async () => {
  const heads: Uint8Array[] = [];
  const maxBytes = (head: Uint8Array) => {
    heads.push(head.slice());
    return 1_000;
  };
  await assertRejects(() => inflate(zip(CONTENT), { name: "x.gz", maxBytes }), SyntaxError);
  assertEquals(heads, [CONTENT.slice(0, 16)]);
});

Deno.test("gunzip stops a gzip bomb long before it has inflated", async () => {
  const bomb = zip(new Uint8Array(200_000_000));
  const before = Deno.memoryUsage().external;
  await assertRejects(
    () => inflate(bomb, { name: "bomb.gz", maxBytes: 1_000 }),
    SyntaxError,
    "expected at most 1,000 bytes",
  );
  // 200 MB uncompressed; one slice inflates to 8 MB, and a few may be in flight.
  assert(Deno.memoryUsage().external - before < 64_000_000);
});

Deno.test("gunzip refuses what is cut short, corrupt, followed by more, or no gzip", async () => {
  const good = zip(CONTENT);
  const flipped = good.slice();
  flipped[flipped.length - 6]! ^= 1;
  const cases = [
    good.subarray(0, good.length - 1),
    good.subarray(0, good.length >> 1),
    good.subarray(0, 5),
    flipped,
    Uint8Array.from([...good, 1, 2, 3]),
    Uint8Array.of(1, 2, 3, 4),
    new Uint8Array(0),
  ];
  for (const bytes of cases) {
    const error = await assertRejects(
      () => inflate(bytes, { name: "x.gz", maxBytes: 1e6 }),
      SyntaxError,
    );
    assertEquals(
      error.message,
      'Cannot read "x.gz": expected a gzip file, found data that is cut short or corrupt; ' +
        "obtain it again",
    );
  }
});

Deno.test("isGzip knows gzip by its first two bytes", () => {
  assertEquals([zip(CONTENT), CONTENT, new Uint8Array(0)].map(isGzip), [true, false, false]);
});
