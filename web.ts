/** What of the library needs neither files nor processes: models, training, prediction, formats.
 *
 * It runs wherever WebAssembly does. `mod.ts` gives the same, and {@link https://jsr.io/@lenet/lenet | datasets}.
 *
 * ```ts
 * import { openBackend, predict, train, zooModel } from "@lenet/lenet/web";
 *
 * const shape = [1, 28, 28] as const;
 * const images = Uint8Array.from({ length: 64 * 784 }, (_, at) => (at / 784) % 2 < 1 ? 0 : 255);
 * const labels = Uint8Array.from({ length: 64 }, (_, image) => image % 2);
 * const data = { images, labels, count: 64, shape };
 *
 * await using session = await openBackend("wasm", zooModel("lenet-relu"), { optimizer: { type: "adam" } });
 * await train(session, { train: data }, { epochs: 20, batchSize: 16, learningRate: 0.002 });
 * const [black, white] = await predict(session, { images: images.subarray(0, 2 * 784), count: 2, shape });
 * if (black[0].label !== 0 || white[0].label !== 1) throw new Error("expected black and white");
 * ```
 *
 * @module
 */

export type {
  Dataset,
  LabeledImages,
  PictureFacts,
  PicturePolarity,
  UnreadablePicture,
} from "./src/data/dataset.ts";
export type { Augmentation } from "./src/data/augment.ts";
export { DatasetError } from "./src/data/errors.ts";
export { splitValidation } from "./src/data/split.ts";
export * from "./src/nn/layers.ts";
export * from "./src/nn/sequential.ts";
export type { PlacedTensor } from "./src/nn/layers/layer.ts";
export {
  byteTransform,
  type ChannelStandardization,
  NORMALIZED,
  type Standardization,
  standardizationOf,
} from "./src/nn/standardization.ts";
export * from "./src/nn/init.ts";
export { type Learned, replaceHead, type Transferred } from "./src/nn/head.ts";
export * from "./src/nn/corr2d.ts";
export {
  type FittedRecipe,
  fittedRecipe,
  lenet,
  MODEL_NAMES,
  type ModelName,
  type Recipe,
  zooModel,
  zooRecipe,
} from "./src/nn/zoo.ts";
export { balancedWeights } from "./src/nn/loss.ts";
export { type LayerSummary, summarize, trainingMacs } from "./src/nn/summary.ts";
export * from "./src/backends/backend.ts";
export { type BackendChoice, chooseBackend } from "./src/backends/choose.ts";
export { BACKEND_NAMES, loadBackend } from "./src/backends/registry.ts";
export { openBackend, type OpenOptions } from "./src/train/open_backend.ts";
export {
  type BestEpoch,
  bestEpoch,
  type Checkpoint,
  type EpochMetrics,
  NOT_STARTED,
  type PartialEpoch,
  type Progress,
} from "./src/train/progress.ts";
export {
  type CheckpointInterval,
  DivergedError,
  type Ended,
  type Outcome,
  type TestedOf,
  train,
  type TrainHooks,
  type TrainingData,
} from "./src/train/trainer.ts";
export { evaluate, type Evaluation, predict, type PredictOptions } from "./src/train/inference.ts";
export {
  type ClassificationReport,
  classificationReport,
  type ClassProbability,
  type ClassReport,
  compareWithMajority,
  countCorrect,
  type Majority,
  type MajorityComparison,
} from "./src/train/metrics.ts";
export type {
  Anneal,
  Monitor,
  PlanOptions,
  Schedule,
  ScheduleFunction,
  TrainPlan,
} from "./src/train/plan.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type Safetensors,
  type Tensor,
} from "./src/formats/safetensors/file.ts";
export { fromTensors, statisticsFrom, toTensors } from "./src/formats/safetensors/state_dict.ts";
export { type ModelFacts, modelPage } from "./src/page/model_page.ts";
export type { ModelDescription, TrainedModel } from "./src/formats/trained_model.ts";
export type { NamedModel } from "./src/page/page_model.ts";
export { decodeSafetensorsModel, encodeSafetensorsModel } from "./src/formats/safetensors/model.ts";
export { encodeLayersModel, type LayersModelFiles } from "./src/formats/layers_model/file.ts";
export { decodeLayersModel } from "./src/formats/layers_model/file.ts";
export type { ReadWeights } from "./src/formats/layers_model/weights.ts";
export { decodeOnnx } from "./src/formats/onnx/file.ts";
export { encodeOnnx } from "./src/formats/onnx/file.ts";
export { encodeC } from "./src/formats/c/file.ts";
export type { CExample, CFiles } from "./src/formats/c/file.ts";
export type { Grid, QuantizedModel, QuantizedWeights } from "./src/formats/quantized_model.ts";
export { quantizeModel } from "./src/train/quantize.ts";
