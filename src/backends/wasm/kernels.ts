/** The compiled kernels: which build this machine can run, and the types of their exports. */

import { BackendUnavailableError } from "../backend.ts";
import { MEMORY_PAGES } from "./memory_pages.ts";
import { PLAIN_BASE64, RELAXED_BASE64 } from "./kernels_generated.ts";

/** The two builds of one source: with fused multiply-add, and with plain SIMD only. */
export type Build = "relaxed" | "plain";

type Address = number;
type ActivationKernel = (
  input: Address,
  inputStride: number,
  output: Address,
  outputStride: number,
  rows: number,
  rowBytes: number,
) => void;

/** Exports of the kernels; each is documented where it is written, in `assembly/`. */
export interface Kernels {
  conv2dForward(
    shape: Address,
    input: Address,
    weight: Address,
    bias: Address,
    output: Address,
  ): void;
  conv2dInputGradient(
    shape: Address,
    gradOutput: Address,
    weight: Address,
    gradInput: Address,
  ): void;
  conv2dWeightGradient(
    shape: Address,
    input: Address,
    gradOutput: Address,
    ones: Address,
    sums: Address,
  ): void;
  conv2dReduceGradients(
    shape: Address,
    sums: Address,
    groupBytes: number,
    groups: number,
    firstRow: number,
    lastRow: number,
    gradWeight: Address,
    gradBias: Address,
  ): void;
  linearWeightGradient(
    input: Address,
    inFeatures: number,
    inputBlockBytes: number,
    gradOutput: Address,
    gradOutputBlockBytes: number,
    blocks: number,
    firstRow: number,
    lastRow: number,
    gradWeight: Address,
    gradBias: Address,
    ones: Address,
    scratch: Address,
    accumulate: boolean,
  ): void;
  packForward(
    shape: Address,
    weight: Address,
    firstRow: number,
    lastRow: number,
    packed: Address,
  ): void;
  packBackward(
    shape: Address,
    weight: Address,
    firstRow: number,
    lastRow: number,
    packed: Address,
  ): void;
  sigmoidForward: ActivationKernel;
  tanhForward: ActivationKernel;
  reluForward: ActivationKernel;
  sigmoidBackward: ActivationKernel;
  tanhBackward: ActivationKernel;
  reluBackward: ActivationKernel;
  avgPool2dForward(shape: Address, input: Address, output: Address): void;
  avgPool2dBackward(shape: Address, gradOutput: Address, gradInput: Address): void;
  maxPool2dForward(shape: Address, input: Address, output: Address): void;
  maxPool2dBackward(
    shape: Address,
    input: Address,
    gradOutput: Address,
    gradInput: Address,
  ): void;
  flattenForward(
    input: Address,
    inputRowBytes: number,
    channels: number,
    height: number,
    width: number,
    output: Address,
  ): void;
  flattenBackward(
    gradOutput: Address,
    channels: number,
    height: number,
    width: number,
    gradInput: Address,
  ): void;
  loadImages(
    images: Address,
    indices: Address,
    count: number,
    channels: number,
    height: number,
    width: number,
    scale: number,
    offset: number,
    output: Address,
    outputRowBytes: number,
  ): void;
  storeLogits(logits: Address, classes: number, count: number, output: Address): void;
  softmaxCrossEntropy(
    logits: Address,
    classes: number,
    labels: Address,
    indices: Address,
    count: number,
    scale: number,
    gradient: Address,
    losses: Address,
    predictions: Address,
  ): void;
  sgdUpdate(parameters: Address, gradients: Address, count: number, learningRate: number): void;
  momentumUpdate(
    parameters: Address,
    gradients: Address,
    velocities: Address,
    count: number,
    learningRate: number,
    momentum: number,
  ): void;
  adamUpdate(
    parameters: Address,
    gradients: Address,
    means: Address,
    variances: Address,
    count: number,
    stepSize: number,
    beta1: number,
    rest1: number,
    beta2: number,
    rest2: number,
    varianceScale: number,
    epsilon: number,
  ): void;
  residualForward(
    body: Address,
    bodyStride: number,
    shortcut: Address,
    shortcutStride: number,
    output: Address,
    outputStride: number,
    rows: number,
    rowBytes: number,
  ): void;
  sumGradients(gradient: Address, sum: Address, byteLength: number, adds: boolean): void;
  fillZeros(address: Address, byteLength: number): void;
  multiplyAddPeak(steps: number): number;
}

const BUILDS: Readonly<Record<Build, string>> = { relaxed: RELAXED_BASE64, plain: PLAIN_BASE64 };

/** Compiled once: V8 goes on optimising a module while sessions use it. */
const modules: Partial<Record<Build, Promise<WebAssembly.Module>>> = {};

/** Whether this machine can run a build. */
export function supports(build: Build): boolean {
  return WebAssembly.validate(Uint8Array.fromBase64(BUILDS[build]));
}

/** Compiles the best build that this machine can run, or the one asked for.
 *
 * @throws {BackendUnavailableError} If it can run none.
 */
export async function compileKernels(
  wanted?: Build,
): Promise<{ module: WebAssembly.Module; build: Build }> {
  const build = wanted ?? (["relaxed", "plain"] as const).find(supports);
  if (build === undefined || !supports(build)) {
    throw new BackendUnavailableError("WebAssembly SIMD with shared memory is missing");
  }
  modules[build] ??= WebAssembly.compile(Uint8Array.fromBase64(BUILDS[build]));
  return { module: await modules[build], build };
}

/** Binds compiled kernels to a memory. */
export function instantiateKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Kernels {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return exports as unknown as Kernels;
}

/** The memory that the kernels expect. */
export function createMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
}
