/** What a page's worker does: it holds images and network, trains, and looks inside. */

/// <reference lib="dom" />
import type { Session, TrainingState, TrainResult } from "../../backends/backend.ts";
import { gatherImages } from "../../backends/gather.ts";
import { forward } from "../../backends/reference/network.ts";
import { softmaxCrossEntropy } from "../../backends/reference/softmax_cross_entropy.ts";
import type { LabeledImages } from "../../data/dataset.ts";
import type { RgbaPicture } from "../../data/picture.ts";
import { initialParameters, initialStatistics } from "../../nn/init.ts";
import { type ModelSpec, specOf } from "../../nn/model_spec.ts";
import type { ImageShape, Model } from "../../nn/sequential.ts";
import { standardizationOf } from "../../nn/standardization.ts";
import { rgbaOf } from "../../page/browser/given_picture.ts";
import { type EpochMetrics, NOT_STARTED, type Progress } from "../../train/progress.ts";
import { type Outcome, train } from "../../train/trainer.ts";
import { type Experiment, initOf, modelOf } from "../experiment.ts";
import { type ClassCount, Collection, fitColours, greyOfPlanes } from "./collection.ts";
import { measureEngine, openEngine } from "./engines.ts";
import { type ExportedFile, exportModel, type ExportName } from "./exports.ts";
import { type LabData, loadServed } from "./served_data.ts";

/** What is known of a set of images. */
export interface DataFacts {
  readonly name: string;
  readonly classNames: readonly string[];
  readonly trainCount: number;
  readonly testCount: number;
  readonly shape: ImageShape;
}

/** What a network was opened as. */
export interface OpenFacts {
  /** Enough to make the model again on the page. */
  readonly model: ModelSpec;
  readonly device: string;
  readonly threads: number;
}

/** A picture that the network is shown. */
export type Inspected =
  | { readonly from: "train" | "test"; readonly index: number }
  | { readonly from: "own"; readonly pixels: Uint8Array };

/** A network at work on one picture. */
export interface View {
  /** The picture, as the network takes it: [channels, height, width]. */
  readonly pixels: Uint8Array;
  /** The same as numbers. */
  readonly image: Float64Array;
  /** Of every layer, in the model's order. */
  readonly outputs: readonly Float64Array[];
  readonly parameters: Float32Array;
  /** Undefined for a picture of one's own. */
  readonly label?: number;
  /** Steps that had been made. */
  readonly step: number;
}

/** How a network does on the test set, image by image. */
export interface Assessment {
  readonly predictions: Uint8Array;
  readonly losses: Float32Array;
  readonly labels: Uint8Array;
}

/** What a laboratory tells by itself. */
export type LabEvent =
  | { readonly type: "loading"; readonly bytes: number; readonly total: number }
  | { readonly type: "reading"; readonly done: number; readonly total: number }
  | { readonly type: "steps"; readonly first: number; readonly result: TrainResult }
  | { readonly type: "epoch"; readonly metrics: EpochMetrics }
  | { readonly type: "view"; readonly view: View }
  | { readonly type: "ended"; readonly outcome: Outcome | "failed"; readonly message?: string };

/** How often training pauses for a look inside. */
const LOOK_S = 0.2;

/** The share of the time that looking may take. */
const LOOK_SHARE = 0.15;

/** See the file. */
export class Laboratory {
  readonly #emit: (event: LabEvent) => void;
  readonly #own = new Collection();
  readonly #loaded = new Map<string, Promise<LabData>>();
  /** What waits for the session to be free. */
  readonly #waiting: (() => Promise<void>)[] = [];
  #data: LabData | undefined;
  #experiment: Experiment | undefined;
  #model: Model | undefined;
  #session: Session | undefined;
  #progress: Progress = NOT_STARTED;
  #inspected: Inspected = { from: "test", index: 0 };
  #stop: AbortController | undefined;
  #run: Promise<void> | undefined;
  /** The end of what is done while nothing is trained. */
  #idle: Promise<void> = Promise.resolve();
  #nextLook = 0;
  #state: TrainingState | undefined;

  constructor(emit: (event: LabEvent) => void) {
    this.#emit = emit;
  }

