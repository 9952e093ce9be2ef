/** TensorFlow.js's wasm backend with the kernels computes what cpu computes of every type, rank and layout,
 * of NaN and infinities, and leaves the memory around alone. */

import * as tf from "@tensorflow/tfjs";
import fc from "fast-check";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import {
  assertSameOnWasm,
  ignore,
  on,
  property,
  seeds,
  signedValues,
  size,
  valueAndGradients,
} from "./cpu_and_wasm.ts";

type Dtype = "float32" | "int32" | "bool";
type Computed = tf.Tensor | tf.Tensor[];

const DTYPES = ["float32", "int32", "bool"] as const;

/** NaN of either sign, as Infinity - Infinity has another than 0 / 0. */
const NANS = new Float32Array(new Uint32Array([0x7fc00000, 0xffc00000]).buffer);
const FLOATS = [
  ...[
    ...NANS,
    Infinity,
    -Infinity,
    0,
    1,
    -1,
    0.5,
    -0.5,
    2.5,
    -3,
    5.9,
    6,
    7,
    100,
    -100,
    1e-30,
    -1e-30,
  ],
];
const INTEGERS = [0, 1, -1, 2, -3, 5, 6, 7, 100, -100, 65536];

/** A tensor of values at which kernels go wrong, and of others. */
function operand(shape: number[], dtype: Dtype, seed: number): tf.Tensor {
  const count = tf.util.sizeFromShape(shape);
  const draws = signedValues(count, seed);
  if (dtype === "bool") return tf.tensor(draws.map((v) => v > 0 ? 1 : 0), shape, dtype);
  const pool = dtype === "int32" ? INTEGERS : FLOATS;
  const picks = draws.map((v) => pool[Math.abs(v * 8) % pool.length]);
  if (dtype === "int32") return tf.tensor(Int32Array.from(picks), shape, dtype);
  // A copy from number to number may change the sign of NaN.
  const bits = new Uint32Array(picks.buffer);
  picks.forEach((v, i) => Number.isNaN(v) && (bits[i] = i % 2 ? 0xffc00000 : 0x7fc00000));
  return tf.tensor(picks, shape, dtype);
}

interface Result {
  readonly dtype: string;
  readonly shape: number[];
  readonly values: number[];
}

function results(compute: () => Computed): Result[] {
  return tf.tidy(() =>
    [compute()].flat().map((tensor) => {
      const { dtype, shape } = tensor;
      return { dtype, shape, values: [...tensor.dataSync()] };
    })
  );
}

function assertSame(what: string, wasm: Result[], cpu: Result[]): void {
  const kinds = (found: Result[]) => found.map(({ dtype, shape }) => `${dtype} [${shape}]`);
  assertEquals(kinds(wasm), kinds(cpu), what);
  cpu.forEach(({ values }, which) =>
    values.forEach((expected, i) => {
      const found = wasm[which].values[i];
      const close = Math.abs(found - expected) <= 1e-5 * Math.max(1, Math.abs(expected));
      const message =
        `${what}, result ${which}, element ${i}: expected ${expected}, found ${found}`;
      assert(found === expected || close || Object.is(found, expected), message);
    })
  );
}

/** Runs many operations on both backends, between tensors whose values must stay. */
async function assertAllSame(operations: Record<string, () => Computed>): Promise<void> {
  const expected = await on("cpu", () => Object.values(operations).map(results));
  const around = (k: number) => Float32Array.from({ length: 5 + k % 19 }, (_, i) => k * 100 + i);
  await on("wasm", () => {
    const canaries: tf.Tensor[] = [];
    const found = Object.values(operations).map((compute, k) => {
      canaries.push(tf.tensor(around(k)));
      return results(compute);
    });
    Object.keys(operations).forEach((name, k) => assertSame(name, found[k], expected[k]));
    canaries.forEach((tensor, k) => assertEquals(tensor.dataSync(), around(k), "memory around"));
    tf.dispose(canaries);
  });
}

