/** The kernels added to TensorFlow.js's wasm backend compute what its cpu backend computes. */
import * as tf from "@tensorflow/tfjs";
import fc from "fast-check";
import { registerWasmTrainingKernels } from "../../packages/tfjs-wasm-training/mod.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import {
  assertClose,
  assertSameOnWasm,
  ignore,
  on,
  type Op,
  property,
  seeds,
  signedValues,
  size,
  value,
  valueAndGradients,
} from "./cpu_and_wasm.ts";

type Pair = [number, number];
type Pad = "same" | "valid" | number | tf.backend_util.ExplicitPadding;

const pair = (max: number): fc.Arbitrary<Pair> => fc.tuple(size(max), size(max));
const explicitPads = fc.tuple(size(3, 0), size(3, 0), size(3, 0), size(3, 0)).map((
  [top, bottom, left, right],
): Pad => [[0, 0], [top, bottom], [left, right], [0, 0]]);
const pads: fc.Arbitrary<Pad> = fc.oneof(
  fc.constantFrom<Pad>("same", "valid"),
  size(3, 0),
  explicitPads,
);

const windows = fc.record({
  batchSize: size(3),
  input: pair(9),
  kernel: pair(5),
  strides: pair(4),
  pad: pads,
});
type Window = typeof windows extends fc.Arbitrary<infer T> ? T : never;

/** Output rows and columns as TensorFlow.js sizes them. */
function outputOf({ input, kernel, strides, pad }: Window, dilations: Pair = [1, 1]): Pair {
  const { outHeight, outWidth } = tf.backend_util.computeConv2DInfo(
    [1, ...input, 1],
    [...kernel, 1, 1],
    strides,
    dilations,
    pad,
  );
  return [outHeight, outWidth];
}

const fits = (window: Window) => outputOf(window).every((outSize) => outSize > 0);

const convolutions = fc.record({
  window: windows.filter(fits),
  inChannels: size(5),
  outChannels: size(10),
  seed: seeds,
});

property("conv2d, its value and both gradients", convolutions, 300, (c) => {
  const { batchSize, input, kernel, strides, pad } = c.window;
  return valueAndGradients(
    (x, filter) => tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, strides, pad),
    [[batchSize, ...input, c.inChannels], [...kernel, c.inChannels, c.outChannels]],
    c.seed,
  );
});

property(
  "conv2d, dilated or fused with an activation, its value",
  fc.record({
    window: windows,
    channels: pair(5),
    dilations: pair(3),
    activation: fc.constantFrom(...["linear", "relu", "relu6", "elu", "sigmoid"] as const),
    biasShape: fc.constantFrom<number[] | undefined>([], [1], undefined),
    seed: seeds,
  }).map((c) => ({ ...c, window: { ...c.window, strides: [1, 1] as Pair } }))
    .filter((c) => outputOf(c.window, c.dilations).every((outSize) => outSize > 0)),
  150,
  ({ window: { batchSize, input, kernel, strides, pad }, ...c }) => {
    const [inChannels, outChannels] = c.channels;
    return value(
      (x, filter, bias) =>
        tf.fused.conv2d({
          x: x as tf.Tensor4D,
          filter: filter as tf.Tensor4D,
          bias,
          strides,
          pad,
          dilations: c.dilations,
          activation: c.activation,
        }),
      [
        [batchSize, ...input, inChannels],
        [...kernel, inChannels, outChannels],
        c.biasShape ?? [outChannels],
      ],
      c.seed,
    );
  },
);

property(
  "depthwiseConv2d fused with an activation, its value",
  fc.record({
    window: windows.filter(fits),
    channels: pair(3),
    activation: fc.constantFrom(...["linear", "relu", "leakyrelu", "prelu"] as const),
    seed: seeds,
  }),
  100,
  ({ window: { batchSize, input, kernel, strides, pad }, channels, activation, seed }) => {
    const outChannels = channels[0] * channels[1];
    return value(
      (x, filter, bias, preluActivationWeights) =>
        tf.fused.depthwiseConv2d({
          x: x as tf.Tensor4D,
          filter: filter as tf.Tensor4D,
          bias,
          strides,
          pad: pad as "same", // declared too narrowly: explicit padding works as well
          activation,
          preluActivationWeights: activation === "prelu" ? preluActivationWeights : undefined,
          leakyreluAlpha: 0.25,
        }),
      [[batchSize, ...input, channels[0]], [...kernel, ...channels], [outChannels], [outChannels]],
      seed,
    );
  },
);