  /** Takes a set of images as the one to train on; any network is closed. */
  async load(name: string): Promise<DataFacts> {
    await this.#close();
    if (name !== "own" && !this.#loaded.has(name)) {
      const onBytes = (bytes: number, total: number) =>
        this.#emit({ type: "loading", bytes, total });
      const loading = loadServed(name, onBytes);
      this.#loaded.set(name, loading);
      loading.catch(() => this.#loaded.delete(name));
    }
    const data = this.#data = name === "own"
      ? await this.#own.dataset()
      : await this.#loaded.get(name)!;
    const { classNames, train: { count: trainCount, shape }, test: { count: testCount } } = data;
    return { name, classNames, trainCount, testCount, shape };
  }

  /** Opens an experiment's network with new weights, or with those there are.
   *
   * @throws {Error} If it does not fit the images, or the engine cannot run here.
   */
  async open(experiment: Experiment, keep = false): Promise<OpenFacts> {
    const old = keep ? await this.#whenFree(() => this.#session!.readState()) : undefined;
    await this.#close();
    const data = this.#requireData();
    const model = modelOf(experiment, {
      inputShape: data.train.shape,
      classCount: data.classNames.length,
      ...(experiment.standardize &&
        { standardization: standardizationOf(data.train.images, data.train.shape) }),
    });
    const session = this.#session = await openEngine(experiment, model);
    this.#model = model;
    this.#experiment = experiment;
    if (!keep) this.#progress = NOT_STARTED;
    const parameters = initialParameters(model, experiment.seed, initOf(experiment));
    const statistics = initialStatistics(model);
    await session.loadState(old ?? { parameters, statistics, slots: [], step: 0 });
    for (const images of [data.train, data.test]) await session.attach(images);
    this.#state = await session.readState();
    const { device: { description, threads } } = session;
    return { model: specOf(model), device: description, threads };
  }

  /** Changes what may change while it trains. */
  change(changes: Pick<Experiment, "learningRate" | "epochs">): void {
    this.#experiment = { ...this.#experiment!, ...changes };
    this.#stop?.abort("changed");
  }

  /** Begins to train, or goes on; what comes of it is told by events.
   *
   * @param steps After so many it stops.
   */
  start(steps = Infinity): void {
    if (this.#run !== undefined) return;
    const maxSteps = this.#progress.step + steps;
    this.#run = this.#idle.then(() => this.#train(maxSteps)).then(
      (outcome) => ({ type: "ended", outcome }) as const,
      ({ name, message }) =>
        ({ type: "ended", outcome: "failed", message: `${name}: ${message}` }) as const,
    ).then(async (ended) => {
      await this.#doWaiting();
      this.#run = undefined;
      this.#emit(ended);
    });
  }

  /** Stops after the current step. */
  async pause(): Promise<void> {
    this.#stop?.abort("paused");
    await this.#run;
  }

  /** Chooses the picture to look at. */
  look(inspected: Inspected): Promise<void> {
    this.#inspected = inspected;
    return this.#whenFree(() => this.#show(true));
  }

  /** Pictures of a set as the network takes them, with their labels. */
  pictures(from: "train" | "test", indices: readonly number[]) {
    const { [from]: set } = this.#requireData();
    return indices.map((index) => ({ pixels: pixelsOf(set, index), label: set.labels[index] }));
  }

  /** Runs the whole test set. */
  assess(): Promise<Assessment> {
    return this.#whenFree(async () => {
      const { test: { count, labels }, test } = this.#requireData();
      const logits = Float64Array.from(await this.#session!.predict(test));
      const { losses, predictions } = softmaxCrossEntropy(logits, labels);
      return {
        predictions: Uint8Array.from(predictions),
        losses: Float32Array.from(losses),
        labels: labels.slice(0, count),
      };
    });
  }