const last = (x: tf.Tensor) => x.shape[x.rank - 1];
const rank4 = (x: tf.Tensor) => tf.reshape(x, [1, x.size, 1, 1]) as tf.Tensor4D;
const indices = (...values: number[]) => tf.tensor1d(values, "int32");
// deno-lint-ignore no-explicit-any -- TensorFlow.js declares many operations for float32 only
const any = (x: unknown) => x as any;

/** Every operation of one tensor whose kernel is replaced for some type or value.
 *
 * Not compared: what has a fraction of cpu's float64 sums, and booleans that cpu makes 2 or 255.
 */
const UNARY: Record<string, (x: tf.Tensor) => Computed> = {
  abs: tf.abs,
  acos: tf.acos,
  acosh: tf.acosh,
  asin: tf.asin,
  asinh: tf.asinh,
  atan: tf.atan,
  atanh: tf.atanh,
  bandPart: (x) => tf.linalg.bandPart(tf.reshape(x, [1, ...x.shape]), 0, 1),
  bincount: (x) =>
    tf.bincount(any(tf.cast(tf.clipByValue(x, 0, 8), "int32").flatten()), any(tf.tensor([])), 9),
  "cast to bool": (x) => tf.cast(x, "bool"),
  "cast to float32": (x) => tf.cast(x, "float32"),
  "cast to int32": (x) => tf.cast(x, "int32"),
  clip: (x) => tf.clipByValue(x, -2, 3.5),
  clone: (x) => tf.clone(x),
  concat: (x) => tf.concat([x, x], -1),
  cumprod: (x) => tf.cumprod(tf.step(x), 0),
  cumsum: (x) => tf.cumsum(x.dtype === "float32" ? tf.step(x) : x, 0, true, true),
  exp: (x) => tf.exp(x.dtype === "float32" ? x : tf.minimum(x, 5)),
  expm1: (x) => tf.expm1(tf.cast(tf.minimum(tf.cast(x, "float32"), 5), any(x).dtype)),
  gather: (x) => tf.gather(x, indices(0, last(x) - 1, 0), -1),
  isFinite: tf.isFinite,
  isInf: tf.isInf,
  isNaN: tf.isNaN,
  leakyRelu: (x) => tf.leakyRelu(x, 0.3),
  log1p: tf.log1p,
  logicalNot: (x) => tf.logicalNot(any(tf.cast(x, "bool"))),
  max: (x) => tf.max(x, 0),
  "maxPool": (x) => tf.maxPool(rank4(x), 3, 2, "same"),
  min: (x) => tf.min(x, -1),
  neg: tf.neg,
  onesLike: tf.onesLike,
  pad: (x) => tf.pad(x, x.shape.map((_, axis): [number, number] => [axis % 2, 1]), 1),
  reciprocal: tf.reciprocal,
  relu: tf.relu,
  relu6: tf.relu6,
  resizeNearest: (x) => x.dtype === "bool" ? x : tf.image.resizeNearestNeighbor(rank4(x), [3, 2]),
  reverse: (x) => tf.reverse(x, [0]),
  round: tf.round,
  selu: tf.selu,
  sign: tf.sign,
  sinh: (x) => tf.sinh(tf.clipByValue(x, -5, 5)),
  slice: (x) => tf.slice(x, x.shape.map((n) => n > 1 ? 1 : 0)),
  softplus: (x) => tf.softplus(x),
  square: tf.square,
  stack: (x) => tf.stack([x, x]),
  step: (x) => tf.step(x, 0.5),
  stridedSlice: (x) =>
    tf.stridedSlice(x, x.shape.map(() => 0), x.shape, x.shape.map((_, i) => 1 + i % 2)),
  "stridedSlice backwards": (x) =>
    tf.stridedSlice(
      x,
      x.shape.map((n) => n - 1),
      x.shape.map(() => -9),
      x.shape.map((_, i) => -1 - i % 2),
    ),
  tile: (x) => tf.tile(x, x.shape.map((_, axis) => 1 + axis % 3)),
  topk: (x) => {
    const { values, indices } = tf.topk(
      any(tf.isNaN(x)).any().dataSync()[0] ? tf.zerosLike(x) : x,
      1,
    );
    return [values, indices];
  },
  transpose: (x) => tf.transpose(x),
  where: (x) => tf.where(tf.isNaN(x), tf.zerosLike(x), x),
};