property(
  "conv2d with a rounding mode, its value",
  fc.record({
    window: windows,
    pad: size(3, 0),
    dimRoundingMode: fc.constantFrom(...["floor", "round", "ceil"] as const),
    seed: seeds,
  }).filter((c) => fits({ ...c.window, pad: c.pad })),
  100,
  ({ window: { batchSize, input, kernel, strides }, pad, dimRoundingMode, seed }) =>
    value(
      (x, filter) =>
        tf.conv2d(
          x as tf.Tensor4D,
          filter as tf.Tensor4D,
          strides,
          pad,
          "NHWC",
          1,
          dimRoundingMode,
        ),
      [[batchSize, ...input, 2], [...kernel, 2, 3]],
      seed,
    ),
);

property("conv2dTranspose, its value and both gradients", convolutions, 150, (c) => {
  const { batchSize, input, kernel, strides, pad } = c.window;
  const outputShape: [number, number, number, number] = [batchSize, ...input, c.inChannels];
  return valueAndGradients(
    (y, filter) =>
      tf.conv2dTranspose(y as tf.Tensor4D, filter as tf.Tensor4D, outputShape, strides, pad),
    [
      [batchSize, ...outputOf(c.window), c.outChannels],
      [...kernel, c.inChannels, c.outChannels],
    ],
    c.seed,
  );
});

const depthwise = fc.record({
  window: windows.filter(fits),
  inChannels: size(9),
  multiplier: size(3),
  seed: seeds,
});

property("depthwiseConv2d, its value and both gradients", depthwise, 200, (c) => {
  const { batchSize, input, kernel, strides, pad } = c.window;
  return valueAndGradients(
    (x, filter) => tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, strides, pad),
    [[batchSize, ...input, c.inChannels], [...kernel, c.inChannels, c.multiplier]],
    c.seed,
  );
});

property("separableConv2d, its value and all gradients", depthwise, 60, (c) => {
  const { batchSize, input, kernel, strides } = c.window;
  return valueAndGradients(
    (x, depthFilter, pointFilter) =>
      tf.separableConv2d(
        x as tf.Tensor4D,
        depthFilter as tf.Tensor4D,
        pointFilter as tf.Tensor4D,
        strides,
        "same",
      ),
    [
      [batchSize, ...input, c.inChannels],
      [...kernel, c.inChannels, c.multiplier],
      [1, 1, c.inChannels * c.multiplier, 4],
    ],
    c.seed,
  );
});

const poolings = fc.record({ window: windows.filter(fits), channels: size(9), seed: seeds });

property("maxPool of signed values, its value and gradient", poolings, 250, (c) => {
  const { batchSize, input, kernel, strides, pad } = c.window;
  return valueAndGradients(
    (x) => tf.maxPool(x as tf.Tensor4D, kernel, strides, pad),
    [[batchSize, ...input, c.channels]],
    c.seed,
  );
});

property("avgPool, its value and gradient", poolings, 200, (c) => {
  const { batchSize, input, kernel, strides, pad } = c.window;
  return valueAndGradients(
    (x) => tf.avgPool(x as tf.Tensor4D, kernel, strides, pad),
    [[batchSize, ...input, c.channels]],
    c.seed,
  );
});

property("maxPool of int32, its value", poolings, 60, (c) => {
  const { batchSize, input, kernel, strides, pad } = c.window;
  return value(
    (x) => tf.maxPool(x.toInt() as tf.Tensor4D, kernel, strides, pad),
    [[batchSize, ...input, c.channels]],
    c.seed,
  );
});

// Windows are cubes: cpu mistakes the maximum's place in others.
property(
  "maxPool3d of signed values, its value and gradient",
  fc.record({
    shape: fc.tuple(size(2), size(5, 3), size(5, 3), size(5, 3), size(3)),
    filterSize: size(3),
    strides: fc.tuple(size(3), size(3), size(3)),
    pad: fc.constantFrom("same", "valid"),
    seed: seeds,
  }),
  100,
  ({ shape, filterSize, strides, pad, seed }) =>
    valueAndGradients(
      (x) => tf.maxPool3d(x as tf.Tensor5D, filterSize, strides, pad as "same" | "valid"),
      [shape],
      seed,
    ),
);

