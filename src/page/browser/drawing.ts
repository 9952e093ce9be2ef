/** A board to draw on, light on dark or in colours, with mouse, pen, finger or keys. */

/// <reference lib="dom" />
import { type Channels, fitPicture, type Picture, planesOf } from "../../data/picture.ts";

/** Side of the board's raster, about: finer than any model's input. */
const RASTER_SIDE = 280;

/** Widths of the pen: a share of the board's side. */
const PEN = { thin: 1 / 20, middle: 1 / 12, thick: 1 / 6 } as const;

/** A width of the pen. */
export type PenWidth = keyof typeof PEN;

/** What a board tells. */
export interface BoardEvents {
  /** A stroke begins on a board that shows a picture: it has been cleared. */
  onRestart(): void;
  /** The drawing has changed. */
  onChange(): void;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The board. */
export class Board {
  penWidth: PenWidth = "middle";
  /** As CSS writes it; a grey board knows white alone. */
  penColor = "#ffffff";
  readonly #canvas: HTMLCanvasElement;
  readonly #cursor: HTMLElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #events: BoardEvents;
  readonly #channels: Channels;
  /** Raster pixels of one pixel of the model's input. */
  readonly #scale: number;
  #pointer: number | undefined;
  #last: Point;
  #showsPicture = false;
  /** For keys: whether the pen is on the board. */
  #penIsDown = false;

  /** @param size Of the model's input.
   * @param elements The board, and what shows where the keys' pen is.
   */
  constructor(
    { canvas, cursor }: { readonly canvas: HTMLCanvasElement; readonly cursor: HTMLElement },
    size: { readonly channels: Channels; readonly width: number; readonly height: number },
    events: BoardEvents,
  ) {
    this.#channels = size.channels;
    this.#canvas = canvas;
    this.#cursor = cursor;
    this.#events = events;
    this.#scale = Math.max(1, Math.round(RASTER_SIDE / Math.max(size.width, size.height)));
    canvas.width = size.width * this.#scale;
    canvas.height = size.height * this.#scale;
    this.#context = canvas.getContext("2d", { willReadFrequently: true })!;
    this.#last = this.#middle();
    this.#wipe();
    canvas.addEventListener("pointerdown", (event) => this.#onDown(event));
    canvas.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const type of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(type, (event) => {
        if (event.pointerId === this.#pointer) this.#pointer = undefined;
      });
    }
    canvas.addEventListener("keydown", (event) => this.#onKey(event));
    canvas.addEventListener("blur", () => this.#liftPen());
  }

  /** What is drawn, or undefined if nothing is. */
  picture(): Picture | undefined {
    const { width, height } = this.#canvas;
    const { data } = this.#context.getImageData(0, 0, width, height);
    const area = width * height;
    const pixels = new Uint8Array(this.#channels * area);
    for (let channel = 0; channel < this.#channels; channel++) {
      for (let n = 0; n < area; n++) pixels[channel * area + n] = data[4 * n + channel];
    }
    return pixels.some((pixel) => pixel > 0) ? { width, height, pixels } : undefined;
  }

  /** Wipes the board; the keys' pen returns to the middle. */
  clear(): void {
    this.#last = this.#middle();
    this.#liftPen();
    this.#wipe();
  }

  /** Shows a picture, whole and centred; the next stroke begins a new drawing. */
  show(picture: Picture): void {
    paint(this.#canvas, fitPicture(picture, this.#canvas));
    this.#showsPicture = true;
  }

  #middle(): Point {
    return { x: this.#canvas.width / 2, y: this.#canvas.height / 2 };
  }

  #wipe(): void {
    this.#context.fillStyle = "#000";
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#showsPicture = false;
  }

  #onDown(event: PointerEvent): void {
    if (event.button !== 0 || this.#pointer !== undefined) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#liftPen();
    this.#last = this.#pointOf(event);
    this.#lineTo(this.#last);
  }

  #onMove(event: PointerEvent): void {
    if (event.pointerId !== this.#pointer) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length > 0 ? moves : [event]) this.#lineTo(this.#pointOf(move));
  }

  /** Arrows move the pen, the space bar puts it down or lifts it. */
  #onKey(event: KeyboardEvent): void {
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) {
      const reach = (event.shiftKey ? 4 : 1) * this.#scale;
      const { width, height } = this.#canvas;
      const point = {
        x: Math.min(width, Math.max(0, this.#last.x + reach * arrow[0])),
        y: Math.min(height, Math.max(0, this.#last.y + reach * arrow[1])),
      };
      if (this.#penIsDown) this.#lineTo(point);
      this.#last = point;
    } else if (event.key === " ") {
      this.#penIsDown = !this.#penIsDown;
      if (this.#penIsDown) this.#lineTo(this.#last);
    } else return;
    event.preventDefault();
    this.#cursor.hidden = false;
    this.#cursor.classList.toggle("down", this.#penIsDown);
    this.#cursor.style.left = `${100 * this.#last.x / this.#canvas.width}%`;
    this.#cursor.style.top = `${100 * this.#last.y / this.#canvas.height}%`;
  }

  #liftPen(): void {
    this.#penIsDown = false;
    this.#cursor.hidden = true;
  }

  /** A place on the page as a place of the raster. */
  #pointOf(event: PointerEvent): Point {
    const box = this.#canvas.getBoundingClientRect();
    return {
      x: (event.clientX - box.left) * this.#canvas.width / box.width,
      y: (event.clientY - box.top) * this.#canvas.height / box.height,
    };
  }

  #lineTo(point: Point): void {
    if (this.#showsPicture) {
      this.#wipe();
      this.#events.onRestart();
    }
    const context = this.#context;
    context.strokeStyle = this.penColor;
    context.lineWidth = PEN[this.penWidth] * Math.max(this.#canvas.width, this.#canvas.height);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(this.#last.x, this.#last.y);
    context.lineTo(point.x, point.y);
    context.stroke();
    this.#last = point;
    this.#events.onChange();
  }
}

/** Puts a picture on a canvas, pixel for pixel; the canvas takes its size. */
export function paint(canvas: HTMLCanvasElement, picture: Picture): void {
  const { width, height } = picture;
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const [red, green = red, blue = red] = planesOf(picture).map(({ pixels }) => pixels);
  red.forEach((value, n) => image.data.set([value, green[n], blue[n], 255], 4 * n));
  canvas.getContext("2d", { willReadFrequently: true })!.putImageData(image, 0, 0);
}