const NUMERIC = ["float32", "int32"];

/** Every operation of two tensors whose kernel is replaced for some type or value, and the types it is
 * compared for: cpu makes numbers of a sum of booleans. */
const BINARY: Record<string, (a: tf.Tensor, b: tf.Tensor) => Computed> = {
  atan2: (a, b) => tf.atan2(a, b),
  divNoNan: (a, b) => tf.divNoNan(a, b),
  equal: (a, b) => tf.equal(a, b),
  floorDiv: (a, b) => tf.floorDiv(a, b),
  greater: (a, b) => tf.greater(a, b),
  lessEqual: (a, b) => tf.lessEqual(a, b),
  logicalAnd: (a, b) => tf.logicalAnd(tf.cast(a, "bool"), tf.cast(b, "bool")),
  maximum: (a, b) => tf.maximum(a, b),
  minimum: (a, b) => tf.minimum(a, b),
  mod: (a, b) => tf.mod(a, b),
  mul: (a, b) => tf.mul(a, b),
  notEqual: (a, b) => tf.notEqual(a, b),
  // Of 1 to the power of NaN C++ makes 1, as the standard of floating point does.
  pow: (a, b) =>
    NUMERIC.includes(b.dtype) && a.dtype === "int32" && b.dtype === "int32" ? tf.pow(a, b) : a,
  where: (a, b) =>
    tf.where(tf.greater(a, b), tf.zerosLike(tf.add(a, b)), tf.onesLike(tf.add(a, b))),
};

const shapes = fc.array(size(4), { minLength: 1, maxLength: 5 });

function compareAll<Case>(
  name: string,
  cases: fc.Arbitrary<Case>,
  numRuns: number,
  run: (c: Case) => Promise<void>,
) {
  Deno.test({
    name: `wasm values: ${name}`,
    ignore,
    fn: () => fc.assert(fc.asyncProperty(cases, run), { seed: 1998, numRuns }),
  });
}

for (const dtype of DTYPES) {
  compareAll(
    `operations of one ${dtype} tensor`,
    fc.record({ shape: shapes, seed: seeds }),
    15,
    (c) => {
      const operations = Object.entries(UNARY).map(([name, op]) =>
        [name, () => op(operand(c.shape, dtype, c.seed))] as const
      );
      return assertAllSame(Object.fromEntries(operations));
    },
  );
}

compareAll(
  "operations of two tensors of any types, broadcast",
  fc.record({
    shape: shapes,
    ones: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    dropped: size(5, 0),
    dtypes: fc.tuple(fc.constantFrom(...DTYPES), fc.constantFrom(...DTYPES)),
    swap: fc.boolean(),
    seed: seeds,
  }),
  60,
  ({ shape, ones, dropped, dtypes, swap, seed }) => {
    const other = shape.map((n, axis) => ones[axis] ? 1 : n).slice(Math.min(dropped, shape.length));
    const both = () => {
      const [x, y] = [operand(shape, dtypes[0], seed), operand(other, dtypes[1], seed + 7)];
      return swap ? [y, x] as const : [x, y] as const;
    };
    const operations = Object.entries(BINARY).map(([name, op]) =>
      [name, () => op(...both())] as const
    );
    const prelu = () =>
      tf.prelu(operand(shape, dtypes[0], seed), operand(other, dtypes[1], seed + 7));
    return assertAllSame({ ...Object.fromEntries(operations), prelu });
  },
);