property(
  "maxPoolWithArgmax of signed values, its values and indices",
  fc.record({ poolings, includeBatchInIndex: fc.boolean() }),
  60,
  ({ poolings: { window, channels, seed }, includeBatchInIndex }) =>
    value(
      (x) => {
        const { result, indexes } = tf.maxPoolWithArgmax(
          x as tf.Tensor4D,
          window.kernel,
          window.strides,
          "same",
          includeBatchInIndex,
        );
        return tf.concat([result, indexes.toFloat()]);
      },
      [[window.batchSize, ...window.input, channels]],
      seed,
    ),
);

property(
  "conv3d, its value and both gradients",
  fc.record({
    batchSize: size(2),
    input: fc.tuple(size(4), size(4), size(4)),
    kernel: fc.tuple(size(3), size(3), size(3)),
    strides: fc.tuple(size(3), size(3), size(3)),
    pad: fc.constantFrom("same", "valid"),
    channels: pair(3),
    seed: seeds,
  }).filter(({ input, kernel, pad }) => pad === "same" || input.every((n, i) => n >= kernel[i])),
  100,
  ({ batchSize, input, kernel, strides, pad, channels, seed }) =>
    valueAndGradients(
      (x, filter) =>
        tf.conv3d(x as tf.Tensor5D, filter as tf.Tensor5D, strides, pad as "same" | "valid"),
      [[batchSize, ...input, channels[0]], [...kernel, ...channels]],
      seed,
    ),
);

property(
  "matMul, transposed or not, batched or not, its value and both gradients",
  fc.record({
    batches: fc.constantFrom<[number[], number[]]>(
      [[], []],
      [[1], [1]],
      [[3], [3]],
      [[2, 3], [2, 3]],
    ),
    sizes: fc.tuple(size(9), size(9), size(9)),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    seed: seeds,
  }),
  200,
  ({ batches: [batchA, batchB], sizes: [rows, inner, columns], transposeA, transposeB, seed }) =>
    valueAndGradients(
      (a, b) => tf.matMul(a, b, transposeA, transposeB),
      [
        [...batchA, ...(transposeA ? [inner, rows] : [rows, inner])],
        [...batchB, ...(transposeB ? [columns, inner] : [inner, columns])],
      ],
      seed,
    ),
);

property(
  "matMul of float32 or int32, broadcast, its value",
  fc.record({
    dtype: fc.constantFrom(...["float32", "int32"] as const),
    batches: fc.constantFrom<[number[], number[]]>([[], []], [[3], [3]], [[3], [1]], [[1], [2]]),
    sizes: fc.tuple(size(5), size(5), size(5)),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    seed: seeds,
  }),
  100,
  ({ batches: [batchA, batchB], sizes: [rows, inner, columns], ...c }) =>
    value(
      (a, b) => tf.matMul(a.cast(c.dtype), b.cast(c.dtype), c.transposeA, c.transposeB),
      [
        [...batchA, ...(c.transposeA ? [inner, rows] : [rows, inner])],
        [...batchB, ...(c.transposeB ? [columns, inner] : [inner, columns])],
      ],
      c.seed,
    ),
);

property(
  "gather, its value and gradient, with repeated indices",
  fc.record({
    shape: fc.tuple(size(4), size(4), size(4)),
    axis: size(2, 0),
    indices: fc.array(size(1000, 0), { minLength: 1, maxLength: 6 }),
    seed: seeds,
  }),
  100,
  ({ shape, axis, indices, seed }) =>
    valueAndGradients(
      (x) => tf.gather(x, tf.tensor1d(indices.map((i) => i % shape[axis]), "int32"), axis),
      [shape],
      seed,
    ),
);

property(
  "unsortedSegmentSum, with segments out of range",
  fc.record({
    segments: fc.array(size(6, -2), { minLength: 1, maxLength: 8 }),
    rest: fc.array(size(3), { maxLength: 2 }),
    seed: seeds,
  }),
  100,
  ({ segments, rest, seed }) =>
    value(
      (x) => tf.unsortedSegmentSum(x, tf.tensor1d(segments, "int32"), 5),
      [[segments.length, ...rest]],
      seed,
    ),
);

