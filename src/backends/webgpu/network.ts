/** A model on a device: its tensors, and the kernels of forward, backward and update. */

import type { OptimizerSpec } from "../backend.ts";
import { slotCount } from "../check_data.ts";
import type { Model } from "../../nn/sequential.ts";
import type { Standardization } from "../../nn/standardization.ts";
import { checkRounds, chooseCapacity, layPartials } from "./capacity.ts";
import type { Gpu } from "./gpu.ts";
import type { Binding, Kernel } from "./kernel.ts";
import { activationBackward, activationForward } from "./kernels/activation_alone.ts";
import { conv2dInputGradient } from "./kernels/conv2d_input_gradient.ts";
import { conv2dStridedInputGradient } from "./kernels/conv2d_strided_input_gradient.ts";
import { conv2dPoolForward } from "./kernels/conv2d_pool_forward.ts";
import { conv2dWeightGradient } from "./kernels/conv2d_weight_gradient.ts";
import { linearWeightGradient } from "./kernels/linear_weight_gradient.ts";
import { pool2dBackward, pool2dForward } from "./kernels/pool2d.ts";
import type { ResultBuffers } from "./kernels/gather_images.ts";
import { countJoinedLayers, LINEAR_LAYERS_BUFFERS, linearLayers } from "./kernels/linear_layers.ts";
import { softmaxCrossEntropy } from "./kernels/softmax_cross_entropy.ts";
import type { GradientTarget } from "./kernels/store_gradient.ts";
import { updateParameters } from "./kernels/update_parameters.ts";
import { type ConvolveOperation, listOperations } from "./operations.ts";
import { layParameters, type ParameterLayout } from "./parameter_layout.ts";
import { isConvolve, isSliding, type Placed, placeOperations } from "./placement.ts";
import { flattenTensor, type Tensor, type TensorMaker } from "./tensors.ts";
import type { Tuning } from "./tuning.ts";

/** What a network is built for. */
export interface NetworkOptions {
  readonly optimizer: OptimizerSpec;
  readonly batchSize: number;
  readonly tuning: Tuning;
}

/** A model's tensors and kernels. */
export interface Network {
  /** Most images of a chunk; a larger batch is cut. */
  readonly capacity: number;
  /** Images of a workgroup; a chunk is a whole number of groups, the last part empty. */
  readonly group: number;
  readonly layout: ParameterLayout;
  readonly parameters: GPUBuffer;
  readonly gradients: GPUBuffer;
  readonly slots: readonly GPUBuffer[];
  /** What the gathered images are written to, and as what. */
  readonly input: Tensor;
  readonly standardization: Standardization;
  readonly logits: Tensor;
  /** A step of training, the update last. */
  readonly training: Pass;
  /** Forward only. */
  readonly evaluation: Pass;
}

/** Kernels that carry a chunk's gathered images through the network. */
export interface Pass {
  readonly before: readonly Kernel[];
  /** The kernel that computes the loss, for the buffers of a data set and a call. */
  loss(results: ResultBuffers): Kernel;
  readonly after: readonly Kernel[];
}

