/** Pictures of one's own: fitted, each with its class, and made into a training and a test set. */

/// <reference lib="dom" />
import type { LabeledImages } from "../../data/dataset.ts";
import { fitPicture, greyOf, pictureOf, type RgbaPicture } from "../../data/picture.ts";
import { selectImages, splitByContent } from "../../data/split.ts";
import { rgbaOf } from "../../page/browser/given_picture.ts";
import type { LabData } from "./served_data.ts";

/** Share of each class that is tested on. */
const TEST_SHARE = 0.2;

/** Pictures of more classes no engine tells apart: labels are bytes. */
const MAX_CLASSES = 256;

/** A class and what it has. */
export interface ClassCount {
  readonly name: string;
  readonly count: number;
}

/** Pictures with their classes, each kept as it was fitted: three channels, each [side, side]. */
export class Collection {
  side = 28;
  isColour = false;
  #pictures: { readonly className: string; readonly pixels: Uint8Array }[] = [];
  #classNames: string[] = [];

  get classes(): ClassCount[] {
    return this.#classNames.map((name) => (
      { name, count: this.#pictures.filter(({ className }) => className === name).length }
    ));
  }

  /** Adds a class without pictures; does nothing to one that is there. */
  addClass(name: string): void {
    if (this.#classNames.includes(name)) return;
    if (this.#classNames.length >= MAX_CLASSES) {
      throw new RangeError(`Cannot add "${name}": there can be ${MAX_CLASSES} classes at most`);
    }
    this.#classNames.push(name);
  }

  /** Forgets a class and its pictures. */
  removeClass(name: string): void {
    this.#classNames = this.#classNames.filter((other) => other !== name);
    this.#pictures = this.#pictures.filter(({ className }) => className !== name);
  }

  /** Adds a picture to a class. */
  add(className: string, picture: RgbaPicture): void {
    this.addClass(className);
    this.#pictures.push({ className, pixels: fitColours(picture, this.side) });
  }

  /** Reads a file and adds it; false if it holds no picture. */
  async addFile(className: string, file: File): Promise<boolean> {
    try {
      this.add(className, await rgbaOf(file));
      return true;
    } catch (error) {
      if (error instanceof SyntaxError) return false;
      throw error;
    }
  }

  /** The newest pictures of a class, as the network takes them. */
  newest(className: string, count: number): Uint8Array[] {
    return this.#pictures.filter((one) => one.className === className).slice(-count).reverse()
      .map(({ pixels }) => this.#asTaken(pixels));
  }

  /** Shape of an image. */
  get shape(): LabeledImages["shape"] {
    return [this.isColour ? 3 : 1, this.side, this.side];
  }

  /** A training and a test set of all pictures.
   *
   * @throws {RangeError} If there are not two classes of two pictures each.
   */
  async dataset(): Promise<LabData> {
    const ready = this.classes.filter(({ count }) => count >= 2);
    if (ready.length < 2) {
      throw new RangeError("Cannot train yet: expected two classes of two pictures each, or more");
    }
    const classNames = ready.map(({ name }) => name);
    const pictures = this.#pictures.filter(({ className }) => classNames.includes(className));
    const shape = this.shape;
    const size = shape[0] * this.side * this.side;
    const images = new Uint8Array(pictures.length * size);
    const labels = Uint8Array.from(pictures, ({ className }) => classNames.indexOf(className));
    const digests: string[] = [];
    for (const [n, { pixels }] of pictures.entries()) {
      images.set(this.#asTaken(pixels), n * size);
      const digest = await crypto.subtle.digest("SHA-256", pixels.slice());
      digests.push(String(new Uint8Array(digest)));
    }
    const split = splitByContent(labels, digests, TEST_SHARE);
    const all = { images, labels, count: pictures.length, shape };
    return {
      name: "own",
      classNames,
      train: selectImages(all, split.train),
      test: selectImages(all, split.test),
    };
  }

  #asTaken(pixels: Uint8Array): Uint8Array {
    return this.isColour ? pixels : greyOfPlanes(pixels);
  }
}

/** A picture in colour, fitted: [3, side, side]. */
export function fitColours(picture: RgbaPicture, side: number): Uint8Array {
  return fitPicture(pictureOf(picture, 3), { width: side, height: side }).pixels;
}

/** Red, green and blue planes as one of grey. */
export function greyOfPlanes(pixels: Uint8Array): Uint8Array {
  return greyOf({ width: pixels.length / 3, height: 1, pixels }).pixels;
}
