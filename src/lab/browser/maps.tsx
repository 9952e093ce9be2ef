/** Maps and kernels as canvases: a colour for each number, and the number under the pointer. */

/// <reference lib="dom" />
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { positionOf, sizeOf } from "../inside.ts";
import type { Shape } from "../../nn/sequential.ts";
import { texts } from "./language.ts";

/** Maps of a layer that are drawn at most. */
const MAX_MAPS = 64;

/** Numbers of a vector in a row. */
const VECTOR_WIDTH = 40;

/** How a layer's numbers are laid out on a canvas, in cells. */
export interface Layout {
  readonly columns: number;
  readonly width: number;
  readonly height: number;
  /** Cell of a number; undefined where it is not drawn. */
  cellOf(place: number): { readonly x: number; readonly y: number } | undefined;
  /** Number of a cell; undefined between maps. */
  placeAt(x: number, y: number): number | undefined;
}

/** Lays maps out beside one another, a cell apart; a vector in rows.
 *
 * @param available Cells that fit beside one another.
 */
export function layOut(shape: Shape, available: number): Layout {
  if (shape.length === 1) {
    const columns = Math.min(shape[0], VECTOR_WIDTH);
    return {
      columns,
      width: columns,
      height: Math.ceil(shape[0] / columns),
      cellOf: (place) => ({ x: place % columns, y: Math.floor(place / columns) }),
      placeAt: (x, y) => {
        const place = y * columns + x;
        return x < columns && place < shape[0] ? place : undefined;
      },
    };
  }
  const { channels, height, width } = sizeOf(shape);
  const shown = Math.min(channels, MAX_MAPS);
  const columns = Math.min(shown, Math.max(1, Math.floor((available + 1) / (width + 1))));
  return {
    columns,
    width: columns * (width + 1) - 1,
    height: Math.ceil(shown / columns) * (height + 1) - 1,
    cellOf: (place) => {
      const { channel, y, x } = positionOf(shape, place);
      if (channel >= shown) return undefined;
      return {
        x: (channel % columns) * (width + 1) + x,
        y: Math.floor(channel / columns) * (height + 1) + y,
      };
    },
    placeAt: (x, y) => {
      const [column, row] = [Math.floor(x / (width + 1)), Math.floor(y / (height + 1))];
      const [inX, inY] = [x % (width + 1), y % (height + 1)];
      const channel = row * columns + column;
      const isInside = inX < width && inY < height && column < columns && channel < shown;
      return isInside ? (channel * height + inY) * width + inX : undefined;
    },
  };
}

/** Colours from below zero to above, by the reader's light or dark. */
interface Palette {
  readonly negative: Colour;
  readonly zero: Colour;
  readonly positive: Colour;
}

type Colour = readonly [red: number, green: number, blue: number];

const LIGHT: Palette = { negative: [0, 92, 153], zero: [244, 245, 247], positive: [196, 78, 0] };
const DARK: Palette = { negative: [86, 180, 233], zero: [30, 34, 40], positive: [255, 159, 77] };

/** The colours that suit the page now. */
export function palette(): Palette {
  return matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
}

/** Colour of a number between -1 and 1. */
export function colourOf({ negative, zero, positive }: Palette, value: number): Colour {
  const end = value < 0 ? negative : positive;
  const share = Math.min(1, Math.abs(value)) ** 0.8;
  const at = (n: 0 | 1 | 2) => zero[n] + share * (end[n] - zero[n]);
  return [at(0), at(1), at(2)];
}

