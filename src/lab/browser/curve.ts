/** What a training has measured so far, thinned out so that it can be drawn often. */

import type { TrainResult } from "../../backends/backend.ts";
import type { EpochMetrics } from "../../train/progress.ts";

/** Points of a training curve at most; when there are more, neighbours are joined. */
const MAX_POINTS = 400;

/** The mean over some steps in a row. */
interface Point {
  /** Where its last step is, in epochs. */
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly images: number;
}

/** How well train and test go together. */
export type Fit = "none" | "under" | "good" | "over";

/** The measurements of a run; a new one is made when there are more. */
export class Curve {
  readonly #trainCount: number;
  readonly #batchSize: number;
  /** Training, measured as it goes. */
  readonly points: readonly Point[] = [];
  readonly epochs: readonly EpochMetrics[] = [];
  /** Steps made. */
  readonly step: number = 0;
  /** Steps of a point. */
  readonly #stride: number = 1;

  constructor(
    trainCount = 1,
    batchSize = 1,
    state?: Pick<Curve, "points" | "epochs" | "step">,
    stride = 1,
  ) {
    this.#trainCount = trainCount;
    this.#batchSize = batchSize;
    this.#stride = stride;
    if (state === undefined) return;
    ({ points: this.points, epochs: this.epochs, step: this.step } = state);
  }

  /** Epochs trained, with their parts. */
  get epoch(): number {
    return this.#epochAt(this.step);
  }

  /** Adds steps.
   *
   * @param first Number of the first of them, from 1.
   */
  withSteps(first: number, { losses, corrects, steps }: TrainResult): Curve {
    const points = [...this.points];
    for (let n = 0; n < steps; n++) {
      const images = this.#imagesOf(first + n);
      const point = {
        epoch: this.#epochAt(first + n),
        loss: losses[n],
        accuracy: corrects[n] / images,
        images,
      };
      const last = points.at(-1);
      const isOpen = last !== undefined && (first + n - 1) % this.#stride !== 0;
      if (isOpen) points[points.length - 1] = merge(last, point);
      else points.push(point);
    }
    const { epochs } = this;
    const step = first + steps - 1;
    if (points.length <= MAX_POINTS) return this.#with({ points, epochs, step }, this.#stride);
    const halved = points.filter((_, n) => n % 2 === 0)
      .map((point, n) => 2 * n + 1 < points.length ? merge(point, points[2 * n + 1]) : point);
    return this.#with({ points: halved, epochs, step }, 2 * this.#stride);
  }

  /** Adds what was measured after an epoch, or at an end within one. */
  withEpoch(metrics: EpochMetrics): Curve {
    const epochs = [...this.epochs.filter(({ step }) => step !== metrics.step), metrics];
    return this.#with({ points: this.points, epochs, step: this.step }, this.#stride);
  }

  /** Where a measurement on the test set stands, in epochs. */
  placeOf({ step }: EpochMetrics): number {
    return this.#epochAt(step);
  }

  /** How train and test go together, once there are three epochs. */
  get fit(): Fit {
    const last = this.epochs.at(-1);
    if (last === undefined || last.epoch < 3) return "none";
    const gap = last.trainAccuracy - last.testAccuracy;
    if (gap > 0.06) return "over";
    return last.trainAccuracy < 0.75 ? "under" : "good";
  }

  #with(state: Pick<Curve, "points" | "epochs" | "step">, stride: number): Curve {
    return new Curve(this.#trainCount, this.#batchSize, state, stride);
  }

  #stepsPerEpoch(): number {
    return Math.ceil(this.#trainCount / this.#batchSize);
  }

  #epochAt(step: number): number {
    return step / this.#stepsPerEpoch();
  }

  #imagesOf(step: number): number {
    const place = (step - 1) % this.#stepsPerEpoch();
    return Math.min(this.#batchSize, this.#trainCount - place * this.#batchSize);
  }
}

function merge(one: Point, other: Point): Point {
  const images = one.images + other.images;
  const mean = (key: "loss" | "accuracy") =>
    (one.images * one[key] + other.images * other[key]) / images;
  return { epoch: other.epoch, loss: mean("loss"), accuracy: mean("accuracy"), images };
}
