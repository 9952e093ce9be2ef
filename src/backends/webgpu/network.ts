/** A model on a device: its tensors, and the kernels of forward, backward and update. */

import { ruleOf } from "../../nn/optimizers.ts";
import type { Layer, Model, Parameter } from "../../nn/sequential.ts";
import type { EngineOptions } from "../engine.ts";
import { Program } from "../program.ts";
import { layPartials, type Partials } from "./capacity.ts";
import type { DeviceState } from "./device_state.ts";
import type { Gpu } from "./gpu.ts";
import type { Binding, Kernel } from "./kernel.ts";
import { trackStatistics } from "./kernels/batch_norm.ts";
import type { NetworkInput, ResultBuffers } from "./kernels/gather_images.ts";
import { countJoinedLayers, LINEAR_LAYERS_BUFFERS, linearLayers } from "./kernels/linear_layers.ts";
import { linearWeightGradient } from "./kernels/linear_weight_gradient.ts";
import { softmaxCrossEntropy } from "./kernels/softmax_cross_entropy.ts";
import type { GradientTarget } from "./kernels/store_gradient.ts";
import { clippedUpdate, SQUARES, updateParameters } from "./kernels/update_parameters.ts";
import type { KernelContext } from "./layers/layer.ts";
import { kernelsOf, operationsOf } from "./layers/table.ts";
import type { ConvolveOperation, Mode, Operation } from "./operations.ts";
import { type Placed, placeOperations } from "./placement.ts";
import { type DeviceTensor, flattenTensor, type TensorMaker } from "./tensors.ts";
import type { Tuning } from "./tuning.ts";

/** What a network is built for. */
export interface NetworkOptions
  extends Pick<EngineOptions, "optimizer" | "seed" | "targets" | "clipNorm"> {
  readonly state: DeviceState;
  readonly mode: Mode;
  /** Most images of a chunk; a larger batch is cut. */
  readonly capacity: number;
  readonly tuning: Tuning;
}

/** A model's tensors, and the kernels that carry a chunk's gathered images through them. */
export interface Network extends NetworkInput {
  readonly capacity: number;
  /** Images of a workgroup; a chunk is a whole number of groups, the last part empty. */
  readonly group: number;
  readonly logits: DeviceTensor;
  readonly before: readonly Kernel[];
  /** The kernel that computes the loss, for the buffers of a data set and a call. */
  loss(results: ResultBuffers): Kernel;
  readonly after: readonly Kernel[];
  /** In training, the last: what a step does once all its gradients are known. */
  readonly update: readonly Kernel[];
}

/** Buffers of partial gradients, at most. */
const MOST_PARTIALS = 6;

