/** Runs ONNX files in ONNX Runtime: one JSON reply for each JSON request on standard input.
 *
 *     deno run --allow-read --config bench/peers/onnxruntime/deno.json bench/peers/onnxruntime/run.ts
 *
 * Request: `{"model": PATH, "shape": [N, C, H, W], "input": [numbers]}`. Reply: what the file says of
 * its input and output, and the output's shape and numbers. It is a project of its own, so that
 * nobody who only trains downloads ONNX Runtime.
 */

import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.numThreads = 1;

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
let rest = "";
for await (const text of lines) {
  const parts = (rest + text).split("\n");
  rest = parts.pop()!;
  for (const line of parts) console.log(JSON.stringify(await reply(JSON.parse(line))));
}

async function reply(request: { model: string; shape: number[]; input: number[] }) {
  const session = await ort.InferenceSession.create(await Deno.readFile(request.model), {
    executionProviders: ["wasm"],
  });
  const input = new ort.Tensor("float32", Float32Array.from(request.input), request.shape);
  const outputs = await session.run({ [session.inputNames[0]]: input });
  const output = outputs[session.outputNames[0]];
  const { inputMetadata, outputMetadata } = session;
  const values = Array.from(output.data as Float32Array);
  await session.release();
  return { inputMetadata, outputMetadata, dims: output.dims, output: values };
}