// cpu takes the wrong matrices where both batches are broadcast.
Deno.test({
  name: "wasm kernels: matMul broadcasts both batches at once",
  ignore,
  fn: () =>
    on("wasm", () => {
      for (const dtype of ["float32", "int32"] as const) {
        const [product, expected] = tf.tidy(() => {
          const a = tf.tensor(signedValues(2 * 2 * 3, 1), [2, 1, 2, 3]).cast(dtype);
          const b = tf.tensor(signedValues(3 * 3 * 2, 2), [1, 3, 3, 2]).cast(dtype);
          const spread = tf.matMul(tf.tile(a, [1, 3, 1, 1]), tf.tile(b, [2, 1, 1, 1]));
          return [tf.matMul(a, b), spread].map((t) => t.toFloat().dataSync() as Float32Array);
        });
        assertClose([product], [expected]);
      }
    }),
});

Deno.test({
  name: "wasm kernels: a tensor multiplied once multiplies rightly after a reshape",
  ignore,
  fn: () =>
    assertSameOnWasm(() =>
      tf.tidy(() => {
        const b = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
        const first = tf.matMul(tf.ones([1, 2]), b);
        const second = tf.matMul(tf.ones([1, 3]), tf.reshape(b, [3, 2]));
        const third = tf.fused.matMul({ a: tf.ones([1, 6]), b: tf.reshape(b, [6, 1]) });
        return [first, second, third].map((tensor) => tensor.dataSync() as Float32Array);
      })
    ),
});

Deno.test({
  name: "wasm kernels: the gradient of a convolution rounded up is that of one padded further",
  ignore,
  fn: async () => {
    const gradients = (pad: Pad, dimRoundingMode?: "ceil") =>
      valueAndGradients(
        (x, filter) =>
          tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 3, pad, "NHWC", 1, dimRoundingMode),
        [[2, 6, 6, 2], [2, 2, 2, 3]],
        7,
      );
    const expected = await on("cpu", () => gradients([[0, 0], [1, 2], [1, 2], [0, 0]]));
    assertClose(await on("wasm", () => gradients(1, "ceil")), expected);
  },
});

Deno.test({
  name: "wasm kernels: nothing is left behind after values, gradients and errors",
  ignore,
  fn: () =>
    on("wasm", () => {
      const run = () => {
        const conv: Op = (x, f) => tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, [2, 3], 1);
        valueAndGradients(conv, [[2, 7, 6, 3], [3, 2, 3, 4]], 1);
        const cut: Op = (x, f) => tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 2, 0);
        valueAndGradients(cut, [[1, 9, 4, 1], [2, 1, 1, 2]], 2);
        const depthwise: Op = (x, f) =>
          tf.depthwiseConv2d(x as tf.Tensor4D, f as tf.Tensor4D, 2, "same");
        valueAndGradients(depthwise, [[2, 5, 5, 3], [3, 3, 3, 2]], 3);
        valueAndGradients((x) => tf.maxPool(x as tf.Tensor4D, 2, 2, "same"), [[2, 5, 5, 3]], 4);
        valueAndGradients((x) => tf.avgPool(x as tf.Tensor4D, 1, 1, "same"), [[2, 5, 5, 3]], 5);
        valueAndGradients(
          (x) => tf.maxPool3d(x as tf.Tensor5D, 2, 2, "same"),
          [[1, 4, 4, 4, 2]],
          6,
        );
        valueAndGradients((a, b) => tf.matMul(a, b, true, true), [[4, 3], [5, 4]], 7);
        valueAndGradients((x) => tf.gather(x, [0, 0, 1]), [[3, 2]], 8);
        assertThrows(() =>
          value(
            (x, f) => tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, "valid"),
            [[1, 2, 2, 1], [4, 4, 1, 1]],
            9,
          )
        );
      };
      const counts = () => {
        const { numTensors, numDataBuffers, numBytes } = tf.memory();
        const numDataIds = (tf.backend() as unknown as { numDataIds(): number }).numDataIds();
        return { numTensors, numDataBuffers, numBytes, numDataIds };
      };
      run();
      const before = counts();
      for (let i = 0; i < 3; i++) run();
      assertEquals(counts(), before);
    }),
});

