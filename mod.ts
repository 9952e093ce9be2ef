/** Train, evaluate and ship small convolutional classifiers, on the CPU or the GPU.
 *
 * ```ts
 * import { evaluate, loadDataset, openBackend, train, zooModel } from "@lenet/lenet";
 *
 * const dataset = await loadDataset("sample");
 * await using session = await openBackend("auto", zooModel("lenet-relu"), {
 *   optimizer: { type: "adam" },
 * });
 *
 * await train(session, dataset, { epochs: 1, batchSize: 32, learningRate: 0.001 });
 * const { accuracy } = await evaluate(session, dataset.test);
 * if (accuracy < 0.6) throw new Error(`expected far more than chance, found ${accuracy}`);
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
export type { PictureHooks } from "./src/data/image_folder.ts";
export type { Channels } from "./src/data/picture.ts";
export type { PictureOptions, PictureSize } from "./src/data/picture_choices.ts";
export { loadDataset, type LoadOptions } from "./src/data/load.ts";
export { splitValidation } from "./src/data/split.ts";
export { decodePictures } from "./src/data/decode_pictures.ts";
export { DatasetError, UnreadablePicturesError } from "./src/data/errors.ts";

export * from "./src/nn/layers.ts";
export * from "./src/nn/sequential.ts";
export type { Tensor as PlacedTensor } from "./src/nn/layers/layer.ts";
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
export {
  BACKEND_NAMES,
  type BackendChoice,
  chooseBackend,
  loadBackend,
} from "./src/backends/registry.ts";

export { openBackend, type OpenOptions } from "./src/train/open_backend.ts";
export {
  type BestEpoch,
  bestEpoch,
  type Checkpoint,
  type CheckpointInterval,
  DivergedError,
  type Ended,
  type EpochMetrics,
  NOT_STARTED,
  type Outcome,
  type PartialEpoch,
  type Progress,
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
export type { Anneal, Monitor, PlanOptions, Schedule, TrainPlan } from "./src/train/plan.ts";
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
