/** Grey pictures on canvases. */

/// <reference lib="dom" />
import type { GreyPicture } from "../../../data/picture.ts";

/** Puts a picture on a canvas, pixel for pixel; the canvas takes its size. */
export function paint(canvas: HTMLCanvasElement, { width, height, pixels }: GreyPicture): void {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  pixels.forEach((pixel, index) => image.data.set([pixel, pixel, pixel, 255], 4 * index));
  canvas.getContext("2d", { willReadFrequently: true })!.putImageData(image, 0, 0);
}
