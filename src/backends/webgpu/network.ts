/** A model on a device: its tensors, and the kernels of forward, backward and update. */

import type { EngineOptions } from "../engine.ts";
import { ruleOf } from "../../nn/optimizers.ts";
import type { ImageShape, Model } from "../../nn/sequential.ts";
import type { Standardization } from "../../nn/standardization.ts";
import { checkRounds, chooseCapacity, layPartials } from "./capacity.ts";
import { Program } from "../program.ts";
import type { Gpu } from "./gpu.ts";
import type { Binding, Kernel } from "./kernel.ts";
import { conv2dWeightGradient } from "./kernels/conv2d_weight_gradient.ts";
import { linearWeightGradient } from "./kernels/linear_weight_gradient.ts";
import type { ResultBuffers } from "./kernels/gather_images.ts";
import { countJoinedLayers, LINEAR_LAYERS_BUFFERS, linearLayers } from "./kernels/linear_layers.ts";
import { softmaxCrossEntropy } from "./kernels/softmax_cross_entropy.ts";
import type { GradientTarget } from "./kernels/store_gradient.ts";
import { clippedUpdate, SQUARES, updateParameters } from "./kernels/update_parameters.ts";
import type { KernelContext } from "./layers/layer.ts";
import { kernelsOf, operationsOf } from "./layers/table.ts";
import type { ConvolveOperation } from "./operations.ts";
import { layParameters, type ParameterLayout } from "./parameter_layout.ts";
import { isConvolve, placeOperations } from "./placement.ts";
import { flattenTensor, type Tensor, type TensorMaker } from "./tensors.ts";
import type { Tuning } from "./tuning.ts";

/** What a network is built for. */
export interface NetworkOptions
  extends Pick<EngineOptions, "optimizer" | "batchSize" | "targets" | "clipNorm"> {
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
  readonly imageShape: ImageShape;
  readonly standardization: Standardization;
  readonly logits: Tensor;
  /** A step of training, the update last. */
  readonly training: Pass;
  /** Kernels at the end of training that need no images, but the sums of gradients. */
  readonly updateKernels: number;
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
  const { tuning, optimizer, targets, clipNorm } = options;
  const operations = operationsOf(model);
  const program = new Program(operations);
  const layout = layParameters(operations);
  checkRounds(gpu, model, operations);
  const capacity = chooseCapacity(gpu, model, { ...options, operations, layout });
  const usage = GPUBufferUsage.STORAGE;
  const maker: TensorMaker = {
    capacity,
    imagesPerInvocation: tuning.imagesPerInvocation,
    createBuffer: (label, size) => gpu.createBuffer(label, size, usage),
  };
  const vector = (label: string) =>
    gpu.createBuffer(
      label,
      4 * layout.length,
      usage | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    );
  const parameters = vector("parameters");
  const gradients = vector("gradients");
  const slots = ruleOf(optimizer).slots.map(vector);
  const canJoin = gpu.device.limits.maxStorageBuffersPerShaderStage >= LINEAR_LAYERS_BUFFERS;
  const joinedCount = canJoin ? countJoinedLayers(operations, { program, tuning }) : 0;
  const { image, placed } = placeOperations(maker, operations, { program, joinedCount });
  const last = placed[placed.length - 1];
  const context: KernelContext = {
    tuning,
    weightsOf: (operation) => bindParameters(gpu, operation, { layout, parameters }),
  };
  /** Where an operation's gradient for an input goes, if that needs one. */
  const targetOf = (index: number, input: number): GradientTarget | undefined =>
    program.needsGradient(input)
      ? { ...placed[input].target, adds: !program.givesFirst(index, input) }
      : undefined;
  const headLength = placed.length - joinedCount;
  const head = placed.slice(0, headLength)
    .map((place) => kernelsOf(place.operation).forward(place, context));
  const logits = flattenTensor(last.output);
  const inputGradients = placed.slice(0, headLength).flatMap((place, index) => {
    const targets = place.operation.inputs.map((input) => targetOf(index, input));
    const isNeeded = targets.some((target) => target !== undefined);
    return isNeeded ? [kernelsOf(place.operation).inputGradient(place, targets, context)] : [];
  }).reverse();
  const tail = placed.slice(headLength).filter(isConvolve).map((place) => (
    { ...place, input: place.inputs[0], place: layout.places.get(place.operation.layer)! }
  ));
  const before = joinedCount > 0
    ? targetOf(headLength, operations[headLength].inputs[0])
    : undefined;
  const ranges = layPartials(operations, layout, { tuning, capacity });
  const partialsLength = Math.max(...ranges.map(({ end }) => end));
  const partials = gpu.createBuffer("partials", 4 * partialsLength, usage);
  const gradientStages = placed.filter(isConvolve).map((place, index) => (
    {
      ...place,
      input: place.inputs[0],
      gradMaps: place.target.gradient,
      place: ranges[index].place,
    }
  ));
  const weightGradients = gradientStages.slice(0, gradientStages.length - joinedCount)
    .map((stage) =>
      stage.operation.isLinear
        ? linearWeightGradient([stage], { partials, tuning, capacity })
        : conv2dWeightGradient(stage.operation, { ...stage, partials }, tuning)
    );
  if (joinedCount > 0) {
    const joined = gradientStages.slice(-joinedCount);
    weightGradients.push(linearWeightGradient(joined, { partials, tuning, capacity }));
  }
  const buffers = { parameters, gradients, slots, partials };
  const updateRanges = ranges.map(({ range }) => range);
  const update = clipNorm === undefined
    ? [updateParameters(updateRanges, buffers, ruleOf(optimizer))]
    : clippedUpdate(updateRanges, {
      ...buffers,
      squares: gpu.createBuffer("squares", 4 * SQUARES, usage),
      rule: ruleOf(optimizer),
      clipNorm,
    });
  const { classCount } = model;
  const loss = (
    backward?: { readonly target?: GradientTarget },
    target?: GradientTarget,
  ): Pass["loss"] =>
  (results) =>
    joinedCount > 0
      ? linearLayers(tail, { parameters, results, backward, targets }, tuning)
      : softmaxCrossEntropy(logits, results, { classCount, tuning, target, targets });
  return {
    capacity,
    group: tuning.imagesPerInvocation * tuning.invocations,
    layout,
    parameters,
    gradients,
    slots,
    input: image,
    imageShape: model.inputShape,
    standardization: model.standardization,
    logits,
    training: {
      before: head,
      loss: loss({ target: before }, last.target),
      after: [...inputGradients, ...weightGradients, ...update],
    },
    updateKernels: update.length,
    evaluation: { before: head, loss: loss(), after: [] },
  };
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
