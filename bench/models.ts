/** Models that the benchmark trains, and the work an image of each is. */

import { avgPool2d, conv2d, flatten, linear, relu, sigmoid } from "../src/nn/layers.ts";
import { type Model, sequential } from "../src/nn/sequential.ts";
import { summarize, trainingMacs } from "../src/nn/summary.ts";
import { lenet, zooModel } from "../src/nn/zoo.ts";

/** LeNet with four times as many channels and features. */
function wideLenet(): Model {
  return sequential([
    conv2d({ outChannels: 24, kernelSize: 5, padding: 2 }),
    sigmoid(),
    avgPool2d({ poolSize: 2 }),
    conv2d({ outChannels: 64, kernelSize: 5 }),
    sigmoid(),
    avgPool2d({ poolSize: 2 }),
    flatten(),
    linear({ outFeatures: 480 }),
    relu(),
    linear({ outFeatures: 336 }),
    relu(),
    linear({ outFeatures: 10 }),
  ], { name: "lenet, 4 times as wide" });
}

/** LeNet first. */
export function benchModels(): Model[] {
  const zoo = (["lenet-relu", "lenet-d2l", "mlp"] as const).map((name) => zooModel(name));
  return [lenet(), ...zoo, wideLenet()];
}

/** Floating-point operations of one image: forward, every weight gradient, and input gradients
 * except the first layer's; multiply-adds of convolutions and linear layers only, each counted as
 * two.
 */
export function flopOf(model: Model): { training: number; evaluation: number } {
  const forwardMacs = summarize(model).reduce((sum, layer) => sum + layer.forwardMacs, 0);
  return { training: 2 * trainingMacs(model), evaluation: 2 * forwardMacs };
}