  /** The network in a format. */
  export(format: ExportName): Promise<readonly ExportedFile[]> {
    return this.#whenFree(async () => {
      const model = this.#model!;
      const experiment = this.#experiment!;
      const { parameters, statistics } = format === "start"
        ? {
          parameters: initialParameters(model, experiment.seed, initOf(experiment)),
          statistics: initialStatistics(model),
        }
        : await this.#session!.readState();
      const { classNames, name } = this.#requireData();
      return await exportModel(format, { model, parameters, statistics, classNames }, name);
    });
  }

  /** Images a second of an engine on this network. */
  measure(experiment: Experiment): Promise<number> {
    return this.#whenFree(() => measureEngine(experiment, this.#model!, this.#requireData()));
  }

  /** Adds pictures to a class of one's own; returns names of files that are none. */
  async addFiles(files: readonly { className: string; file: File }[]): Promise<string[]> {
    const refused: string[] = [];
    for (const [done, { className, file }] of files.entries()) {
      if (!await this.#own.addFile(className, file)) refused.push(file.name);
      if (done % 20 === 0) this.#emit({ type: "reading", done, total: files.length });
    }
    this.#emit({ type: "reading", done: files.length, total: files.length });
    return refused;
  }

  /** Adds a drawing, or what a camera saw. */
  addPicture(className: string, picture: RgbaPicture): void {
    this.#own.add(className, picture);
  }

  /** Adds a class, or takes one away. */
  setClass(name: string, isThere: boolean): void {
    if (isThere) this.#own.addClass(name);
    else this.#own.removeClass(name);
  }

  /** Size and colour of pictures of one's own. */
  setShape({ side, isColour }: { readonly side: number; readonly isColour: boolean }): void {
    this.#own.side = side;
    this.#own.isColour = isColour;
  }

  /** Classes of one's own, with their newest pictures. */
  ownClasses(): (ClassCount & { readonly newest: readonly Uint8Array[] })[] {
    return this.#own.classes.map((one) => ({ ...one, newest: this.#own.newest(one.name, 8) }));
  }

  /** A file, or a picture, as the network would take it. */
  async fit(picture: File | RgbaPicture): Promise<Uint8Array> {
    const rgba = picture instanceof File ? await rgbaOf(picture) : picture;
    const [channels, side] = this.#requireData().train.shape;
    const planes = fitColours(rgba, side);
    return channels === 3 ? planes : greyOfPlanes(planes);
  }

  async #train(maxSteps: number): Promise<Outcome> {
    while (true) {
      const stop = this.#stop = new AbortController();
      const session = this.#session!;
      const { learningRate, batchSize, epochs, schedule, seed, warmup } = this.#experiment!;
      const plan = {
        ...{ learningRate, batchSize, epochs, schedule, seed },
        ...(warmup > 0 && { warmup }),
        ...(maxSteps < Infinity && { maxSteps }),
      };
      const { outcome, progress } = await train(session, this.#requireData(), plan, {
        start: this.#progress,
        signal: stop.signal,
        checkpointEvery: { seconds: LOOK_S },
        onSteps: (first, result) => this.#emit({ type: "steps", first, result }),
        onCheckpoint: ({ state, progress }) => this.#betweenSteps(state, progress),
        onEpoch: (metrics, { state, progress }) => {
          this.#emit({ type: "epoch", metrics });
          return this.#betweenSteps(state, progress);
        },
      });
      this.#progress = progress;
      if (outcome === "interrupted" && stop.signal.reason === "changed") continue;
      this.#show(true);
      return outcome;
    }
  }

  async #betweenSteps(state: TrainingState, progress: Progress): Promise<void> {
    this.#state = state;
    this.#progress = progress;
    await this.#doWaiting();
    this.#show(false);
  }

  /** Does what needs the session: between two stretches of training, or when what is before it is done. */
  #whenFree<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    const done = Promise.withResolvers<Result>();
    this.#waiting.push(() => Promise.resolve().then(work).then(done.resolve, done.reject));
    if (this.#run === undefined) this.#idle = this.#idle.then(() => this.#doWaiting());
    return done.promise;
  }

  async #doWaiting(): Promise<void> {
    for (let work; (work = this.#waiting.shift()) !== undefined;) await work();
  }

  /** Shows the network at work on the picture, but while it trains for no more than a share of the time. */
  #show(always: boolean): void {
    const started = performance.now();
    if (!always && started < this.#nextLook) return;
    const [model, state, data] = [this.#model, this.#state, this.#data];
    if (model === undefined || state === undefined || data === undefined) return;
    const set = this.#inspected.from === "own"
      ? ownImage(model, this.#inspected.pixels)
      : data[this.#inspected.from];
    const index = this.#inspected.from === "own"
      ? 0
      : Math.min(this.#inspected.index, set.count - 1);
    const { parameters } = state;
    const { image, outputs } = lookThrough(model, state, { set, index });
    const label = this.#inspected.from === "own" ? undefined : set.labels[index];
    const { step } = this.#progress;
    const pixels = pixelsOf(set, index);
    this.#emit({ type: "view", view: { pixels, image, outputs, parameters, label, step } });
    const now = performance.now();
    this.#nextLook = now + (now - started) / LOOK_SHARE;
  }

  #requireData(): LabData {
    if (this.#data === undefined) throw new TypeError("Cannot go on: no images are loaded");
    return this.#data;
  }

  async #close(): Promise<void> {
    await this.pause();
    await this.#idle;
    const session = this.#session;
    this.#session = this.#model = this.#state = undefined;
    await session?.[Symbol.asyncDispose]();
  }
}

/** A picture as the model's input, and what every layer makes of it outside training. */
function lookThrough(
  model: Model,
  { parameters, statistics = new Float32Array() }: TrainingState,
  { set, index }: { readonly set: LabeledImages; readonly index: number },
) {
  const indices = Uint32Array.of(index);
  const image = new Float64Array(set.images.length / set.count);
  gatherImages(model, set.images, image, { indices });
  const outputs = forward(model, Float64Array.from(parameters), {
    ...{ images: image, indices, mode: "eval", batchSize: 1, seed: 0, step: 0 },
    statistics: Float64Array.from(statistics),
    sum() {},
  });
  return { image, outputs };
}

/** A picture of one's own as a set of one; of another shape than the model takes, it is left black. */
function ownImage({ inputShape: shape }: Model, pixels: Uint8Array): LabeledImages {
  const size = shape[0] * shape[1] * shape[2];
  const images = pixels.length === size ? pixels : new Uint8Array(size);
  return { images, labels: new Uint8Array(1), count: 1, shape };
}

function pixelsOf({ images, count }: LabeledImages, index: number): Uint8Array {
  const size = images.length / count;
  return images.slice(index * size, (index + 1) * size);
}