Deno.test({
  name: "wasm kernels: registering again changes nothing and warns of nothing",
  ignore,
  fn: () => {
    const output = globalThis.console;
    const { warn } = output;
    const warnings: unknown[] = [];
    output.warn = (...message: unknown[]) => warnings.push(message);
    try {
      registerWasmTrainingKernels();
      const { kernelFunc } = tf.getKernel("Conv2D", "wasm");
      registerWasmTrainingKernels();
      assertEquals(tf.getKernel("Conv2D", "wasm").kernelFunc, kernelFunc);
    } finally {
      output.warn = warn;
    }
    assertEquals(warnings, []);
  },
});

Deno.test({
  name: "wasm kernels: what cannot be computed is refused with the op, the expected and the found",
  ignore,
  fn: () =>
    on("wasm", () => {
      const kernel = (name: string, inputs: Record<string, tf.Tensor>, attrs: object) => () => {
        tf.engine().runKernel(name, inputs, attrs as tf.NamedAttrMap);
      };
      tf.tidy(() => {
        const x = tf.zeros([1, 4, 4, 2]);
        const filter = tf.zeros([3, 3, 2, 2]);
        const dy = tf.zeros([1, 2, 2, 2]);
        const attrs = { strides: 1, pad: "valid", dataFormat: "NHWC", dilations: 1 };
        const filterShape = [3, 3, 2, 2];
        const inputShape = [1, 4, 4, 2];
        const refusals: [() => void, typeof TypeError | typeof RangeError, string][] = [
          [
            kernel("Conv2D", { x, filter }, { ...attrs, dataFormat: "CHWN" }),
            RangeError,
            "Cannot run Conv2D on the wasm backend as dataFormat must be NHWC: found CHWN",
          ],
          [
            kernel("Conv2DBackpropFilter", { x, dy }, {
              ...attrs,
              dataFormat: "CHWN",
              filterShape,
            }),
            RangeError,
            "Cannot run Conv2DBackpropFilter on the wasm backend as dataFormat must be NHWC",
          ],
          [
            kernel("Conv2D", { x: x.toInt(), filter }, attrs),
            TypeError,
            "Cannot run Conv2D on the wasm backend as x must be float32: found int32",
          ],
          [
            kernel("Conv2D", { x, filter }, { ...attrs, pad: 0.5 }),
            RangeError,
            "Cannot run Conv2D as padBefore of the rows must be an integer: found 0.5",
          ],
          [
            kernel("Conv2D", { x, filter: tf.zeros([6, 1, 2, 2]) }, attrs),
            RangeError,
            "Cannot run Conv2D as the window must fit the padded input: " +
            "found rows of 4 padded by 0 for a window of 6",
          ],
          [
            kernel("Conv2DBackpropFilter", { x, dy: tf.zeros([1, 3, 3, 2]) }, {
              ...attrs,
              filterShape,
            }),
            TypeError,
            "Cannot run Conv2DBackpropFilter on the wasm backend as dy must be [1,2,2,2], " +
            "the shape of the forward output: found [1,3,3,2]",
          ],
          [
            kernel("Conv2DBackpropInput", { dy: tf.zeros([1, 1, 2, 2]), filter }, {
              ...attrs,
              inputShape,
            }),
            TypeError,
            "as dy must be [1,2,2,2], the shape of the forward output: found [1,1,2,2]",
          ],
          [
            kernel("DepthwiseConv2dNativeBackpropInput", {
              dy: tf.zeros([1, 2, 2, 2]),
              filter: tf.zeros([2, 2, 2, 1]),
            }, { ...attrs, dilations: 2, inputShape }),
            RangeError,
            "Cannot run DepthwiseConv2dNativeBackpropInput on the wasm backend " +
            "as dilations must be 1: found [2,2]",
          ],
          [
            kernel("MaxPoolGrad", { dy, input: x, output: dy }, {
              filterSize: 2,
              strides: 1,
              pad: "valid",
            }),
            TypeError,
            "Cannot run MaxPoolGrad on the wasm backend as dy must be [1,3,3,2]",
          ],
          [
            kernel("UnsortedSegmentSum", { x, segmentIds: tf.zeros([3], "int32") }, {
              numSegments: 2,
            }),
            TypeError,
            "Cannot run UnsortedSegmentSum as segmentIds must be [1], one for each slice of x: " +
            "found [3]",
          ],
        ];
        for (const [body, errorClass, message] of refusals) {
          assertThrows(body, errorClass, message);
        }
      });
    }),
});