const convolutions = fc.record({
  batchSize: size(2),
  input: fc.tuple(size(6, 3), size(6, 3)),
  kernel: fc.tuple(size(3), size(3)),
  strides: fc.tuple(size(2), size(2)),
  pad: fc.constantFrom<"same" | "valid" | [Pair, Pair, Pair, Pair]>("same", "valid", [
    [0, 0],
    [0, 0],
    [1, 0],
    [2, 1],
  ]),
  channels: fc.tuple(size(4), size(9)),
  seed: seeds,
});
type Pair = [number, number];

property("conv2d with channels first, its value and both gradients", convolutions, 100, (c) => {
  const [inChannels, outChannels] = c.channels;
  return valueAndGradients(
    (x, filter) => tf.conv2d(any(x), any(filter), c.strides, c.pad, "NCHW"),
    [[c.batchSize, inChannels, ...c.input], [...c.kernel, inChannels, outChannels]],
    c.seed,
  );
});

/** TensorFlow.js has these gradients for channels last only: they are compared with those. */
property("depthwiseConv2d with channels first, its value", convolutions, 60, (c) => {
  const [channels, multiplier] = [c.channels[0], 1 + c.channels[1] % 3];
  const { pad } = c;
  const run = (x: tf.Tensor, filter: tf.Tensor) =>
    tf.backend().constructor.name === "MathBackendCPU"
      ? tf.transpose(
        tf.depthwiseConv2d(
          any(tf.transpose(x, [0, 2, 3, 1])),
          any(filter),
          c.strides,
          any(Array.isArray(pad) ? [pad[0], pad[2], pad[3], pad[1]] : pad),
        ),
        [0, 3, 1, 2],
      )
      : tf.engine().runKernel("DepthwiseConv2dNative", { x, filter }, {
        ...{ strides: c.strides, pad: any(c.pad), dataFormat: "NCHW", dilations: 1 },
      }) as tf.Tensor;
  return tf.tidy(() => {
    const [x, filter] = [[c.batchSize, channels, ...c.input], [...c.kernel, channels, multiplier]]
      .map((shape, i) => tf.tensor(signedValues(tf.util.sizeFromShape(shape), c.seed + i), shape));
    return [run(x, filter).dataSync() as Float32Array];
  });
});

compareAll(
  "fused operations keep NaN and infinities, in both layouts",
  fc.record({
    of: convolutions,
    activation: fc.constantFrom(...["linear", "relu", "relu6", "elu", "prelu"] as const),
    bad: fc.constantFrom(NaN, NANS[1], Infinity, -Infinity),
    where: fc.constantFrom("x", "bias"),
    seed: seeds,
  }),
  60,
  ({ of, activation, bad, where, seed }) => {
    const [inChannels, outChannels] = of.channels;
    const make = (shape: number[], name: string, offset: number) => {
      const values = signedValues(tf.util.sizeFromShape(shape), seed + offset);
      if (name === where) values[seed % values.length] = bad;
      return tf.tensor(values, shape);
    };
    const fused = (bias: tf.Tensor) => ({
      bias: any(bias),
      activation,
      preluActivationWeights: activation === "prelu" ? tf.scalar(0.5) : undefined,
    });
    const convolve = (dataFormat: "NHWC" | "NCHW") => () => {
      const images = dataFormat === "NHWC" ? [...of.input, inChannels] : [inChannels, ...of.input];
      return tf.fused.conv2d({
        x: any(make([of.batchSize, ...images], "x", 0)),
        filter: any(make([...of.kernel, inChannels, outChannels], "filter", 1)),
        strides: of.strides,
        pad: "valid",
        dataFormat,
        ...fused(make([outChannels], "bias", 2)),
      });
    };
    return assertAllSame({
      "fused.conv2d": convolve("NHWC"),
      "fused.conv2d NCHW": convolve("NCHW"),
      "fused.depthwiseConv2d": () =>
        tf.fused.depthwiseConv2d({
          x: any(make([of.batchSize, ...of.input, inChannels], "x", 0)),
          filter: any(make([...of.kernel, inChannels, 1], "filter", 1)),
          strides: of.strides[0],
          pad: "valid",
          ...fused(make([inChannels], "bias", 2)),
        }),
      "fused.matMul": () =>
        tf.fused.matMul({
          a: make([of.batchSize, inChannels], "x", 0),
          b: make([inChannels, outChannels], "filter", 1),
          ...fused(make([outChannels], "bias", 2)),
        }),
      avgPool: () => tf.avgPool(any(make([1, ...of.input, inChannels], "x", 0)), 2, 1, "same"),
      maxPool: () => tf.maxPool(any(make([1, ...of.input, inChannels], "x", 0)), 2, 1, "same"),
    });
  },
);