/** A layer's numbers. */
export function Maps({ shape, values, label, available, scale, selected, onPoint, onHold }: {
  shape: Shape;
  values: ArrayLike<number>;
  label: string;
  /** Cells that fit beside one another. */
  available: number;
  /** Screen pixels of a cell. */
  scale: number;
  selected?: number;
  onPoint: (place: number) => void;
  onHold: (place: number) => void;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const layout = layOut(shape, available);
  const isNear = useIsNear(canvas);
  useEffect(() => {
    if (isNear) paintCells(canvas.current!, layout, values);
  });
  const placeOf = (event: { clientX: number; clientY: number }) => {
    const box = canvas.current!.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left) * layout.width / box.width);
    const y = Math.floor((event.clientY - box.top) * layout.height / box.height);
    return layout.placeAt(x, y);
  };
  const cell = selected === undefined ? undefined : layout.cellOf(selected);
  return (
    <div class="maps" style={{ width: `${scale * layout.width}px` }}>
      <canvas
        ref={canvas}
        class="pixels"
        width={layout.width}
        height={layout.height}
        style={{ width: `${scale * layout.width}px`, height: `${scale * layout.height}px` }}
        tabIndex={0}
        role="application"
        aria-label={`${texts.value.maps(label)}. ${texts.value.hint}`}
        data-maps={label}
        onPointerMove={(event) => {
          const place = placeOf(event);
          if (place !== undefined) onPoint(place);
        }}
        onClick={(event) => {
          const place = placeOf(event);
          if (place !== undefined) onHold(place);
        }}
        onKeyDown={(event) => {
          const next = moved(shape, selected ?? 0, event.key);
          if (next === undefined) return;
          event.preventDefault();
          onHold(next);
        }}
      />
      {cell && (
        <i
          class="mark"
          style={{
            left: `${scale * cell.x}px`,
            top: `${scale * cell.y}px`,
            width: `${scale}px`,
            height: `${scale}px`,
          }}
        />
      )}
    </div>
  );
}

/** Whether an element is on the screen, or soon may be: what is far away need not be painted. */
function useIsNear(element: { readonly current: HTMLElement | null }): boolean {
  const isNear = useSignal(false);
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([{ isIntersecting }]) => isNear.value = isIntersecting,
      { rootMargin: "400px" },
    );
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return isNear.value;
}

/** Where a key leads from a number; at the end of a row it goes on to the next map. */
function moved(shape: Shape, place: number, key: string): number | undefined {
  const { width, height, channels } = sizeOf(shape);
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: shape.length === 1 ? -VECTOR_WIDTH : -width,
    ArrowDown: shape.length === 1 ? VECTOR_WIDTH : width,
    PageUp: -width * height,
    PageDown: width * height,
  };
  const next = place + (steps[key] ?? NaN);
  return next >= 0 && next < channels * width * height ? next : undefined;
}

/** Draws numbers as cells; the largest of them, whatever its sign, gets the full colour. */
function paintCells(canvas: HTMLCanvasElement, layout: Layout, values: ArrayLike<number>): void {
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(layout.width, layout.height);
  const colours = palette();
  let largest = 1e-12;
  for (let n = 0; n < values.length; n++) largest = Math.max(largest, Math.abs(values[n]));
  for (let y = 0; y < layout.height; y++) {
    for (let x = 0; x < layout.width; x++) {
      const place = layout.placeAt(x, y);
      if (place === undefined) continue;
      const [red, green, blue] = colourOf(colours, values[place] / largest);
      const at = 4 * (y * layout.width + x);
      image.data[at] = red;
      image.data[at + 1] = green;
      image.data[at + 2] = blue;
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

/** The kernels of a convolution: a column for each output channel, a row for each input channel. */
export function Kernels({ shape, values, label, scale }: {
  /** [outputs, inputs, height, width]. */
  shape: Shape;
  values: ArrayLike<number>;
  label: string;
  scale: number;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [outputs, inputs, height, width] = shape;
  const [columns, rows] = [Math.min(outputs, MAX_MAPS), Math.min(inputs, MAX_MAPS / 4)];
  const area = height * width;
  const layout: Layout = {
    columns,
    width: columns * (width + 1) - 1,
    height: rows * (height + 1) - 1,
    cellOf: () => undefined,
    placeAt: (x, y) => {
      const [output, input] = [Math.floor(x / (width + 1)), Math.floor(y / (height + 1))];
      const [inX, inY] = [x % (width + 1), y % (height + 1)];
      const isInside = inX < width && inY < height;
      return isInside ? (output * inputs + input) * area + inY * width + inX : undefined;
    },
  };
  useEffect(() => paintCells(canvas.current!, layout, values));
  return (
    <canvas
      ref={canvas}
      class="pixels"
      width={layout.width}
      height={layout.height}
      style={{ width: `${scale * layout.width}px`, height: `${scale * layout.height}px` }}
      role="img"
      aria-label={texts.value.kernels(label)}
    />
  );
}
