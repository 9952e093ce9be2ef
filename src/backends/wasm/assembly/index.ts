/** The kernels that TypeScript calls; see `kernels.ts` for their types. */

export {
  conv2dForward,
  conv2dInputGradient,
  conv2dReduceGradients,
  conv2dWeightGradient,
} from "./conv2d";
export { conv2dWinogradBackward, conv2dWinogradForward } from "./winograd";
export { packWinograd, reduceWinograd } from "./winograd_weights";
export { linearWeightGradient } from "./linear";
export { packBackward, packForward } from "./pack";
export {
  batchNormBackward,
  batchNormForward,
  batchNormGradientSums,
  batchNormMeasure,
  sumMeasures,
  sumSquares,
} from "./batch_norm";
export { dropout, dropoutDraws } from "./dropout";
export {
  groupedConv2dForward,
  groupedConv2dInputGradient,
  groupedConv2dWeightGradient,
  reduceLanes,
} from "./grouped_conv2d";
export {
  leakyReluBackward,
  leakyReluForward,
  reluBackward,
  reluForward,
  sigmoidBackward,
  sigmoidForward,
  tanhBackward,
  tanhForward,
} from "./activations";
export { avgPool2dBackward, avgPool2dForward, maxPool2dBackward, maxPool2dForward } from "./pool2d";
export { flattenBackward, flattenForward, loadImages, storeLogits } from "./images";
export { softmaxCrossEntropy, weighTargets } from "./loss";
export { scaleVector, squaredNorm } from "./clip";
export { fillZeros, residualForward, sumGradients } from "./residual";
export * from "./optimizers"; // made from nn/optimizers.ts
export { loadAugmented } from "./augment";
export { drawAt } from "./random";
export { multiplyAddPeak } from "./peak";
