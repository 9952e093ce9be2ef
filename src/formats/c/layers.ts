/** What each kind of layer is in C: which kernels it calls. */

import { volume } from "../../nn/layers/layer.ts";
import type { LayerOf } from "../../nn/layers/table.ts";
import type { BatchNormLayer, Layer, LayerKind, Pool2dLayer } from "../../nn/sequential.ts";
import type { QuantizedModel } from "../quantized_model.ts";
import type { TrainedModel } from "../trained_model.ts";
import type { KernelName } from "./kernels.ts";
import type { Placement } from "./memory.ts";
import { showFloat } from "./text.ts";
import { type Windows, Writer } from "./writer.ts";

/** A kind of layer in C. */
interface Written<Kind> {
  /** Default: it needs a place of its own. */
  readonly placement?: Placement;
  /** Adds its calls and constants. */
  write(layer: Kind, to: Writer): void;
}

/** A batch norm by itself is a convolution of 1x1, each channel alone. */
const BATCH_NORM: Written<BatchNormLayer> = {
  write(layer, to) {
    const [channels, height = 1, width = 1] = layer.inputShape;
    const shape = [channels, height, width] as const;
    const windows = { kernelSize: [1, 1], stride: [1, 1], padding: [0, 0] } as const;
    writeConv2d(to, { inputShape: shape, outputShape: shape, ...windows, groups: channels });
  },
};

const FLATTEN = { placement: "same", write() {} } as const;

const KINDS: { readonly [Kind in LayerKind]: Written<LayerOf<Kind>> } = {
  conv2d: { write: (layer, to) => writeConv2d(to, layer) },
  linear: {
    write({ inputShape: [inputs], outputShape: [outputs] }, to) {
      if (to.isInt8 && to.isLogits) {
        const { names, zero } = to.logitWeights();
        to.call("linear_logits", [to.input(0), "logits", ...names], [inputs, outputs, zero]);
      } else {
        const numbers = [inputs, outputs, ...to.zeros()];
        to.call("linear", [to.input(0), to.output, ...to.weights()], numbers);
      }
    },
  },
  avgPool2d: { write: writeAverage },
  globalAvgPool2d: { write: writeAverage },
  maxPool2d: {
    write: (layer, to) =>
      to.call("max_pool2d", [to.input(0), to.output, to.shape(windowsOf(layer))], []),
  },
  sigmoid: elementwise("sigmoid", (x) => 1 / (1 + Math.exp(-x))),
  tanh: elementwise("hyperbolic_tangent", Math.tanh),
  relu: elementwise("relu", (x) => Math.max(x, 0)),
  leakyRelu: elementwise(
    "leaky_relu",
    (x, { negativeSlope }) => x > 0 ? x : x * negativeSlope,
    ({ negativeSlope }) => [showFloat(negativeSlope)],
  ),
  batchNorm2d: BATCH_NORM,
  batchNorm1d: BATCH_NORM,
  dropout: FLATTEN,
  flatten: FLATTEN,
  residual: {
    placement: "in place",
    write({ outputShape }, to) {
      const count = volume(outputShape);
      to.call("add", [to.input(0), to.input(1), to.output], [count, ...to.isInt8 ? to.sum() : []]);
    },
  },
};

function writtenAs({ type }: Layer): Written<Layer> {
  return KINDS[type];
}

/** Writes the layers of a folded model, floats or whole numbers, one after another. */
export function writeLayers(trained: TrainedModel | QuantizedModel): Writer {
  const { layers } = trained.model;
  const to = new Writer(trained, layers.map((layer) => writtenAs(layer).placement ?? "new"));
  for (const layer of layers) to.next(() => writtenAs(layer).write(layer, to));
  to.finish();
  return to;
}

/** A function of each number: in whole numbers a table, or nothing where the grid has cut off already. */
function elementwise<Kind extends Layer>(
  kernel: KernelName,
  apply: (x: number, layer: Kind) => number,
  more: (layer: Kind) => readonly string[] = () => [],
): Written<Kind> {
  return {
    placement: "in place",
    write(layer, to) {
      const count = volume(layer.outputShape);
      if (to.output !== to.input(0)) to.call("copy", [to.input(0), to.output], [count]);
      if (!to.isInt8) to.call(kernel, [to.output], [count, ...more(layer)]);
      else if (!to.sharesGrid()) {
        to.call("look_up", [to.output], [count, to.table((x) => apply(x, layer))]);
      } else to.calls.push("/* The bytes before it end where it would cut them off. */");
    },
  };
}

function writeConv2d(to: Writer, windows: Windows): void {
  const args = [to.input(0), to.output, ...to.weights(), to.shape(windows)];
  to.call("conv2d", args, to.zeros());
}

function windowsOf({ poolSize, ...layer }: Pool2dLayer): Windows {
  return { ...layer, kernelSize: poolSize, groups: layer.inputShape[0] };
}

function writeAverage(layer: Pool2dLayer, to: Writer): void {
  const mean = to.isInt8 ? [to.factor(1 / volume(layer.poolSize))] : [];
  to.call("avg_pool2d", [to.input(0), to.output, ...mean, to.shape(windowsOf(layer))], to.zeros());
}