/** Allocates a model's tensors and writes its kernels. */
export function buildNetwork(
  gpu: Gpu,
  model: Model,
  { state, ...options }: NetworkOptions,
): Network {
  const { mode, capacity, tuning, optimizer, targets, clipNorm } = options;
  const { layout, parameters, gradients, slots } = state;
  const { classCount, inputShape: imageShape, standardization } = model;
  const operations = operationsOf(model, mode);
  const program = new Program(operations);
  const canJoin = gpu.device.limits.maxStorageBuffersPerShaderStage >= LINEAR_LAYERS_BUFFERS;
  const joinedCount = canJoin ? countJoinedLayers(operations, { program, tuning }) : 0;
  const maker: TensorMaker = {
    capacity,
    imagesPerInvocation: tuning.imagesPerInvocation,
    createBuffer: (label, size) => gpu.createBuffer(label, size, GPUBufferUsage.STORAGE),
  };
  const { image, placed } = placeOperations(maker, operations, { program, joinedCount, mode });
  const headLength = placed.length - joinedCount;
  const head = placed.slice(0, headLength);
  const last = placed[placed.length - 1];
  const logits = flattenTensor(last.output);
  // The update reads them all, beside parameters, gradients and slots.
  const buffers = Math.min(
    MOST_PARTIALS,
    gpu.device.limits.maxStorageBuffersPerShaderStage - 2 - slots.length,
  );
  const ranges = mode === "train"
    ? layPartials(operations, layout, { tuning, capacity, buffers, joinedCount })
    : [];
  const scratch = layScratch(gpu, operations, { capacity, tuning, ranges });
  const context: KernelContext = {
    ...options,
    ...scratch,
    statistics: state.statistics,
    bind: (name, parameter) => bindParameter(gpu, { name, parameter, state }),
  };
  const tail = placed.slice(headLength).filter(isConvolve).map((place) => {
    const { layer: { weight, bias } } = place.operation;
    return {
      ...place,
      input: place.inputs[0],
      weight: layout.places.get(weight)!,
      bias: bias && layout.places.get(bias),
    };
  });
  const network = {
    ...{ capacity, group: tuning.imagesPerInvocation * tuning.invocations, logits },
    ...{ input: image, imageShape, standardization, indices: scratch.indices },
    before: head.flatMap((place) => kernelsOf(place.operation).forward(place, context)),
  };
  /** Where an operation's gradient for an input goes, if that needs one. */
  const targetOf = (index: number, input: number): GradientTarget | undefined => {
    const target = program.needsGradient(input) ? placed[input].target : undefined;
    return target && { ...target, adds: !program.givesFirst(index, input) };
  };
  const loss = (
    backward?: { readonly target?: GradientTarget },
    target?: GradientTarget,
  ): Network["loss"] =>
  (results) =>
    joinedCount > 0
      ? linearLayers(tail, { parameters, results, backward, targets }, tuning)
      : softmaxCrossEntropy(logits, results, { classCount, tuning, target, targets });
  if (mode === "eval") return { ...network, loss: loss(), after: [], update: [] };

  const backward = [...head.entries()].reverse().flatMap(([index, place]) => {
    const targets = place.operation.inputs.map((input) => targetOf(index, input));
    if (!program.needsGradient(index)) return [];
    return kernelsOf(place.operation).backward(place, targets, context);
  });
  const before = joinedCount > 0
    ? targetOf(headLength, operations[headLength].inputs[0])
    : undefined;
  const joined = tail.flatMap((stage) => {
    const place = context.partialsOf(stage.operation);
    return place ? [{ ...stage, gradMaps: stage.target!.gradient, place }] : [];
  });
  if (joined.length > 0) backward.unshift(linearWeightGradient(joined, context));
  const vectors = { parameters, gradients, slots, partials: scratch.partials };
  const updateRanges = ranges.map(({ range }) => range);
  const update = clipNorm === undefined
    ? [updateParameters(updateRanges, vectors, ruleOf(optimizer))]
    : clippedUpdate(updateRanges, {
      ...vectors,
      squares: maker.createBuffer("squares", 4 * SQUARES),
      rule: ruleOf(optimizer),
      clipNorm,
    });
  update.push(...trackStatistics(operations, context));
  return {
    ...network,
    loss: loss({ target: before }, last.target),
    after: backward,
    update,
  };
}

function isConvolve(place: Placed): place is Placed<ConvolveOperation> {
  return place.operation.type === "convolve";
}

/** Allocates what kernels leave for others. */
function layScratch(
  gpu: Gpu,
  operations: readonly Operation[],
  { capacity, tuning, ranges }: Pick<NetworkOptions, "capacity" | "tuning"> & {
    readonly ranges: readonly Partials[];
  },
) {
  const create = (label: string, floats: number) => {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    return gpu.createBuffer(label, 4 * Math.max(4, floats), STORAGE | COPY_SRC | COPY_DST);
  };
  const moments = new Map<Layer, number>();
  let length = 0;
  for (const operation of operations) {
    moments.set(operation.layer, length);
    length += operation.moments;
  }
  const lengths: number[] = [];
  for (const { range: { buffer }, end } of ranges) {
    lengths[buffer] = Math.max(lengths[buffer] ?? 0, end);
  }
  const partials = lengths.map((length, buffer) => create(`partials ${buffer}`, length));
  const places = new Map(
    ranges.map((
      { operation, place, range: { buffer } },
    ) => [operation, { ...place, buffer: partials[buffer] }]),
  );
  const perImage = Math.max(...operations.map(({ imageSums }) => imageSums(tuning)));
  return {
    partials,
    moments: create("moments", length),
    imageSums: create("image sums", capacity * perImage),
    indices: operations.some(({ readsIndices }) => readsIndices)
      ? create("indices", capacity)
      : undefined,
    momentsOf: (layer: Layer) => moments.get(layer)!,
    partialsOf: (operation: Operation) => places.get(operation),
  };
}

/** A parameter as it lies on the device, as a uniform where it fits. */
function bindParameter(
  { device }: Gpu,
  { name, parameter, state: { layout, parameters } }: {
    readonly name: string;
    readonly parameter: Parameter;
    readonly state: DeviceState;
  },
): Binding {
  const { offset, rows, columns } = layout.places.get(parameter)!;
  const length = rows * columns;
  const isUniform = 4 * length <= device.limits.maxUniformBufferBindingSize;
  return {
    name,
    type: isUniform ? `array<vec4f, ${length / 4}>` : "array<vec4f>",
    access: isUniform ? "uniform" : "read",
    buffer: parameters,
    offset: 4 * offset,
    size: 4 * length,
  };
}
