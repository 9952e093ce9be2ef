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

export * from "./data.ts";
export * from "./web.ts";