/** Adds up the products of every combination of indices; cpu is wrong where an axis that one tensor alone
 * has is summed before another. */
function einsum(inputs: readonly Axis[][], output: readonly Axis[], operands: ArrayLike<number>[]) {
  const axes = [...new Set(inputs.flat())];
  const sums = new Array<number>(output.reduce((product, { n }) => product * n, 1)).fill(0);
  const count = axes.reduce((product, { n }) => product * n, 1);
  for (let combination = 0; combination < count; combination++) {
    let rest = combination;
    const index = new Map<Axis, number>();
    for (const axis of axes) {
      index.set(axis, rest % axis.n);
      rest = Math.floor(rest / axis.n);
    }
    const place = (of: readonly Axis[]) =>
      of.reduce((at, axis) => at * axis.n + index.get(axis)!, 0);
    sums[place(output)] += inputs.reduce((product, of, i) => product * operands[i][place(of)], 1);
  }
  return sums;
}

interface Axis {
  readonly name: string;
  readonly n: number;
}

compareAll(
  "einsum of one tensor or two, any axes kept or summed",
  fc.record({
    axes: fc.array(fc.tuple(fc.constantFrom("a", "b", "ab"), fc.boolean(), size(3)), {
      minLength: 1,
      maxLength: 5,
    }),
    single: fc.boolean(),
    dtype: fc.constantFrom(...["float32", "int32"] as const),
    turn: size(4, 0),
    seed: seeds,
  }),
  150,
  ({ axes, single, dtype, turn, seed }) =>
    on("wasm", () => {
      const named = axes.map(([of, kept, n], i) => ({ name: "ijklm"[i], of, kept, n }));
      const rotated = <T>(list: T[]) => [...list.slice(turn), ...list.slice(0, turn)];
      const inputs = single
        ? [named]
        : [named.filter(({ of }) => of !== "b"), rotated(named.filter(({ of }) => of !== "a"))];
      const output = rotated(named.filter(({ kept }) => kept));
      const letters = (list: readonly Axis[]) => list.map(({ name }) => name).join("");
      const equation = `${inputs.map(letters)}->${letters(output)}`;
      const tensors = inputs.map((input, i) => {
        const shape = input.map(({ n }) => n);
        return tf.tensor(signedValues(tf.util.sizeFromShape(shape), seed + i), shape, dtype);
      });
      const [result] = results(() => tf.einsum(equation, ...tensors));
      const operands = tensors.map((tensor) => tensor.dataSync());
      tf.dispose(tensors);
      const shape = output.map(({ n }) => n);
      const values = einsum(inputs, output, operands);
      assertSame(equation, [result], [{ dtype, shape, values }]);
    }),
);

property(
  "gather with batch axes, its value and gradient",
  fc.record({
    shape: fc.tuple(size(3), size(3), size(4), size(3)),
    axis: size(3, 1),
    count: size(4),
    seed: seeds,
  }),
  80,
  ({ shape, axis, count, seed }) => {
    const places = signedValues(shape[0] * count, seed).map((v) => Math.abs(v * 8) % shape[axis]);
    const indices = tf.tensor2d(Int32Array.from(places), [shape[0], count], "int32");
    return valueAndGradients((x) => tf.gather(x, any(indices), axis, 1), [shape], seed);
  },
);

