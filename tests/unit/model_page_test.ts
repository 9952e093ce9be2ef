/** The parts of a model's page that need no browser. */

import { batchNorm1d, dropout, flatten, linear } from "../../src/nn/layers.ts";
import { sequential } from "../../src/nn/sequential.ts";
import { modelPage } from "../../src/page/model_page.ts";
import { Classifier } from "../../src/page/browser/classifier.ts";
import { decodePageModel, encodePageModel } from "../../src/page/page_model.ts";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "../assert.ts";
import { randomlyLearned } from "../random_models.ts";
import { referenceLogits } from "../reference_logits.ts";

const HIDDEN = [linear({ outFeatures: 5, bias: false }), batchNorm1d(), dropout()];
const MODEL = sequential([flatten(), ...HIDDEN, linear({ outFeatures: 3 })], {
  name: "</script><!--",
  inputShape: [1, 4, 5],
  standardization: { mean: 0.3, std: 0.5 },
});
const TRAINED = {
  model: MODEL,
  ...randomlyLearned(MODEL, 2),
  classNames: ["</script>", "\u2028", "<!--<script>"],
  pictures: { invert: false, darkOnLight: true },
};

Deno.test("a page's model survives its text, which holds nothing that HTML would take for markup", () => {
  const text = encodePageModel(TRAINED);
  assert(!text.includes("<"));
  assertEquals(decodePageModel(text), TRAINED);
});

Deno.test("a page is refused for a model whose images are neither grey nor in colour", async () => {
  const model = sequential([flatten(), linear({ outFeatures: 3 })], { inputShape: [2, 4, 5] });
  await assertRejects(
    () => modelPage({ ...TRAINED, model }),
    TypeError,
    "it takes 2 channels, expected 1 or 3",
  );
});

Deno.test("a page's classifier answers alike after thousands of pictures, in a fresh session", async () => {
  const classifier = new Classifier(TRAINED, "wasm");
  const pixels = Uint8Array.from({ length: 20 }, (_, index) => 12 * index);
  const first = await classifier.classify(pixels);
  const data = { images: pixels, labels: new Uint8Array(1), count: 1, shape: MODEL.inputShape };
  const expected = await referenceLogits(TRAINED, data);
  expected.forEach((logit, n) => assertAlmostEquals(first.logits[n], logit, 1e-5));
  for (let count = 1; count < 2100; count++) await classifier.classify(new Uint8Array(20));
  assertEquals((await classifier.classify(pixels)).logits, first.logits);
  await classifier.dispose();
});
