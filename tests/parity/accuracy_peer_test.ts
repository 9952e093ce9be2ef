/** PyTorch beside `bench:accuracy` changes images in the ways that this project does, and in no other. */

import { fileURLToPath } from "node:url";
import { gatherImages } from "../../src/backends/gather.ts";
import type { Augmentation, Change } from "../../src/data/augment.ts";
import { zooModel } from "../../src/nn/zoo.ts";
import { assertEquals } from "../assert.ts";
import { granted } from "../permissions.ts";

const PEERS = fileURLToPath(new URL("../../bench/peers", import.meta.url));
const PYTHON = ["python3", "/usr/bin/python3"]
  .find((command) => granted({ name: "run", command }));
const hasTorch = PYTHON !== undefined && (await python("import torch")).success;

/** Every image that 20,000 draws of the peer make of one, and no image twice. */
const PROGRAM = `
import json, sys
sys.path.append(sys.argv[1])
import torch
from pytorch_accuracy import augmented
shape, augmentation = json.loads(sys.argv[2])
torch.manual_seed(1)
count = torch.tensor(shape).prod()
images = (torch.arange(1.0, count + 1) / 255).view(1, *shape).expand(20_000, -1, -1, -1)
changed = augmented(images, **augmentation).mul(255).round().int().flatten(1)
print(json.dumps(changed.unique(dim=0).tolist()))
`;

const UNCHANGED: Change = {
  ...{ flip: false, down: 0, right: 0, cos: 1 << 14, sin: 0, factor: 1 },
  erased: { top: 0, left: 0, bottom: 0, right: 0 },
};

const upTo = (least: number, most: number) =>
  Array.from({ length: most - least + 1 }, (_, n) => least + n);

/** Rectangles of 1 to 3 pixels a side, everywhere in 7 x 8. */
function rectangles(): Change[] {
  const spans = (side: number) =>
    upTo(1, 3).flatMap((length) => upTo(0, side - length).map((start) => [start, start + length]));
  return spans(7).flatMap(([top, bottom]) =>
    spans(8).map(([left, right]) => ({ ...UNCHANGED, erased: { top, left, bottom, right } }))
  );
}

const CASES: readonly [
  augmentation: Augmentation,
  shape: [number, number, number],
  changes: Change[],
][] = [
  [
    { flip: true, shift: 1 },
    [2, 3, 4],
    [false, true].flatMap((flip) =>
      upTo(-1, 1).flatMap((down) =>
        upTo(-1, 1).map((right) => ({ ...UNCHANGED, flip, down, right }))
      )
    ),
  ],
  [{ erase: 1 }, [1, 7, 8], rectangles()],
];

for (const [augmentation, inputShape, changes] of CASES) {
  Deno.test({
    name: `PyTorch beside bench:accuracy: ${JSON.stringify(augmentation)}` +
      (PYTHON && !hasTorch ? " (install it: pip install torch)" : ""),
    ignore: !hasTorch,
    async fn() {
      const size = inputShape.reduce((product, length) => product * length);
      const pixels = Uint8Array.from({ length: size }, (_, n) => n + 1);
      const model = zooModel("softmax", { inputShape });
      const expected = changes.map((change) => {
        const image = new Float64Array(size);
        gatherImages(model, pixels, image, {
          indices: Uint32Array.of(0),
          changeOf: () => change,
        });
        return `${image.map((value) => Math.round(255 * value))}`;
      });
      const { success, stdout, stderr } = await python(
        PROGRAM,
        ...[PEERS, JSON.stringify([inputShape, augmentation])],
      );
      assertEquals([success, stderr], [true, ""]);
      const found: number[][] = JSON.parse(stdout);
      assertEquals(found.map(String).sort(), [...new Set(expected)].sort());
    },
  });
}

async function python(program: string, ...args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(PYTHON!, {
    args: ["-c", program, ...args],
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { success, stdout: out, stderr: err };
}