property(
  "dilation2d of signed values, its value and both gradients",
  fc.record({
    shape: fc.tuple(size(2), size(6, 3), size(6, 3), size(3)),
    kernel: fc.tuple(size(3), size(3)),
    strides: fc.tuple(size(3), size(3)),
    dilations: fc.tuple(size(2), size(2)),
    pad: fc.constantFrom("same", "valid"),
    seed: seeds,
  }).filter(({ shape, kernel, dilations, pad }) =>
    pad === "same" || kernel.every((n, i) => (n - 1) * dilations[i] < shape[1 + i])
  ),
  80,
  ({ shape, kernel, strides, dilations, pad, seed }) =>
    valueAndGradients(
      (x, filter) => tf.dilation2d(any(x), any(filter), strides, pad as "same", dilations),
      [shape, [...kernel, shape[3]]],
      seed,
    ),
);

const { layers } = tf;
/** Layers whose kernels wasm lacked in one layout. */
const LAYERS: Record<string, [shape: number[], () => tf.layers.Layer]> = {
  conv2d: [
    [2, 6, 5],
    () =>
      layers.conv2d({
        filters: 3,
        kernelSize: 3,
        strides: 2,
        padding: "same",
        dataFormat: "channelsFirst",
      }),
  ],
  conv2dTranspose: [
    [2, 4, 3],
    () =>
      layers.conv2dTranspose({
        filters: 3,
        kernelSize: 3,
        strides: 2,
        dataFormat: "channelsFirst",
      }),
  ],
  convLstm2d: [
    [3, 2, 4, 4],
    () => layers.convLstm2d({ filters: 2, kernelSize: 2, dataFormat: "channelsFirst" }),
  ],
  depthwiseConv2d: [
    [2, 6, 5],
    () =>
      layers.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 2, dataFormat: "channelsFirst" }),
  ],
  prelu: [[3, 4, 2], () => layers.prelu({ sharedAxes: [1], alphaInitializer: "ones" })],
};

for (const [name, [shape, make]] of Object.entries(LAYERS)) {
  Deno.test({
    name: `wasm values: the layer ${name} with channels first, its value and gradients`,
    ignore,
    fn: () =>
      assertSameOnWasm(() =>
        tf.tidy(() => {
          const layer = make();
          const values = (shape: number[], seed: number) =>
            tf.tensor(signedValues(tf.util.sizeFromShape(shape), seed), shape).div(16);
          const x = values([2, ...shape], 1);
          layer.apply(x);
          layer.setWeights(layer.getWeights().map(({ shape }, i) => values(shape, i + 2)));
          const loss = (x: tf.Tensor) => (layer.apply(x) as tf.Tensor).square().sum() as tf.Scalar;
          const { value, grads } = tf.variableGrads(() => loss(x));
          return [value, tf.grad(loss)(x), ...Object.values(grads)]
            .map((tensor) => tensor.dataSync() as Float32Array);
        })
      ),
  });
}

Deno.test({
  name: "wasm values: whole numbers that are no float32 keep their last digit",
  ignore,
  fn: () => {
    const x = () => tf.tensor([16777217, -16777217, 3, 33554435], [4], "int32");
    const names = ["abs", "neg", "relu", "reverse", "round", "sign"] as const;
    const unary = names.map((name) => [name, () => any(tf[name])(x())] as const);
    return assertAllSame({
      ...Object.fromEntries(unary),
      clip: () => tf.clipByValue(x(), -1e9, 1e9),
      resizeNearest: () => tf.image.resizeNearestNeighbor(rank4(x()), [7, 1]),
      stridedSlice: () => tf.stridedSlice(x(), [0], [4], [3]),
      "stridedSlice of a box": () => tf.stridedSlice(x().reshape([2, 2]), [1, 0], [2, 1], [1, 1]),
      "stridedSlice of all": () => tf.stridedSlice(x(), [0], [4], [1]),
      where: () => tf.where(tf.greater(x(), 0), x(), tf.zerosLike(x())),
    });
  },
});