/** Allocates a model's tensors and writes its kernels. */
export function buildNetwork(gpu: Gpu, model: Model, options: NetworkOptions): Network {
  const { tuning, optimizer } = options;
  const operations = listOperations(model);
  checkRounds(gpu, model, operations);
  const capacity = chooseCapacity(gpu, model, options);
  const usage = GPUBufferUsage.STORAGE;
  const maker: TensorMaker = {
    capacity,
    imagesPerInvocation: tuning.imagesPerInvocation,
    createBuffer: (label, size) => gpu.createBuffer(label, size, usage),
  };
  const layout = layParameters(model);
  const vector = (label: string) =>
    gpu.createBuffer(
      label,
      4 * layout.length,
      usage | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    );
  const parameters = vector("parameters");
  const gradients = vector("gradients");
  const slots = Array.from({ length: slotCount(optimizer) }, (_, n) => vector(`slot ${n}`));
  const canJoin = gpu.device.limits.maxStorageBuffersPerShaderStage >= LINEAR_LAYERS_BUFFERS;
  const joinedCount = canJoin ? countJoinedLayers(operations, tuning) : 0;
  const placed = placeOperations(maker, operations, joinedCount);
  const last = placed[placed.length - 1];
  const firstTrained = operations.findIndex(({ type }) => type === "convolve");
  const weightsOf = (operation: ConvolveOperation) =>
    bindParameters(gpu, operation, { layout, parameters });
  const headLength = placed.length - joinedCount;
  const head = placed.slice(0, headLength).map((place) => {
    const { operation, input, output, target: { activated } } = place;
    switch (operation.type) {
      case "convolve":
        return conv2dPoolForward(
          operation,
          { input, activated, output, parameters: weightsOf(operation) },
          tuning,
        );
      case "pool":
        return pool2dForward(operation, { input, output }, tuning);
      case "activation":
        return activationForward(operation, { input, output }, tuning);
    }
  });
  const logits = flattenTensor(last.output);
  const lossOptions = { classCount: model.classCount, tuning };
  const inputGradients = placed.slice(firstTrained + 1, headLength).toReversed().map((place) => {
    const { target } = placed[placed.indexOf(place) - 1];
    return inputGradient(place, { target, weightsOf, tuning });
  });
  const tail = placed.slice(headLength).filter(isConvolve)
    .map((place) => ({ ...place, place: layout.places.get(place.operation.layer)! }));
  const before = headLength > firstTrained ? placed[headLength - 1] : undefined;
  const ranges = layPartials(operations, layout, { tuning, capacity });
  const partialsLength = Math.max(...ranges.map(({ end }) => end));
  const partials = gpu.createBuffer("partials", 4 * partialsLength, usage);
  const gradientStages = placed.filter(isConvolve).map((place, index) => (
    { ...place, gradMaps: place.target.gradient, place: ranges[index].place }
  ));
  const weightGradients = gradientStages.slice(0, gradientStages.length - joinedCount)
    .map((stage) =>
      stage.operation.layer.type === "linear"
        ? linearWeightGradient([stage], { partials, tuning, capacity })
        : conv2dWeightGradient(stage.operation, { ...stage, partials }, tuning)
    );
  if (joinedCount > 0) {
    const joined = gradientStages.slice(-joinedCount);
    weightGradients.push(linearWeightGradient(joined, { partials, tuning, capacity }));
  }
  const update = updateParameters(
    ranges.map(({ range }) => range),
    { parameters, gradients, slots, partials },
    optimizer,
  );
  return {
    capacity,
    group: tuning.imagesPerInvocation * tuning.invocations,
    layout,
    parameters,
    gradients,
    slots,
    input: placed[0].input,
    standardization: model.standardization,
    logits,
    training: {
      before: head,
      loss: (results) =>
        joinedCount > 0
          ? linearLayers(
            tail,
            { parameters, results, backward: { target: before?.target } },
            tuning,
          )
          : softmaxCrossEntropy(logits, results, { ...lossOptions, target: last.target }),
      after: [...inputGradients, ...weightGradients, update],
    },
    evaluation: {
      before: head,
      loss: (results) =>
        joinedCount > 0
          ? linearLayers(tail, { parameters, results }, tuning)
          : softmaxCrossEntropy(logits, results, lossOptions),
      after: [],
    },
  };
}

function inputGradient(
  { operation, input, output, target: { gradient } }: Placed,
  { target, weightsOf, tuning }: {
    readonly target: GradientTarget;
    readonly weightsOf: (operation: ConvolveOperation) => readonly [Binding, Binding];
    readonly tuning: Tuning;
  },
): Kernel {
  switch (operation.type) {
    case "convolve": {
      const [weights] = weightsOf(operation);
      const kernel = isSliding(operation) ? conv2dInputGradient : conv2dStridedInputGradient;
      return kernel(operation, { gradMaps: gradient, weights, target }, tuning);
    }
    case "pool":
      return pool2dBackward(operation, { input, gradOutput: gradient, target }, tuning);
    case "activation":
      return activationBackward(operation, { output, gradOutput: gradient, target }, tuning);
  }
}

/** A layer's weights and biases, as `weights` and `biases`, where they fit as uniforms. */
function bindParameters(
  { device }: Gpu,
  { layer }: ConvolveOperation,
  { layout, parameters }: { readonly layout: ParameterLayout; readonly parameters: GPUBuffer },
): readonly [weights: Binding, biases: Binding] {
  const { weightOffset, weightLength, biasOffset, columns } = layout.places.get(layer)!;
  const bind = (name: string, offset: number, length: number): Binding => {
    const isUniform = 4 * length <= device.limits.maxUniformBufferBindingSize;
    return {
      name,
      type: isUniform ? `array<vec4f, ${length / 4}>` : "array<vec4f>",
      access: isUniform ? "uniform" : "read",
      buffer: parameters,
      offset: 4 * offset,
      size: 4 * length,
    };
  };
  return [bind("weights", weightOffset, weightLength), bind("biases", biasOffset, columns)];
}
