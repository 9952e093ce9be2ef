/** The operators of ONNX that move windows over an image: convolutions, poolings, and zeros around it. */

import { showShape } from "../../nn/sequential.ts";
import type { Conv2dLayer, Pool2dLayer } from "../../nn/sequential.ts";
import { quote } from "../../quote.ts";
import type { Attributes } from "../attributes.ts";
import { NO_PADDING } from "../value.ts";
import { addConv2d, addPool2d, type Padding, sidesOf } from "../windows.ts";
import {
  axesOf,
  type ComputingNode,
  floatsAt,
  listAt,
  normalAxis,
  type Operator,
  weightAt,
  type Written,
} from "./operators.ts";

/** See {@linkcode addConv2d}. */
export const CONV: Written<Conv2dLayer> = {
  opType: "Conv",
  inputs: 3,
  read(node) {
    const { network, attributes, name } = node;
    network.image();
    const weight = weightAt(node, 1, 4);
    const [, , height, width] = weight.shape;
    const kernelSize = attributes.pair("kernel_shape", [height, width]);
    const groups = attributes.number("group", 1);
    attributes.require("dilations", 1);
    const [stride, padding] = [attributes.pair("strides", 1), paddingOf(attributes)];
    const bias = floatsAt(node, 2)?.data;
    addConv2d(network, { name, kernelSize, stride, padding, groups, weight, bias });
  },
  write: ({ kernelSize, stride, padding, groups }) => ({
    ints: {
      ...{ kernel_shape: kernelSize, strides: stride, pads: [...padding, ...padding] },
      ...(groups > 1 && { group: groups }),
    },
  }),
};

/** A pooling of windows. */
export function pooling(opType: string, type: "avgPool2d" | "maxPool2d"): Written<Pool2dLayer> {
  return {
    opType,
    read({ network, attributes }) {
      const [, ...size] = network.image();
      const [poolSize, stride] = [attributes.pair("kernel_shape"), attributes.pair("strides", 1)];
      attributes.require("dilations", 1);
      const isCounted = attributes.flag("count_include_pad", false);
      attributes.require("storage_order", 0);
      const padding = paddingOf(attributes);
      const sides = sidesOf(padding, { size, windowSize: poolSize, stride });
      // Rounding up is rounding down where the windows cover all rows and columns.
      const isWhole = size.every((length, n) =>
        (length + sides[n][0] + sides[n][1] - poolSize[n]) % stride[n] === 0
      );
      if (attributes.flag("ceil_mode", false) && !isWhole) {
        throw new TypeError(`ceil_mode over an input of ${size.join("x")} is not supported`);
      }
      addPool2d(network, type, { poolSize, stride, padding, isCounted });
    },
    write: ({ poolSize, stride, padding }) => ({
      ints: {
        ...{ kernel_shape: poolSize, strides: stride },
        ...(padding.some((size) => size > 0) && {
          pads: [...padding, ...padding],
          ...(type === "avgPool2d" && { count_include_pad: 1 }),
        }),
      },
    }),
  };
}

/** A pooling of the whole image. */
export function globalPooling(type: "avgPool2d" | "maxPool2d"): Operator {
  return {
    read({ network }) {
      network.image();
      addPool2d(network, type);
    },
  };
}

/** The mean over rows and columns, which is a pooling of all of them. */
export function readMean(node: ComputingNode): void {
  const { network, attributes } = node;
  const { axes, sizes, shape } = network;
  const places = axesOf(node, axes.length + 1) ?? [];
  attributes.require("noop_with_empty_axes", 0);
  if (shape.length !== 3 || places.map((place) => axes[place - 1]).sort().join() !== "1,2") {
    throw new TypeError(`it must be over rows and columns, found axes ${showShape(places)}`);
  }
  addPool2d(network, "avgPool2d");
  if (attributes.flag("keepdims", true)) return;
  network.reshape(sizes.filter((_, n) => !places.includes(n + 1)));
}

function paddingOf(attributes: Attributes): Padding {
  const pads = attributes.list("pads") ?? [0, 0, 0, 0];
  const mode = attributes.value("auto_pad") ?? "NOTSET";
  const isGiven = pads.some((size) => size !== 0);
  if (mode !== "NOTSET" && isGiven) throw new TypeError(`it has both pads and auto_pad ${mode}`);
  if (mode === "SAME_UPPER" || mode === "SAME_LOWER") {
    return mode === "SAME_UPPER" ? "same" : "sameLower";
  }
  if (mode === "VALID") return NO_PADDING;
  if (mode !== "NOTSET") throw new TypeError(`auto_pad ${quote(mode)} is not supported`);
  const [top, left, bottom, right] = pads;
  if (pads.length === 4 && pads.every(isCount)) return [[top, bottom], [left, right]];
  throw new TypeError(`pads must be four whole numbers of 0 or more, found ${showShape(pads)}`);
}

function isCount(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

/** Zeros around rows and columns, which the convolution behind takes as its own. */
export function readPad(node: ComputingNode): void {
  const { network, attributes, inputs } = node;
  const pads = attributes.list("pads") ?? listAt(node, 1) ?? [];
  const rank = network.axes.length + 1;
  const given = listAt(node, 3) ?? [...Array(rank).keys()];
  const places = given.map((axis) => normalAxis(axis, rank));
  if (pads.length === 0) throw new TypeError("it has no pads");
  const mode = attributes.value("mode") ?? "constant";
  const value = attributes.number("value", inputs[2]?.data[0] ?? 0);
  if (pads.every((size) => size === 0)) return;
  const sides: [number, number][] = [[0, 0], [0, 0], [0, 0]];
  const isFit = pads.length === 2 * places.length && pads.every(isCount) &&
    places.every((place, n) => {
      const added: [number, number] = [pads[n], pads[n + places.length]];
      const axis = network.axes[place - 1];
      if (axis > 0) sides[axis] = added;
      return axis > 0 || added.every((size) => size === 0);
    });
  if (!isFit || mode !== "constant" || value !== 0 || network.shape.length !== 3) {
    throw new TypeError(
      `its padding must be zeros around rows and columns, found ${showShape(pads)} of ` +
        `${quote(mode)} ${value}`,
    );
  }
  network.pad([sides[1], sides[2]]);
}