Deno.test({
  name: "wasm values: comparisons of strings, broadcast",
  ignore,
  fn: () => {
    const [a, b] = [["ab", "b", "", "ä"], ["b"]].map((texts) => () => tf.tensor(texts));
    const comparisons = [
      "equal",
      "notEqual",
      "greater",
      "greaterEqual",
      "less",
      "lessEqual",
    ] as const;
    const operations = comparisons.map((name) => [name, () => tf[name](a(), b())] as const);
    return assertAllSame(Object.fromEntries(operations));
  },
});

Deno.test({
  name: "wasm values: nothing is left behind",
  ignore,
  fn: () =>
    on("wasm", () => {
      const run = () => {
        for (const dtype of DTYPES) {
          const x = () => operand([2, 3, 2], dtype, 1);
          for (const op of Object.values(UNARY)) results(() => op(x()));
          for (const op of Object.values(BINARY)) results(() => op(x(), x()));
          results(() => tf.prelu(x(), operand([2, 1, 1], dtype, 2)));
        }
        results(() => tf.einsum("ij,kj->ik", tf.ones([2, 3]), tf.ones([2, 3])));
        results(() =>
          tf.conv2d(any(tf.ones([1, 2, 3, 3])), tf.ones([2, 2, 2, 1]), 1, "valid", "NCHW")
        );
        results(() =>
          tf.depthwiseConv2d(any(tf.ones([1, 2, 3, 3])), tf.ones([1, 1, 3, 1]), 2, "same")
        );
      };
      const counts = () => {
        const { numTensors, numDataBuffers, numBytes } = tf.memory();
        const numDataIds = (tf.backend() as unknown as { numDataIds(): number }).numDataIds();
        return { numTensors, numDataBuffers, numBytes, numDataIds };
      };
      run();
      const before = counts();
      run();
      assertEquals(counts(), before);
    }),
});

Deno.test({
  name: "wasm values: a model that has diverged says NaN, not a loss",
  ignore,
  fn: () =>
    on("wasm", () => {
      const model = tf.sequential({
        layers: [
          layers.conv2d({ inputShape: [4, 4, 1], filters: 2, kernelSize: 3, activation: "relu" }),
          layers.flatten(),
          layers.dense({ units: 2, activation: "softmax" }),
        ],
      });
      model.compile({ optimizer: "sgd", loss: "categoricalCrossentropy" });
      model.setWeights(model.getWeights().map(({ shape }) => tf.fill(shape, NaN)));
      const loss = model.evaluate(tf.ones([1, 4, 4, 1]), tf.tensor2d([[1, 0]])) as tf.Scalar;
      assertEquals(loss.dataSync()[0], NaN);
    }),
});

Deno.test({
  name: "wasm values: what lies outside a tensor is not read",
  ignore,
  fn: () =>
    on("wasm", () =>
      tf.tidy(() => {
        const x = tf.ones([2, 3]);
        const kernel = (name: string, inputs: Record<string, tf.Tensor>, attrs: object) => () =>
          void tf.engine().runKernel(name, inputs, attrs as tf.NamedAttrMap);
        const outside = tf.tensor2d([[0], [3]], [2, 1], "int32");
        assertThrows(
          kernel("GatherV2", { x, indices: outside }, { axis: 1, batchDims: 1 }),
          RangeError,
          "Cannot run GatherV2 as indices must be in [0, 2]: found 3",
        );
        assertThrows(
          kernel("Slice", { x }, { begin: [1, 1], size: [1, 3] }),
          Error,
          "would overflow input.shape[1] (3)",
        );
        const images = tf.ones([1, 3, 3, 1]);
        const inputs = { x: images, filter: tf.ones([2, 2, 1]), dy: tf.ones([1, 3, 3, 1]) };
        assertThrows(
          kernel("Dilation2DBackpropInput", inputs, { strides: 1, pad: "valid", dilations: 1 }),
          TypeError,
          "dy must be [1,2,2,1], the shape of the forward output: found [1,3,3,1]",
        );
      })),
});
